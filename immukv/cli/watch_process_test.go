package cli

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/immukv/immukv-go/immukv"
)

// TestKilledWatch kills watch with SIGKILL, again and again, while another process writes
// what it follows. Each run begins where the last state says, and what is kept there was
// printed: so nothing is left out, and nothing but what was printed since is repeated.
func TestKilledWatch(t *testing.T) {
	t.Parallel()
	seed := *killSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("to repeat: go test -run TestKilledWatch -killseed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	kills, lines := 8, 150
	if long() {
		kills, lines = 200, 5000
	}
	dir := filepath.Join(t.TempDir(), "store")
	state := &watchState{file: filepath.Join(t.TempDir(), "state")}
	writer := startProcess(t, dir, "--json", "load", "-")
	loaded := make(chan []entryJSON)
	// Each watch lets some more be loaded, so that the writer is at work to the last kill.
	more := make(chan struct{}, kills)
	go func() {
		for n := range lines {
			if n%(lines/kills) == 0 {
				<-more
			}
			_, _ = fmt.Fprintf(writer.in, `{"key":"key-%d","value":%d}`+"\n", n%7, n)
		}
		_ = writer.in.Close()
	}()
	go func() { loaded <- writer.entries() }()

	printed := []entryJSON{} // by sequence
	next, repeated, kept := int64(0), 0, 0
	watch := func(args ...string) {
		p := startProcess(t, dir, append([]string{"--json", "watch", "--poll", "5ms", "--state", state.file}, args...)...)
		// It is killed at some moment, at the latest, and every other time when it has
		// printed some number of entries.
		most := -1
		if len(args) == 0 {
			time.AfterFunc(time.Duration(random.Int64N(int64(300*time.Millisecond))), func() { _ = p.Process.Kill() })
			if random.IntN(2) == 0 {
				most = 1 + random.IntN(40)
			}
		}
		for i := 0; ; i++ {
			e, ok := p.entry()
			if !ok {
				break
			}
			if i+1 == most {
				_ = p.Process.Kill()
			}
			if e.Sequence != next+int64(i) {
				t.Fatalf("sequence %d is printed, want %d, of a run that began with %d", e.Sequence, next+int64(i), next)
			}
			if e.Sequence < int64(len(printed)) {
				repeated++
				if e.Hash != printed[e.Sequence].Hash {
					t.Fatalf("sequence %d is printed as another entry", e.Sequence)
				}
				continue
			}
			printed = append(printed, e)
		}
		if code := p.wait(); code != -1 && len(args) == 0 || code != exitDone && len(args) > 0 {
			t.Fatalf("exit code %d: %s", code, &p.stderr)
		}
		c, err := state.load()
		check(t, err)
		if c == nil {
			return
		}
		if c.Sequence >= int64(len(printed)) || c.Hash != printed[c.Sequence].Hash || c.Sequence < next-1 {
			t.Fatalf("the state says %d, %d entries were printed, and before it said %d", c.Sequence, len(printed), next-1)
		}
		if c.Sequence >= next {
			kept++
		}
		next = c.Sequence + 1
	}
	for range kills {
		more <- struct{}{}
		watch()
	}
	close(more)
	acknowledged := <-loaded
	if code := writer.wait(); code != exitDone || len(acknowledged) != lines {
		t.Fatalf("load: exit code %d, %d acknowledged: %s", code, len(acknowledged), &writer.stderr)
	}
	watch("--until-idle")
	if len(printed) != lines || next != int64(lines) {
		t.Fatalf("%d entries were printed, and the state says %d, of %d", len(printed), next-1, lines)
	}
	for n, e := range printed {
		if e.Sequence != int64(n) || e.Hash != acknowledged[n].Hash {
			t.Fatalf("sequence %d is printed as %v, and was set as %v", n, e, acknowledged[n])
		}
	}
	t.Logf("%d kills: %d of the runs came further, and %d entries were printed more than once", kills, kept, repeated)
	if long() && (kept < kills/4 || repeated == 0) {
		t.Error("no kill came between what was printed and its being kept, or hardly a run came to print: the test has lost its aim")
	}
	if left, _ := filepath.Glob(state.file + ".*"); len(left) > kills {
		t.Errorf("%d files are left beside the state", len(left))
	}
}

// A log that is cut off, rolled back to an older copy, or written anew from below what
// was printed, while a process follows it, ends the process with exit code 4; it says at
// which sequence.
func TestWatchOfLogThatIsChanged(t *testing.T) {
	t.Parallel()
	const n = 30
	for name, change := range map[string]func(t *testing.T, dir, older string){
		"cut off": func(t *testing.T, dir, _ string) {
			for v := n; v > n-5; v-- {
				check(t, os.Remove(filepath.Join(dir, "=5flog.2ejson!", fmt.Sprintf("%016d.v%d", 9999999999999999-int64(v), v))))
			}
		},
		"rolled back": func(t *testing.T, dir, older string) {
			check(t, os.Rename(dir, dir+".away"))
			check(t, os.CopyFS(dir, os.DirFS(older)))
		},
		"rewritten": func(t *testing.T, dir, older string) {
			anew := filepath.Join(t.TempDir(), "store")
			check(t, os.CopyFS(anew, os.DirFS(older)))
			load(t, anew, "other", n)
			check(t, os.Rename(dir, dir+".away"))
			check(t, os.Rename(anew, dir))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, older := filepath.Join(t.TempDir(), "store"), filepath.Join(t.TempDir(), "store")
			load(t, dir, "k", n-10)
			check(t, os.CopyFS(older, os.DirFS(dir)))
			load(t, dir, "k", 10)
			state := &watchState{file: filepath.Join(t.TempDir(), "state")}
			p := startProcess(t, dir, "--json", "watch", "--poll", "5ms", "--state", state.file)
			for i := range n {
				if e, ok := p.entry(); !ok || e.Sequence != int64(i) {
					t.Fatalf("sequence %d is %v, %t", i, e, ok)
				}
			}
			for { // until it is idle
				if c, err := state.load(); err == nil && c != nil && c.Sequence == n-1 {
					break
				}
				time.Sleep(time.Millisecond)
			}
			change(t, dir, older)
			if more := p.entries(); len(more) > 0 {
				t.Errorf("it printed %v", more)
			}
			// The store may itself miss what it had before.
			want := regexp.MustCompile(fmt.Sprintf(`\(sequence %[1]d\): %[2]s|after sequence %[1]d: .*store damaged`, n-1, immukv.NotExtended))
			if code := p.wait(); code != exitFindings || !want.MatchString(p.stderr.String()) {
				t.Errorf("exit code %d, want %d and %q: %s", code, exitFindings, want, &p.stderr)
			}
			if c, err := state.load(); err != nil || c.Sequence != n-1 {
				t.Errorf("the state is %v, %v", c, err)
			}
		})
	}
}

