// Package sim makes histories of client processes that share one store, under a
// scheduler that owns every choice: who goes next, what a request meets on its
// way, who dies, what time it is. What it makes once it can make again.
//
// To see that a program survives a crash at any of its requests, no scheduler is
// needed. [Crashes] kills it at one place after the other:
//
//	for crash := range sim.Crashes() {
//		store := memstore.New()
//		crash.Run(ctx, store, enroll)                  // dies on its way
//		if err := enroll(ctx, store); err != nil {     // starts again
//			t.Errorf("%v: %v", crash, err)
//		}
//	}
//
// [Run] makes a history of several processes, in virtual time, with the choices
// of a [Source]: a [Schedule] that is replayed, numbers that are drawn ([Drawn]),
// or those of an [Explorer], which visits every history of a small world. Every
// request of a process waits for the scheduler twice: before it takes effect,
// and, if a fault has its answer held, before it is answered. A [Fault] is what
// it meets: its effect and its answer.
//
// The package knows nothing of ImmuKV but its contract with stores. It is for
// tests; it imports package testing. It does not find data races, since it lets
// one process run at a time: that is for the race detector. Nor does it try a
// store: that is for package conformance.
package sim
