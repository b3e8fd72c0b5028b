// Package s3test is the set-up of tests that run on real S3 servers. It starts and stops
// the pinned servers on free loopback ports, and makes buckets and restricted credentials
// on them. Its [Proxy], between client and server, loses, delays and forges answers.
//
// A test binary shares its servers:
//
//	var servers s3test.Servers
//
//	func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }
//
//	func TestStore(t *testing.T) {
//		servers.Each(t, func(t *testing.T, server *s3test.Server) {
//			bucket := server.NewBucket(t)
//			…
//		})
//	}
//
// The programs are installed, once, by
//
//	go run ./backend/s3store/s3test/install
//
// A test that needs a missing program is skipped; with IMMUKV_NO_SKIP=1 it fails. Only
// tests import this package.
package s3test
