// Package immukv is an immutable key-value store that needs nothing but
// versioned objects.
//
// One log object holds all entries, chained by SHA-256: each of its versions is an entry,
// or a batch of entries. In addition, each key has an object with a copy of that key's
// entries, so that a read is a single request. A write is two conditional PUTs: it
// appends the entry to the log, and then applies it to the key object. A crash between
// the two leaves an orphan: an entry that its key object does not reflect yet. The next
// activity of any client repairs it. There is no server, no database, no coordinator and
// no background job.
//
//	store := memstore.New() // or backend.Open(ctx, "file:///var/lib/calibration")
//	db, err := immukv.Open[Calibration](ctx, store)
//	entry, err := db.Set(ctx, "sensor-012352", Calibration{Alpha: 0.15, Beta: 2.8})
//	latest, err := db.Get(ctx, "sensor-012352")
//	for entry, err := range db.History(ctx, "sensor-012352") { … }
//
// This package implements the protocol; package backend defines what it needs from a
// store of objects. A log takes one append at a time: for many writes a second, use
// [WithBatching] or several logs. Do not use the package for data that has to be deleted,
// or for values beyond a few megabytes.
//
// # Reading the code
//
// [Client.Set] is in set.go. Each of its steps has a file: head.go finds the newest entry
// and whether it is an orphan, append.go appends to the log, and apply.go applies an
// entry to its key object, which is also how an orphan is repaired. The reads are in
// get.go, getat.go, history.go, log.go, ascend.go, watch.go and keys.go, and verification
// is in verify.go and audit.go. copy.go, export.go and import.go transfer a log to
// another store. Package internal/wire defines the stored bytes.
package immukv
