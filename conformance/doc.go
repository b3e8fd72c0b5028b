// Package conformance tests stores against the contract of package backend,
// clause by clause, and the ImmuKV protocol on them.
//
// It is for authors of backends, and for users who want to know whether their
// server is safe for this protocol. The test of a backend calls [Run] with a
// [Harness], which makes stores of the kind under test:
//
//	func TestConformance(t *testing.T) {
//		conformance.Run(t, conformance.Harness{New: newStore, Lacks: …})
//	}
//
// Each check is a subtest named for its clause, such as S3/32-racing-creates. The
// checks of S3 are in the file whose name begins with s03, those of the
// protocol's I1 in the one that begins with i01. Those of the protocol are run
// with clients that write one entry at a time, and with clients that write
// batches. A harness declares, with the reason, what its stores lack, such as a
// way to deny access. Nothing is skipped silently.
//
// The command immukv-conformance below this package runs the same checks on a
// store given by its URL. [Examine] runs them from any other program.
//
// The suite shows the presence of faults, never their absence. It repeats races
// often enough to find the faults known of real stores. It does not cut the
// power of machines.
package conformance
