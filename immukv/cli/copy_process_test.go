package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestKilledCopy kills copy with SIGKILL, again and again. Whenever it dies, what is there
// is a valid store with the beginning of the source in it; in the end it has all of it.
func TestKilledCopy(t *testing.T) {
	t.Parallel()
	seed := *killSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("to repeat: go test -run TestKilledCopy -killseed %d", seed)
	random := rand.New(rand.NewPCG(seed, 2))
	kills, entries := 5, 200
	if long() {
		kills, entries = 200, 1000
	}
	src, dst := filepath.Join(t.TempDir(), "src"), filepath.Join(t.TempDir(), "dst")
	var lines strings.Builder
	for i := range entries {
		fmt.Fprintf(&lines, `{"key":"key-%d","value":%d}`+"\n", i%50, i)
	}
	if r := runHere(t.Context(), lines.String(), "--store", fileURL(src), "load", "-"); r.code != exitDone {
		t.Fatalf("load: exit code %d: %s", r.code, r.stderr)
	}
	whole := wholeLog(t, src)
	// kill runs copy and kills it when it has written some number of entries, and returns
	// how many are there then, and whether the newest is an orphan.
	kill := func(from int64) (there int64, orphan bool) {
		p := startProcess(t, dst, "copy", fileURL(src), fileURL(dst))
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = io.Copy(io.Discard, p.out)
		}()
		most := from + random.Int64N(int64(2*entries/kills))
		for waiting := true; waiting; {
			select {
			case <-ended:
				waiting = false
			default:
				versions, _ := filepath.Glob(filepath.Join(dst, "=5flog.2ejson!", "*.v*"))
				if waiting = int64(len(versions)) < most; waiting {
					time.Sleep(time.Millisecond)
				}
			}
		}
		_ = p.Process.Kill()
		<-ended
		if code := p.wait(); code != -1 && code != exitDone {
			t.Fatalf("exit code %d: %s", code, &p.stderr)
		}
		return auditedPart(t, dst, whole)
	}
	died, orphans, last := 0, 0, int64(0)
	for range kills {
		there, orphan := kill(last)
		if there < last {
			t.Fatalf("%d entries are there, and there were %d", there, last)
		}
		if there > last && there < int64(entries) {
			died++
		}
		if orphan {
			orphans++
		}
		last = there
	}
	if r := runHere(t.Context(), "", "copy", fileURL(src), fileURL(dst)); r.code != exitDone {
		t.Fatalf("copy: exit code %d: %s", r.code, r.stderr)
	}
	for i, e := range wholeLog(t, dst) {
		if e.Sequence != int64(i) || e.Hash != whole[i].Hash {
			t.Fatalf("sequence %d is %v, and %v in the source", i, e, whole[i])
		}
	}
	t.Logf("%d kills: %d on the way, of which %d left an orphan", kills, died, orphans)
	if died < kills/4 {
		t.Error("no kill came while it copied: the test has lost its aim")
	}
}

// auditedPart audits a store that has the beginning of a log, and tells how many entries
// it has, and whether the newest is an orphan.
func auditedPart(t *testing.T, dir string, whole []entryJSON) (entries int64, orphan bool) {
	t.Helper()
	audit := runHere(t.Context(), "", "--store", fileURL(dir), "--json", "audit")
	var report reportJSON
	check(t, json.Unmarshal([]byte(audit.stdout), &report))
	if audit.code != exitDone || !report.Valid {
		t.Fatalf("audit: exit code %d: %s%s", audit.code, audit.stdout, audit.stderr)
	}
	if n := report.Entries; n > 0 && *report.HeadHash != whole[n-1].Hash {
		t.Fatalf("the copy has %d entries, and ends with %s, the source has %s there", n, *report.HeadHash, whole[n-1].Hash)
	}
	return report.Entries, strings.Contains(audit.stdout, `"orphan`)
}
