package immukv_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
)

// watched is what a watch yields until it is idle, and its error.
func watched(db *immukv.Client[int], opts ...immukv.WatchOption) ([]immukv.Entry[int], error) {
	return collect(db.Watch(context.Background(), append(opts, immukv.UntilIdle())...))
}

func wantSequences(t testing.TB, what string, entries []immukv.Entry[int], from, to int64) {
	t.Helper()
	want := []int64{}
	for n := from; n <= to; n++ {
		want = append(want, n)
	}
	if got := sequences(entries); !slices.Equal(got, want) {
		t.Errorf("%s: watched %v, want %d to %d", what, got, from, to)
	}
}

// A watch yields the log from where it is told to begin, in whatever order the store
// lists the versions, within some places, and over pages of any size.
func TestWatch(t *testing.T) {
	t.Parallel()
	const n = 60
	mem := filled(t, n, 3)
	entries := all(t, open[int](t, mem).Log(t.Context(), immukv.OldestFirst()))
	rapid.Check(t, func(r *rapid.T) {
		store := &tapped{store: mem, order: disturb(r, 8), page: rapid.IntRange(1, 70).Draw(r, "page")}
		db := open[int](t, store, immukv.WithReadOnly(), immukv.WithConcurrency(rapid.IntRange(1, 40).Draw(r, "window")))
		var opts []immukv.WatchOption
		want := entries
		at := rapid.IntRange(0, n-1).Draw(r, "at")
		switch rapid.IntRange(0, 2).Draw(r, "begin") {
		case 1:
			opts, want = append(opts, immukv.After(entries[at].Checkpoint())), entries[at+1:]
		case 2:
			opts, want = append(opts, immukv.From(int64(at))), entries[at:]
		}
		if rapid.Bool().Draw(r, "one key") {
			opts = append(opts, immukv.WatchKeys("k1"))
			want = slices.DeleteFunc(slices.Clone(want), func(e immukv.Entry[int]) bool { return e.Key != "k1" })
		}
		got, err := watched(db, opts...)
		if err != nil || !slices.Equal(sequences(got), sequences(want)) {
			r.Fatalf("got %v, %v, want %v", sequences(got), err, sequences(want))
		}
	})
}

func TestWatchOptions(t *testing.T) {
	t.Parallel()
	db := open[int](t, filled(t, 3, 1))
	head, err := db.EntryAt(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, opts := range [][]immukv.WatchOption{
		{immukv.After(head.Checkpoint()), immukv.From(1)},
		{immukv.WithPollInterval(0)},
		{immukv.WithPollInterval(-time.Second)},
		{immukv.After(immukv.Checkpoint{})},
		{immukv.After(immukv.Checkpoint{Sequence: -2, Hash: head.Hash})},
	} {
		if got, err := watched(db, opts...); !errors.Is(err, immukv.ErrInvalidOption) || len(got) > 0 {
			t.Errorf("%v, %v", got, err)
		}
	}
	if got, err := watched(open[int](t, memstore.New())); err != nil || len(got) > 0 {
		t.Errorf("of an empty log: %v, %v", got, err)
	}
	report, err := open[int](t, memstore.New()).VerifyLog(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := watched(db, immukv.After(report.Head())); err != nil || len(got) != 3 {
		t.Errorf("after the head of an empty log: %v, %v", got, err)
	}
}

// Entries that are appended during a watch are yielded once and in order: by several
// watchers beside several writers, each restarted now and again.
func TestWatchBesideWriters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		const writers, each = 3, 60
		var running sync.WaitGroup
		for w := range writers {
			db := open[int](t, mem)
			running.Go(func() {
				for i := range each {
					set(t, db, fmt.Sprint("k", w), i)
					time.Sleep(time.Duration(w*i%7) * 100 * time.Millisecond)
				}
			})
		}
		for w := range 4 {
			running.Go(func() {
				var got []immukv.Entry[int]
				opts := []immukv.WatchOption{immukv.WithPollInterval(time.Duration(w+1) * 200 * time.Millisecond)}
				for restart := 1; len(got) < writers*each; restart++ {
					db := open[int](t, mem, immukv.WithReadOnly())
					for e, err := range db.Watch(t.Context(), opts...) {
						if err != nil {
							t.Error(err)
							return
						}
						got = append(got, e)
						if len(got)%(restart*(w+2)) == 0 || len(got) == writers*each {
							break
						}
					}
					opts = append(opts[:1:1], immukv.After(got[len(got)-1].Checkpoint()))
				}
				wantSequences(t, fmt.Sprint("watcher ", w), got, 0, writers*each-1)
			})
		}
		running.Wait()
	})
}

