// Package immukv is an immutable key-value store that needs nothing but
// versioned objects.
//
// One log object holds all entries, one to a version, chained by SHA-256. One
// object for each key holds that key's entries again, so that a read is a
// single request. A write is two conditional PUTs: it appends the entry to the log
// and applies it to the key object. A crash between them leaves an orphan: an entry
// that its key object does not reflect yet. The next activity of any client repairs it. There is no server, no
// database, no coordinator and no background job.
//
//	store := memstore.New() // or backend.Open(ctx, "file:///var/lib/calibration")
//	db, err := immukv.Open[Calibration](ctx, store)
//	entry, err := db.Set(ctx, "sensor-012352", Calibration{Alpha: 0.15, Beta: 2.8})
//	latest, err := db.Get(ctx, "sensor-012352")
//	for entry, err := range db.History(ctx, "sensor-012352") { … }
//
// The package holds the protocol. It does not know where objects are kept (see
// package backend), and it is not for data that has to be deleted, for many
// writes a second (one log takes one append at a time), or for values beyond a
// few megabytes.
//
// # Reading the code
//
// [Client.Set] is in set.go. Its steps have files of their own: head.go knows the
// newest entry and whether it is an orphan, append.go appends to the log, apply.go
// applies to the key object, and thereby repairs. Reads are get.go, getat.go, history.go,
// log.go, ascend.go, watch.go and keys.go; proofs are verify.go and audit.go. copy.go,
// export.go and import.go carry a log to another store. What is stored, byte for
// byte, is in package internal/wire.
package immukv
