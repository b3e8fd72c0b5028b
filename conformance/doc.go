// Package conformance tests stores against the contract of package backend,
// clause by clause, and the ImmuKV protocol on them.
//
// It is for people who write a backend, and for those who wonder whether the
// server they have can be trusted with this protocol. In the test of a backend
// it takes a [Harness], which makes stores of the kind under test:
//
//	func TestConformance(t *testing.T) {
//		conformance.Run(t, conformance.Harness{New: newStore, Lacks: …})
//	}
//
// Each check is a subtest named for its clause: S3/32-racing-creates. What a
// kind of store has not, such as a way to deny access, its harness declares with
// the reason; nothing is skipped in silence.
//
// The command immukv-conformance below this package runs the same checks on a
// store given by its URL. [Examine] runs them from any other program.
//
// The suite shows the presence of faults, never their absence: races are run
// often enough to find the faults known in the wild, and machines are not
// unplugged.
package conformance