// load sets n keys.
func load(t *testing.T, dir, key string, n int) {
	t.Helper()
	var lines strings.Builder
	for i := range n {
		fmt.Fprintf(&lines, `{"key":"%s-%d","value":%d}`+"\n", key, i%3, i)
	}
	if r := runHere(t.Context(), lines.String(), "--store", fileURL(dir), "load", "-"); r.code != exitDone {
		t.Fatalf("load: exit code %d: %s", r.code, r.stderr)
	}
}

// An interrupt ends a watch promptly, with what it printed kept; so does a reader of its
// output that goes away.
func TestWatchIsInterrupted(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	load(t, dir, "k", 3)
	state := &watchState{file: filepath.Join(t.TempDir(), "state")}
	p := startProcess(t, dir, "--json", "watch", "--poll", "1h", "--state", state.file)
	for range 3 {
		p.entry()
	}
	check(t, p.Process.Signal(os.Interrupt))
	if code := p.wait(); code != exitFailed || !strings.Contains(p.stderr.String(), "interrupted") {
		t.Errorf("exit code %d: %s", code, &p.stderr)
	}
	if c, err := state.load(); err != nil || c == nil || c.Sequence != 2 {
		t.Errorf("the state is %v, %v", c, err)
	}
	var stderr strings.Builder
	if code := Run(t.Context(), []string{"--store", fileURL(dir), "watch", "--until-idle", "--state", state.file + "2"}, strings.NewReader(""), deaf{}, &stderr); code != exitFailed {
		t.Errorf("exit code %d: %s", code, &stderr)
	}
	if c, err := (&watchState{file: state.file + "2"}).load(); err != nil || c != nil {
		t.Errorf("the state is %v, %v, of what was not printed", c, err)
	}
}

// deaf takes no output.
type deaf struct{}

func (deaf) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
