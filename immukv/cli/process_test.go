package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

var killSeed = flag.Uint64("killseed", 0, "seed of the moments at which load is killed; 0 takes one from the clock, and prints it")

// process is an immukv that runs as a process of its own. Its environment says
// which store it works on.
type process struct {
	*exec.Cmd
	t      *testing.T
	in     io.WriteCloser
	out    *bufio.Reader
	stderr strings.Builder
}

func startProcess(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.CommandContext(t.Context(), "immukv", args...), t: t}
	p.Env = append(os.Environ(), "IMMUKV_STORE="+fileURL(dir), "IMMUKV_PREFIX=")
	p.Stderr = &p.stderr
	in, err := p.StdinPipe()
	check(t, err)
	out, err := p.StdoutPipe()
	check(t, err)
	p.in, p.out = in, bufio.NewReader(out)
	check(t, p.Start())
	return p
}

// entry reads the next entry that the process prints, or false at the end.
func (p *process) entry() (entryJSON, bool) {
	p.t.Helper()
	text, err := p.out.ReadString('\n')
	if err == io.EOF {
		// What a killed process had not printed to its end, it did not print.
		return entryJSON{}, false
	}
	check(p.t, err)
	var e entryJSON
	check(p.t, json.Unmarshal([]byte(text), &e))
	return e, true
}

// entries reads all that it prints.
func (p *process) entries() []entryJSON {
	p.t.Helper()
	var all []entryJSON
	for {
		e, ok := p.entry()
		if !ok {
			return all
		}
		all = append(all, e)
	}
}

