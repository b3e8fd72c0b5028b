// Package sim makes histories of client processes that share one store. A scheduler makes
// every choice: which process continues, which fault a request meets, which process
// crashes, what time it is. Every history can be made again.
//
// To check that a program survives a crash at any of its requests, no scheduler is
// needed. [Crashes] crashes it at one place after another:
//
//	for crash := range sim.Crashes() {
//		store := memstore.New()
//		crash.Run(ctx, store, enroll)                  // crashes
//		if err := enroll(ctx, store); err != nil {     // starts again
//			t.Errorf("%v: %v", crash, err)
//		}
//	}
//
// [Run] makes a history of several processes in virtual time. A [Source] makes the
// choices: it replays a [Schedule], draws them at random ([Drawn]), or is an [Explorer],
// which visits every history of a small world. Every request of a process waits for the
// scheduler twice: before it takes effect and, if a fault holds its answer, before it is
// answered. A [Fault] is the effect and the answer of a request.
//
// The package uses nothing of ImmuKV except its contract with stores. It is for tests; it
// imports package testing. It runs one process at a time, so it finds no data races: use
// the race detector for that. It does not test stores: use package conformance for that.
package sim