// While nothing comes, a watch is one HEAD for each interval, which is drawn between half
// the interval and one and a half.
func TestRequestsOfIdleWatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, n := range []int{0, 1, 40} {
			store := counted(filled(t, n, 2))
			db := open[int](t, store, immukv.WithReadOnly())
			ctx, cancel := context.WithTimeout(t.Context(), 1000*time.Second)
			got, err := collect(db.Watch(ctx, immukv.WithPollInterval(time.Second)))
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) || len(got) != n {
				t.Errorf("%d entries of %d, %v", len(got), n, err)
			}
			heads, others := 0, 0
			for _, r := range store.take() {
				if r.op == "head" {
					heads++
				} else {
					others++
				}
			}
			if heads < 900 || heads > 1100 {
				t.Errorf("%d entries: %d polls in 1,000 seconds", n, heads)
			}
			if want := map[int]int{0: 2, 1: 1, 40: 41}[n]; others != want {
				t.Errorf("%d entries: %d requests besides, want %d", n, others, want)
			}
		}
	})
}

// What a watch costs as entries come.
func TestRequestsOfWatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := filled(t, 10, 2)
		writer := open[int](t, mem)
		store := counted(mem)
		db := open[int](t, store, immukv.WithReadOnly())
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var got atomic.Int64
		go func() {
			for _, err := range db.Watch(ctx) {
				if err == nil {
					got.Add(1)
				}
			}
		}()
		polled := func() { time.Sleep(1600 * time.Millisecond); synctest.Wait() }
		polled()
		for _, c := range []struct {
			come int
			want []string
		}{
			{1, []string{"1 get _log.json"}},
			{2, []string{"1 get _log.json", "1 version _log.json"}},
			{3, []string{"1 get _log.json", "1 versions _log.json", "2 version _log.json"}},
		} {
			store.take()
			before := got.Load()
			for i := range c.come {
				set(t, writer, "k", i)
			}
			polled()
			store.seen = slices.DeleteFunc(store.take(), func(r request) bool { return r.op == "head" })
			store.want(t, fmt.Sprint(c.come, " came"), c.want...)
			if n := got.Load() - before; n != int64(c.come) {
				t.Errorf("%d came, %d yielded", c.come, n)
			}
		}
	})
}

