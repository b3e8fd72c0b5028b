// Package serve presents a store in a browser: its keys, the history of each key, the log
// as it grows, and the results of verifications.
//
// It is for operators of a store. It is not an API: pages may change, and programs use
// package immukv or the command with --json. It never writes to the store, not even a
// repair. It has no accounts: anyone who can reach the address can read the whole store.
//
//	server, err := serve.Open(store, serve.Config{Name: "file:///var/lib/calibration"})
//	listener, err := net.Listen("tcp", "127.0.0.1:8080")
//	err = server.Serve(ctx, listener) // until ctx ends
//
// Each subject has a file: http.go runs an HTTP server, also for the command that serves
// the transparency log, server.go has the pages' addresses, guard.go decides which
// requests are answered, store.go bounds what they cost, keys.go, key.go, log.go and
// trust.go are the pages, live.go follows the log for all pages at once, job.go runs
// verifications, and diff.go compares values.
package serve
