package s3store_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/s3store/s3test"
	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/sim"
)

var batchingFor = flag.Duration("batchingfor", 0, "how long TestBatchingProcesses has them write; 0 is some seconds")

// batcherVar tells the test binary to write as a process of TestBatchingProcesses does.
const batcherVar = "S3STORE_TEST_BATCHER"

// batcher is what such a process is told and, at its end, tells.
type batcher struct {
	Store   string        `json:"store"`
	Name    string        `json:"name"`
	Callers int           `json:"callers"` // 1: without batching
	For     time.Duration `json:"for"`

	Sets      int           `json:"sets"`
	Conflicts int           `json:"conflicts"`
	Longest   time.Duration `json:"longest"` // wait for a set
}

// write has all callers write for a while, each alternately to a key of its own
// and to one that the processes share.
func (b *batcher) write(ctx context.Context) error {
	store, err := backend.Open(ctx, b.Store)
	if err != nil {
		return err
	}
	defer store.Close()
	var mu sync.Mutex
	opts := []immukv.Option{immukv.WithObserver(immukv.Observer{Conflict: func(context.Context, immukv.Observed) {
		mu.Lock()
		defer mu.Unlock()
		b.Conflicts++
	}})}
	if b.Callers > 1 {
		opts = append(opts, immukv.WithBatching(immukv.Batching{}))
	}
	db, err := immukv.Open[string](ctx, store, opts...)
	if err != nil {
		return err
	}
	defer db.Close()
	errs := make([]error, b.Callers)
	var running sync.WaitGroup
	end := time.Now().Add(b.For)
	for i := range b.Callers {
		running.Go(func() {
			for n := 0; n == 0 || time.Now().Before(end); n++ {
				key := []string{fmt.Sprintf("%s-%d", b.Name, i), fmt.Sprint("shared-", i)}[n%2]
				began := time.Now()
				if _, err := db.Set(ctx, key, fmt.Sprintf("%s %d %d", b.Name, i, n)); err != nil {
					errs[i] = err
					return
				}
				mu.Lock()
				b.Sets++
				b.Longest = max(b.Longest, time.Since(began))
				mu.Unlock()
			}
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

// runBatcher is the process.
func runBatcher(told string) error {
	var b batcher
	if err := json.Unmarshal([]byte(told), &b); err != nil {
		return err
	}
	if err := b.write(context.Background()); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(b)
}

// Four processes of 64 goroutines each, which batch, and one that does not write to one
// log: all succeed, each goroutine's writes are in the log in their order (I16), and the
// audit is clean.
func TestBatchingProcesses(t *testing.T) {
	t.Parallel()
	lasts := cmp.Or(*batchingFor, 2*time.Second)
	if long() {
		lasts = max(lasts, 5*time.Second)
	}
	server := servers.Get(t, s3test.MinIO)
	bucket := server.NewBucket(t)
	var processes []*batcher
	for i := range 4 {
		processes = append(processes, &batcher{Name: fmt.Sprint("batching-", i), Callers: 64})
	}
	processes = append(processes, &batcher{Name: "single", Callers: 1})
	var running sync.WaitGroup
	for _, b := range processes {
		b.Store, b.For = server.StoreURL(bucket), lasts
		told, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(server.Environ(), batcherVar+"="+string(told))
		cmd.Stderr = os.Stderr
		running.Go(func() {
			out, err := cmd.Output()
			if err == nil {
				err = json.Unmarshal(out, b)
			}
			if err != nil {
				t.Errorf("%s: %v: %s", b.Name, err, out)
			}
		})
	}
	running.Wait()
	if t.Failed() {
		return
	}

	sets := 0
	for _, b := range processes {
		sets += b.Sets
		t.Logf("%s: %d sets, %d conflicts, waited %v at most", b.Name, b.Sets, b.Conflicts, b.Longest.Round(time.Millisecond))
	}
	values := audited(t, open(t, server, bucket))
	if len(values) != sets {
		t.Errorf("%d entries in the log, and %d were acknowledged", len(values), sets)
	}
	next := make(map[string]int)
	for _, text := range values {
		var name string
		var caller, n int
		if _, err := fmt.Sscanf(text, `"%s %d %d"`, &name, &caller, &n); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		who := fmt.Sprint(name, " ", caller)
		if n != next[who] {
			t.Errorf("write %d of %s stands in the place of %d", n, who, next[who])
		}
		next[who] = n + 1
	}
	sizes := make(map[immukv.LogVersionID]int)
	for e, err := range client(t, open(t, server, bucket)).Log(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		sizes[e.VersionID]++
	}
	var sorted []int
	for _, n := range sizes {
		sorted = append(sorted, n)
	}
	slices.Sort(sorted)
	t.Logf("%d entries in %d versions: of %d entries (median), %d at most", len(values), len(sorted), sorted[len(sorted)/2], sorted[len(sorted)-1])
}

// A client that dies at any request of a SetAll leaves all of its entries or none, for a
// reader that asks consistently (I15), and what is missing in key objects the next write
// of another client repairs.
func TestCrashInSetAll(t *testing.T) {
	servers.Each(t, func(t *testing.T, server *s3test.Server) {
		s := open(t, server, server.NewBucket(t))
		keys := []string{"a", "b", "new"}
		n, appended, orphans := 0, 0, 0
		for injection := range sim.Crashes() {
			n++
			prefix := immukv.WithPrefix(fmt.Sprint(n, "/"))
			other := client(t, s, prefix)
			for _, key := range keys[:2] {
				if _, err := other.Set(t.Context(), key, value("before")); err != nil {
					t.Fatal(err)
				}
			}
			_ = injection.Run(t.Context(), s, func(ctx context.Context, s backend.VersionedStore) error { // it dies, or not
				db, err := immukv.Open[json.RawMessage](ctx, s, prefix)
				if err != nil {
					return err
				}
				defer db.Close()
				var writes []immukv.Write[json.RawMessage]
				for _, key := range keys {
					writes = append(writes, immukv.Write[json.RawMessage]{Key: key, Value: value("after")})
				}
				_, err = db.SetAll(ctx, writes...)
				return err
			})
			report, err := client(t, s, prefix, immukv.WithReadOnly()).Audit(t.Context())
			if err != nil || report.Err() != nil {
				t.Fatalf("%v: audit: %v, %v", injection, err, report)
			}
			if len(report.Orphans) > 0 {
				orphans++
			}
			is := func(when string, db *immukv.Client[json.RawMessage]) {
				snapshot, err := db.GetAll(t.Context(), keys, immukv.Consistent())
				if err != nil {
					t.Fatalf("%v: %v", injection, err)
				}
				after := 0
				for _, e := range snapshot.Entries {
					if string(e.Value) == `"after"` {
						after++
					}
				}
				if want := int(report.Entries) - 2; after != want {
					t.Errorf("%v, %s: %d of %d entries, and the log has %d", injection, when, after, len(keys), report.Entries)
				}
			}
			is("to a reader", client(t, s, prefix, immukv.WithReadOnly()))
			if report.Entries == 5 {
				appended++
			} else if report.Entries != 2 {
				t.Errorf("%v: %d entries", injection, report.Entries)
			}
			if _, err := client(t, s, prefix).Set(t.Context(), "next", value("next")); err != nil {
				t.Fatalf("%v: the next write: %v", injection, err)
			}
			after, err := client(t, s, prefix).Audit(t.Context())
			if err != nil || after.Err() != nil || len(after.Orphans) > 0 || after.Entries != report.Entries+1 {
				t.Errorf("%v: after the next write: %v, %+v", injection, err, after)
			}
			is("after the next write", client(t, s, prefix, immukv.WithReadOnly()))
		}
		t.Logf("%d crashes, %d after the append, %d of which left orphans", n, appended, orphans)
		if orphans < len(keys) || appended == n {
			t.Error("too few crashes between append and apply, or none before the append")
		}
	})
}
