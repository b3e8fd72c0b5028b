package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/immukv/immukv-go/backend/s3store"
	"github.com/immukv/immukv-go/backend/s3store/s3test"
	"github.com/immukv/immukv-go/immukv"
)

// TestKilledCopyToServers kills copy with SIGKILL, again and again, when it has sent some
// number of requests to a server, the last of which arrives or does not. Whenever it dies,
// the server has a valid store with the beginning of the source in it; in the end it has
// all of it, and a copy of that is what the source is. There are several copies of fifty
// kills each, so that the audit after each kill has less to read: two on each server, and
// four with IMMUKV_FULL.
func TestKilledCopyToServers(t *testing.T) {
	needLong(t)
	t.Parallel()
	seed := *killSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("to repeat: go test -run %s -killseed %d", t.Name(), seed)
	src := filepath.Join(t.TempDir(), "src")
	for batch, entries := range map[int]int{1: 70, 3: 30} {
		var lines strings.Builder
		for i := range entries {
			fmt.Fprintf(&lines, `{"key":"key-%d","value":%d}`+"\n", i%20, i)
		}
		if r := runHere(t.Context(), lines.String(), "--store", fileURL(src), "load", "--batch", fmt.Sprint(batch), "-"); r.code != exitDone {
			t.Fatalf("load: exit code %d: %s", r.code, r.stderr)
		}
	}
	whole := wholeLog(t, src)
	copies := 2
	if os.Getenv("IMMUKV_FULL") == "1" {
		copies = 4
	}
	for _, software := range s3test.All {
		t.Run(software.Name, func(t *testing.T) {
			t.Parallel()
			server, random := s3test.Start(t, software), rand.New(rand.NewPCG(seed, 3))
			died, orphans := 0, 0
			for range copies {
				k := newCopyKiller(t, server, src, whole)
				k.random = random
				for range 50 {
					k.round()
				}
				died, orphans = died+k.died, orphans+k.orphans
				t.Logf("%d of %d entries were there after 50 kills", k.last, len(whole))
				k.finish()
			}
			t.Logf("%d kills: %d on the way, of which %d left an orphan", 50*copies, died, orphans)
			if died < 37*copies || orphans < 3*copies {
				t.Error("hardly any kill came while it copied: the test has lost its aim")
			}
		})
	}
}

// copyKiller runs copies to a server that are killed on their way.
type copyKiller struct {
	t       *testing.T
	random  *rand.Rand
	src     string
	whole   []entryJSON
	proxy   *s3test.Proxy
	db      *immukv.Client[json.RawMessage] // on what is there
	env     []string
	url     string // of the destination, by way of the proxy
	last    int64  // entries there
	died    int    // copies that had something left to write
	orphans int    // and left an orphan
}

func newCopyKiller(t *testing.T, server *s3test.Server, src string, whole []entryJSON) *copyKiller {
	t.Helper()
	bucket := server.NewBucket(t)
	proxy := s3test.NewProxy(t, server.Endpoint())
	store, err := s3store.New(t.Context(), server.Client(t), bucket)
	check(t, err)
	db, err := immukv.Open[json.RawMessage](t.Context(), store, immukv.WithReadOnly())
	check(t, err)
	return &copyKiller{
		t: t, src: src, whole: whole, proxy: proxy, db: db, env: server.Environ(),
		url: strings.Replace(server.StoreURL(bucket), server.Endpoint(), proxy.URL, 1),
	}
}

// round runs copy, kills it at some request, and looks at what is there when all that it
// had sent has arrived or is lost.
func (k *copyKiller) round() {
	t := k.t
	cmd := exec.CommandContext(t.Context(), "immukv", "copy", fileURL(k.src), k.url)
	cmd.Env = k.env
	var stderr strings.Builder
	cmd.Stderr = &stderr
	at, arrives := 1+k.random.IntN(16), k.random.IntN(2) == 0
	var underWay sync.WaitGroup
	started := make(chan struct{})
	requests := 0
	k.proxy.Follow(func(*http.Request) s3test.Fault {
		requests++
		fault := s3test.Delay(0)
		switch {
		case requests == at:
			<-started
			_ = cmd.Process.Kill()
			if fault = s3test.Cut; arrives {
				fault = s3test.LoseAnswer
			}
		case requests > at:
			fault = s3test.Cut
		}
		underWay.Add(1)
		return func(p *s3test.Proxy, w http.ResponseWriter, r *http.Request) {
			defer underWay.Done()
			fault(p, w, r)
		}
	})
	check(t, cmd.Start())
	close(started)
	err := cmd.Wait()
	underWay.Wait()
	if code := cmd.ProcessState.ExitCode(); code != -1 {
		t.Fatalf("exit code %d, and was to be killed at request %d: %v: %s", code, at, err, &stderr)
	}
	report, err := k.db.Audit(t.Context())
	switch {
	case err != nil || !report.Valid():
		t.Fatalf("audit: %+v, %v", report, err)
	case report.Entries < k.last:
		t.Fatalf("%d entries are there, and there were %d", report.Entries, k.last)
	case report.Entries > 0 && report.HeadHash != k.whole[report.Entries-1].Hash:
		t.Fatalf("the copy has %d entries, and ends with %s, the source has %s there", report.Entries, report.HeadHash, k.whole[report.Entries-1].Hash)
	}
	if k.last = report.Entries; k.last < int64(len(k.whole)) {
		k.died++
	}
	if len(report.Orphans) > 0 {
		k.orphans++
	}
}

// finish runs copy to its end, and copies what is there back.
func (k *copyKiller) finish() {
	t := k.t
	k.proxy.Follow(nil)
	back := filepath.Join(t.TempDir(), "back")
	for _, args := range [][]string{{fileURL(k.src), k.url}, {k.url, fileURL(back)}} {
		cmd := exec.CommandContext(t.Context(), "immukv", append([]string{"copy"}, args...)...)
		cmd.Env = k.env
		var stderr strings.Builder
		cmd.Stdout, cmd.Stderr = io.Discard, &stderr
		if err := cmd.Run(); err != nil {
			t.Fatalf("copy: %v: %s", err, &stderr)
		}
	}
	there := wholeLog(t, back)
	if len(there) != len(k.whole) {
		t.Fatalf("%d entries came back, of %d", len(there), len(k.whole))
	}
	for i, e := range there {
		if e.Hash != k.whole[i].Hash {
			t.Fatalf("sequence %d is %v, and %v in the source", i, e, k.whole[i])
		}
	}
}
