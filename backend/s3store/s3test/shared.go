package s3test

import (
	"os"
	"sync"
	"testing"
)

// Servers shares servers among the tests of one binary: each is started when it is first
// used, and all are stopped by [Servers.Main]. Its zero value is ready for use, by any
// number of goroutines.
type Servers struct {
	mu      sync.Mutex
	started map[*Software]*Server
	failed  map[*Software]error
}

// Main runs the tests, stops the servers that they started, and returns the
// code to exit with. It is what TestMain calls.
func (s *Servers) Main(m *testing.M) int {
	defer s.stop()
	return m.Run()
}

func (s *Servers) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, server := range s.started {
		server.Kill()
		os.RemoveAll(server.dir)
	}
}

// Get returns the shared server. A test must not stop it; one that kills its server uses
// [Start].
func (s *Servers) Get(tb testing.TB, sw *Software) *Server {
	tb.Helper()
	binary := sw.find(tb)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started == nil {
		s.started = make(map[*Software]*Server)
		s.failed = make(map[*Software]error)
	}
	if s.started[sw] == nil && s.failed[sw] == nil {
		s.started[sw], s.failed[sw] = s.launch(sw, binary)
	}
	if err := s.failed[sw]; err != nil {
		tb.Fatal(err)
	}
	return s.started[sw]
}

func (s *Servers) launch(sw *Software, binary string) (*Server, error) {
	dir, err := os.MkdirTemp("", "immukv-"+sw.Binary)
	if err != nil {
		return nil, err
	}
	server, err := start(sw, binary, dir)
	if err != nil {
		os.RemoveAll(dir)
	}
	return server, err
}

// Each runs a test on every server, as parallel subtests named for them.
func (s *Servers) Each(t *testing.T, test func(*testing.T, *Server)) {
	for _, sw := range All {
		t.Run(sw.Name, func(t *testing.T) {
			t.Parallel()
			test(t, s.Get(t, sw))
		})
	}
}