// wait waits for its end, after all that it printed has been read, and returns its
// exit code: -1 if a signal ended it.
func (p *process) wait() int {
	_ = p.Wait() // the state says more
	return p.ProcessState.ExitCode()
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wholeLog is every entry of the log, oldest first. It fails the test unless the
// log has no gap and the audit is clean, without an orphan.
func wholeLog(t *testing.T, dir string) []entryJSON {
	t.Helper()
	audit := runHere(t.Context(), "", "--store", fileURL(dir), "--json", "audit")
	var report reportJSON
	check(t, json.Unmarshal([]byte(audit.stdout), &report))
	if audit.code != exitDone || !report.Valid || len(report.Orphans) > 0 {
		t.Fatalf("audit: exit code %d: %s%s", audit.code, audit.stdout, audit.stderr)
	}
	log := runHere(t.Context(), "", "--store", fileURL(dir), "--json", "log")
	if log.code != exitDone {
		t.Fatalf("log: exit code %d: %s", log.code, log.stderr)
	}
	entries := make([]entryJSON, report.Entries)
	n := len(entries)
	for text := range strings.Lines(log.stdout) {
		if n--; n < 0 {
			t.Fatal("the log has more entries than the audit counted")
		}
		check(t, json.Unmarshal([]byte(text), &entries[n]))
		if entries[n].Sequence != int64(n) {
			t.Fatalf("sequence %d stands in the place of %d", entries[n].Sequence, n)
		}
	}
	if n != 0 {
		t.Fatalf("the log lacks %d of %d entries", n, len(entries))
	}
	return entries
}

// wantAcknowledged fails unless every acknowledged entry stands in the log where
// it was said to stand, and no value stands there twice. All values must differ.
func wantAcknowledged(t *testing.T, log, acknowledged []entryJSON) {
	t.Helper()
	values := make(map[string]int64)
	for _, e := range log {
		if at, twice := values[string(e.Value)]; twice {
			t.Errorf("value %s stands in the log as sequence %d and %d", e.Value, at, e.Sequence)
		}
		values[string(e.Value)] = e.Sequence
	}
	for _, e := range acknowledged {
		at, there := values[string(e.Value)]
		switch {
		case !there:
			t.Errorf("value %s of %q was acknowledged and is not in the log", e.Value, e.Key)
		case at != e.Sequence || log[at].Hash != e.Hash || log[at].Key != e.Key || log[at].VersionID != e.VersionID:
			t.Errorf("acknowledged: %+v\nin the log: %+v", e, log[at])
		}
	}
	if t.Failed() {
		t.FailNow()
	}
}

func TestEightProcesses(t *testing.T) {
	t.Parallel()
	const processes, each = 8, 25
	dir := filepath.Join(t.TempDir(), "store")
	var running []*process
	for range processes {
		running = append(running, startProcess(t, dir, "--json", "load", "-"))
	}
	acknowledged := make([][]entryJSON, processes)
	var wg sync.WaitGroup
	for i, p := range running {
		wg.Go(func() {
			for n := range each {
				// Half of the keys are one's own, half are everybody's.
				key := fmt.Sprintf("key-%d", []int{n, i}[n%2])
				if _, err := fmt.Fprintf(p.in, `{"key":%q,"value":"%d of %d"}`+"\n", key, n, i); err != nil {
					t.Error(err)
				}
			}
			if err := p.in.Close(); err != nil {
				t.Error(err)
			}
			acknowledged[i] = p.entries()
		})
	}
	wg.Wait()
	for i, p := range running {
		if code := p.wait(); code != exitDone || len(acknowledged[i]) != each {
			t.Errorf("process %d: exit code %d, %d acknowledged: %s", i, code, len(acknowledged[i]), &p.stderr)
		}
	}
	log := wholeLog(t, dir)
	if len(log) != processes*each {
		t.Errorf("the log has %d entries, want %d", len(log), processes*each)
	}
	for _, entries := range acknowledged {
		wantAcknowledged(t, log, entries)
	}
}

// TestTwoHundredProcesses is the same with a process for each value, eight of them
// at a time.
func TestTwoHundredProcesses(t *testing.T) {
	needLong(t)
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	acknowledged := make([][]entryJSON, 8)
	var wg sync.WaitGroup
	for i := range acknowledged {
		wg.Go(func() {
			for n := range 25 {
				p := startProcess(t, dir, "--json", "set", fmt.Sprintf("key-%d", n%5), fmt.Sprintf(`"%d of %d"`, n, i))
				acknowledged[i] = append(acknowledged[i], p.entries()...)
				if code := p.wait(); code != exitDone {
					t.Errorf("exit code %d: %s", code, &p.stderr)
				}
			}
		})
	}
	wg.Wait()
	log := wholeLog(t, dir)
	if len(log) != 200 {
		t.Errorf("the log has %d entries, want 200", len(log))
	}
	for _, entries := range acknowledged {
		wantAcknowledged(t, log, entries)
	}
}

// TestKilledLoad kills load with SIGKILL, again and again, when it has acknowledged
// some number of lines and got a little further.
func TestKilledLoad(t *testing.T) {
	t.Parallel()
	testKilledLoad(t, 1, 5)
}

// TestKilledBatchLoad is the same with batches, of which each is in the log as a whole
// or not at all.
func TestKilledBatchLoad(t *testing.T) {
	t.Parallel()
	testKilledLoad(t, 100, 1)
}

func testKilledLoad(t *testing.T, batch, perStore int) {
	seed := *killSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("to repeat: go test -run %s -killseed %d", t.Name(), seed)
	random := rand.New(rand.NewPCG(seed, 0))
	rounds := 3 * perStore
	if long() {
		rounds, perStore = 200, 2*perStore
	}
	k := &killer{t: t, random: random, batch: batch, pace: 10 * time.Millisecond}
	for round := range rounds {
		if round%perStore == 0 {
			k.dir = filepath.Join(t.TempDir(), "store")
			k.acknowledged = nil
		}
		k.round(round)
	}
	t.Logf("%d rounds, %d of which left orphans, and %d entries that were not acknowledged", rounds, k.orphans, k.unheard)
	if long() && (k.orphans == 0 || k.unheard == 0) {
		t.Error("no kill came between append and apply, or between the log and its being told: the test has lost its aim")
	}
}

type killer struct {
	t                *testing.T
	random           *rand.Rand
	batch            int // lines of a log version
	dir              string
	acknowledged     []entryJSON // in this store
	pace             time.Duration
	orphans, unheard int
}

// input is what is loaded in a round. No key comes twice in a batch.
func (k *killer) input(round int) (text string, lines int) {
	var b strings.Builder
	key := func(int) int { return k.random.IntN(6) }
	lines = 40
	if k.batch > 1 {
		key = func(n int) int { return n % (3 * k.batch / 2) }
		lines = 6 * k.batch
	}
	for n := range lines {
		fmt.Fprintf(&b, `{"key":"key-%d","value":"line %d of round %d"}`+"\n", key(n), n, round)
	}
	return b.String(), lines
}

func (k *killer) round(round int) {
	t := k.t
	text, lines := k.input(round)
	p := startProcess(t, k.dir, "--json", "load", "--batch", fmt.Sprint(k.batch), "-")
	go func() {
		_, _ = io.WriteString(p.in, text) // it may be killed before it has read it
		_ = p.in.Close()
	}()
	var heard []entryJSON
	from := time.Now()
	for range k.batch * k.random.IntN(lines/2/k.batch) {
		e, ok := p.entry()
		if !ok {
			t.Fatalf("load ended by itself, exit code %d: %s", p.wait(), &p.stderr)
		}
		if heard = append(heard, e); len(heard) == 1 {
			from = time.Now() // the process has started, and the store is there
		}
	}
	if versions := len(heard) / k.batch; versions > 1 {
		k.pace = time.Since(from) / time.Duration(versions-1)
	}
	k.spin()
	check(t, p.Process.Kill())
	heard = append(heard, p.entries()...)
	if code := p.wait(); code != -1 && len(heard) < lines {
		t.Fatalf("exit code %d: %s", code, &p.stderr)
	}
	k.acknowledged = append(k.acknowledged, heard...)
	k.recover(round)
	log := wholeLog(t, k.dir)
	wantAcknowledged(t, log, k.acknowledged)

	// Of what was not acknowledged, the version under way may be in the log.
	var got []entryJSON
	for _, e := range log {
		if strings.HasSuffix(string(e.Value), fmt.Sprintf(` of round %d"`, round)) {
			got = append(got, e)
		}
	}
	for n, e := range got {
		if want := fmt.Sprintf(`"line %d of round %d"`, n, round); string(e.Value) != want {
			t.Fatalf("round %d: %s stands in the log in the place of %s", round, e.Value, want)
		}
		if first := got[n-n%k.batch]; e.VersionID != first.VersionID {
			t.Fatalf("round %d: %s and %s are of one batch, and in versions %s and %s", round, first.Value, e.Value, first.VersionID, e.VersionID)
		}
	}
	switch most := min(lines, (len(heard)/k.batch+1)*k.batch); {
	case len(got) > most || len(got)%k.batch != 0:
		t.Fatalf("round %d: %d lines were acknowledged, and %d are in the log", round, len(heard), len(got))
	case len(got) > len(heard):
		k.unheard++
	}
}

// spin lets the process get a little further: up to about one version, by the pace of
// those so far.
func (k *killer) spin() {
	further := time.Duration(k.random.Int64N(int64(k.pace) * 3 / 2))
	for from := time.Now(); time.Since(from) < further; {
		runtime.Gosched()
	}
}

// recover runs the next command, which is to repair what the kill left.
func (k *killer) recover(round int) {
	t := k.t
	audit := runHere(t.Context(), "", "--store", fileURL(k.dir), "--json", "audit")
	if audit.code != exitDone {
		t.Fatalf("audit after the kill: exit code %d: %s%s", audit.code, audit.stdout, audit.stderr)
	}
	orphan := strings.Contains(audit.stdout, `"orphans"`)
	if orphan {
		k.orphans++
	}
	next := []string{"--json", "repair"}
	if round%2 == 0 {
		next = []string{"set", "after", fmt.Sprintf(`"after round %d"`, round)}
	}
	if r := runHere(t.Context(), "", append([]string{"--store", fileURL(k.dir)}, next...)...); r.code != exitDone {
		t.Fatalf("%s after the kill: exit code %d: %s", next[0], r.code, r.stderr)
	} else if round%2 != 0 && strings.Contains(r.stdout, `"repaired":true`) != orphan {
		t.Fatalf("an orphan: %v, and of the repair: %s", orphan, r.stdout)
	}
}

// TestInterruptedLoad interrupts load when it waits for input, and in the middle of
// its work.
func TestInterruptedLoad(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name      string
		available int // lines that it can read
		heard     int // lines that it has acknowledged when the signal comes
	}{
		{"waiting", 10, 10},
		{"working", 5000, 7},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "store")
			p := startProcess(t, dir, "--json", "load", "-")
			stopped := make(chan struct{})
			go func() {
				defer close(stopped)
				for n := range test.available {
					if _, err := fmt.Fprintf(p.in, `{"key":"k","value":%d}`+"\n", n); err != nil {
						return // it reads no more
					}
				}
			}()
			var heard []entryJSON
			for range test.heard {
				e, ok := p.entry()
				if !ok {
					t.Fatalf("load ended by itself: %s", &p.stderr)
				}
				heard = append(heard, e)
			}
			check(t, p.Process.Signal(os.Interrupt))
			heard = append(heard, p.entries()...)
			code := p.wait()
			_ = p.in.Close()
			<-stopped
			if code != exitFailed {
				t.Errorf("exit code %d, want %d", code, exitFailed)
			}
			for _, want := range []string{
				fmt.Sprintf("%d set\n", len(heard)),
				"immukv: interrupted: load -: ",
				fmt.Sprintf("every line before line %d is set, and none after it", len(heard)+1),
			} {
				if !strings.Contains(p.stderr.String(), want) {
					t.Errorf("standard error lacks %q:\n%s", want, &p.stderr)
				}
			}
			log := wholeLog(t, dir)
			wantAcknowledged(t, log, heard)
			if len(log) != len(heard) || len(heard) == test.available && test.name == "working" {
				t.Errorf("%d lines of %d are in the log, %d were acknowledged", len(log), test.available, len(heard))
			}
		})
	}
}

// TestInterruptedWait interrupts a command that waits for its value.
func TestInterruptedWait(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	in, feed := io.Pipe()
	defer func() { _ = feed.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	var stdout, stderr strings.Builder
	ended := make(chan int)
	go func() { ended <- Run(ctx, []string{"--store", fileURL(dir), "set", "k", "-"}, in, &stdout, &stderr) }()
	_, err := feed.Write([]byte("1")) // returns when the command has begun to read
	check(t, err)
	cancel()
	if code := <-ended; code != exitFailed || stdout.Len() > 0 || !strings.Contains(stderr.String(), "interrupted") {
		t.Errorf("exit code %d: %s%s", code, &stdout, &stderr)
	}
	if files := tree(dir); len(files) > 0 {
		t.Errorf("the store has %v", files)
	}
}