// A log that is not what it was ends a watch, and is named.
func TestWatchOfTamperedLog(t *testing.T) {
	t.Parallel()
	const n = 40
	mem := filled(t, n, 2)
	log := versionsOf(mem.Dump(), logObject)
	other := versionsOf(filled(t, n+5, 3).Dump(), logObject) // entries of the same sequences
	for _, c := range []struct {
		name   string
		follow int // entries that were yielded before
		change func(v []memstore.Version) []memstore.Version
		where  int64 // the finding's sequence
		kind   immukv.FindingKind
		yields int // entries before it
	}{
		{"cut off", 30, func(v []memstore.Version) []memstore.Version { return v[:20] }, 29, immukv.NotExtended, 0},
		{"emptied", 30, func([]memstore.Version) []memstore.Version { return nil }, 29, immukv.NotExtended, 0},
		{"rolled back by one", 30, func(v []memstore.Version) []memstore.Version { return v[:29] }, 29, immukv.NotExtended, 0},
		{"head rewritten", 30, func(v []memstore.Version) []memstore.Version { return append(v[:29:29], other[29]) }, 29, immukv.NotExtended, 0},
		{"rolled back and written anew", 30, func([]memstore.Version) []memstore.Version { return other }, 29, immukv.NotExtended, 0},
		{"rewritten further back", 30, func([]memstore.Version) []memstore.Version { return other[:31] }, 29, immukv.NotExtended, 0},
		{"an entry to come removed", 30, func(v []memstore.Version) []memstore.Version { return append(v[:35:35], v[36:]...) }, 35, immukv.MissingVersion, 5},
		{"all entries to come but the last removed", 1, func(v []memstore.Version) []memstore.Version { return append(v[:1:1], v[39:]...) }, 1, immukv.MissingVersion, 0},
		{"an entry to come replaced", 30, func(v []memstore.Version) []memstore.Version { v[35].Body = other[35].Body; return v }, 35, immukv.BrokenLink, 5},
		{"an entry to come edited", 30, func(v []memstore.Version) []memstore.Version {
			v[35].Body = replaced(v[35].Body, `"value":`, `"value":1`)
			return v
		}, 35, "", 5},
		{"the newest edited", 30, func(v []memstore.Version) []memstore.Version {
			v[39].Body = replaced(v[39].Body, `"value":`, `"value":1`)
			return v
		}, 39, "", 9},
		{"no entry", 30, func(v []memstore.Version) []memstore.Version { v[35].Body = "{}"; return v }, -1, "", 5},
	} {
		changed := edit(t, load(t, mem.Dump()), logObject, c.change)
		last := immukv.Checkpoint{Sequence: int64(c.follow - 1), Hash: hashOf(t, log[c.follow-1].Body)}
		got, err := watched(open[int](t, changed), immukv.After(last))
		wantSequences(t, c.name, got, int64(c.follow), int64(c.follow+c.yields-1))
		var found immukv.Finding
		var entry *immukv.EntryError
		switch {
		case c.kind == "" && c.where < 0:
			if !errors.Is(err, immukv.ErrMalformedEntry) {
				t.Errorf("%s: %v", c.name, err)
			}
		case c.kind == "":
			if !errors.Is(err, immukv.ErrVerificationFailed) || !errors.As(err, &entry) || entry.Sequence != c.where {
				t.Errorf("%s: %v", c.name, err)
			}
		case !errors.Is(err, immukv.ErrVerificationFailed) || !errors.As(err, &found) || found.Sequence != c.where || found.Kind != c.kind:
			t.Errorf("%s: %v, want %s at %d", c.name, err, c.kind, c.where)
		}
	}
}

func hashOf(t *testing.T, body string) immukv.Hash {
	t.Helper()
	return immukv.Hash(strings.Trim(string(tokens(t, body)["hash"]), `"`))
}

// A store is exchanged between two polls of a watch. If its log was cut off, rewritten or
// deleted, the watch ends. If it has the same entries as other versions, as a copy has, the
// watch continues.
func TestWatchOfExchangedStore(t *testing.T) {
	t.Parallel()
	mem := filled(t, 20, 2)
	cut := edit(t, load(t, mem.Dump()), logObject, func(v []memstore.Version) []memstore.Version { return v[:10] })
	anew := filled(t, 25, 3)
	longer := load(t, mem.Dump())
	set(t, open[int](t, longer), "k", 20)
	deleted := edit(t, load(t, mem.Dump()), logObject, func(v []memstore.Version) []memstore.Version {
		return append(v, memstore.Version{ID: "marker", DeleteMarker: true})
	})
	for _, c := range []struct {
		name  string
		then  backend.VersionedStore
		yield int
		want  error
	}{
		{"cut", cut, 20, immukv.ErrVerificationFailed},
		{"anew", anew, 20, immukv.ErrVerificationFailed},
		{"deleted", deleted, 20, immukv.ErrLogDeleted},
		{"longer", longer, 21, context.DeadlineExceeded},
	} {
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			exchanged := &tapped{store: mem}
			exchanged.before = func(_ context.Context, r request) error {
				if r.op == "head" && time.Since(begun) > 10*time.Second { // of all requests, the first
					exchanged.store = c.then
				}
				return nil
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			got, err := collect(open[int](t, exchanged).Watch(ctx))
			wantSequences(t, c.name, got, 0, int64(c.yield-1))
			if !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", c.name, err, c.want)
			}
			if c.want == immukv.ErrLogDeleted && !strings.Contains(err.Error(), "after sequence 19") {
				t.Errorf("%s: %v does not name the sequence", c.name, err)
			}
		})
	}
}

// Whichever request fails, and however often, the watch continues where it was, and logs it.
func TestWatchWaitsOutFailures(t *testing.T) {
	t.Parallel()
	const n = 25
	mem := filled(t, n, 2)
	for _, failure := range []error{backend.ErrUnavailable, errors.New("connection refused")} {
		for at := 1; ; at++ {
			failed := false
			synctest.Test(t, func(t *testing.T) {
				requests := 0
				store := &tapped{store: mem, page: 10, before: func(context.Context, request) error {
					requests++
					if requests >= at && requests < at+at%4+1 {
						failed = true
						return failure
					}
					return nil
				}}
				var log bytes.Buffer
				db := open[int](t, store, immukv.WithReadOnly(), immukv.WithConcurrency(1), immukv.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
				got, err := watched(db)
				if err != nil {
					t.Errorf("request %d failed: %v", at, err)
				}
				wantSequences(t, fmt.Sprint("request ", at, " failed"), got, 0, n-1)
				if failed != strings.Contains(log.String(), "reading the log failed") {
					t.Errorf("request %d failed: logged %q", at, &log)
				}
			})
			if !failed {
				break
			}
		}
	}
}

func TestWatchEnds(t *testing.T) {
	t.Parallel()
	mem := filled(t, 5, 2)
	synctest.Test(t, func(t *testing.T) {
		for _, failure := range []error{backend.ErrAccessDenied, backend.ErrUnsupported} {
			down := &tapped{store: mem, before: func(context.Context, request) error { return failure }}
			if _, err := collect(open[int](t, down).Watch(t.Context())); !errors.Is(err, failure) {
				t.Errorf("watch of a store that says %v: %v", failure, err)
			}
		}
		// A failure that is waited out is named when the context ends.
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		down := &tapped{store: mem, before: func(context.Context, request) error { return backend.ErrUnavailable }}
		if _, err := collect(open[int](t, down).Watch(ctx)); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, backend.ErrUnavailable) {
			t.Error(err)
		}
		db := open[int](t, mem)
		time.AfterFunc(10*time.Second, func() { _ = db.Close() })
		if got, err := collect(db.Watch(t.Context())); !errors.Is(err, immukv.ErrClosed) || len(got) != 5 {
			t.Errorf("%v, %v", got, err)
		}
		for range open[int](t, mem).Watch(t.Context()) {
			break
		}
	})
}

// A value that cannot be decoded is yielded with its error, and the watch continues.
func TestWatchOfValuesOfOtherTypes(t *testing.T) {
	t.Parallel()
	mem := memstore.New()
	set(t, open[any](t, mem), "k", any(1))
	set(t, open[any](t, mem), "k", any("one"))
	set(t, open[any](t, mem), "k", any(2))
	var got []int64
	bad := 0
	for e, err := range open[int](t, mem).Watch(t.Context(), immukv.UntilIdle()) {
		got = append(got, e.Sequence)
		if err != nil {
			bad++
		}
	}
	if !slices.Equal(got, []int64{0, 1, 2}) || bad != 1 {
		t.Errorf("got %v, %d of them bad", got, bad)
	}
}
