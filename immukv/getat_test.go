package immukv_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
)

// clocked makes a store of entries of some keys, each as its time says, and the last one
// an orphan if that is asked for.
func clocked(t testing.TB, keys []string, times []int64, orphan bool) *memstore.Store {
	t.Helper()
	mem := memstore.New()
	var now int64
	store := &tapped{store: mem}
	db := open[int](t, store, immukv.WithClock(func() time.Time { return time.UnixMilli(now) }))
	for i, key := range keys {
		now = times[i]
		if orphan && i == len(keys)-1 {
			store.before = func(_ context.Context, r request) error {
				if r.op == "put" && r.name != logObject {
					return backend.ErrAccessDenied
				}
				return nil
			}
		}
		set(t, db, key, i)
	}
	return mem
}

// newestOf is the sequence of the entry of a key that a moment picks, or -1.
func newestOf(keys []string, times []int64, key string, sequence int64, asOf int64) int64 {
	for i := min(int64(len(keys))-1, sequence); i >= 0; i-- {
		if keys[i] == key && times[i] <= asOf {
			return i
		}
	}
	return -1
}

// What a key had at a sequence or at a time is what the log says it had, an orphan
// included, in whatever order the store lists the versions, within some places, and
// whatever the clocks said.
func TestGetPast(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 30, 90} {
		for _, orphan := range []bool{false, true} {
			keys, times := make([]string, n), make([]int64, n)
			for i := range n {
				keys[i] = fmt.Sprint("k", random.IntN(3))
				times[i] = 1 + random.Int64N(50)
			}
			mem := clocked(t, keys, times, orphan)
			rapid.Check(t, func(r *rapid.T) {
				store := &tapped{store: mem, order: disturb(r, 8), page: rapid.IntRange(1, 50).Draw(r, "page")}
				db := open[int](t, store, immukv.WithReadOnly())
				key := fmt.Sprint("k", rapid.IntRange(0, 3).Draw(r, "key"))
				sequence, asOf, opt := int64(math.MaxInt64), int64(math.MaxInt64), immukv.GetOption(nil)
				if rapid.Bool().Draw(r, "by time") {
					asOf = rapid.Int64Range(0, 51).Draw(r, "time")
					opt = immukv.AsOf(time.UnixMilli(asOf))
				} else {
					sequence = rapid.Int64Range(0, int64(n)+1).Draw(r, "sequence")
					opt = immukv.AtSequence(sequence)
				}
				e, err := db.Get(context.Background(), key, opt)
				switch want := newestOf(keys, times, key, sequence, asOf); {
				case want < 0 && !errors.Is(err, immukv.ErrNotFound):
					r.Fatalf("got %v, %v, want none", e, err)
				case want >= 0 && (err != nil || e.Sequence != want):
					r.Fatalf("got %v, %v, want sequence %d", e, err, want)
				}
			})
		}
	}
}

func TestGetPastOptions(t *testing.T) {
	t.Parallel()
	db := open[int](t, filled(t, 3, 1))
	for _, opts := range [][]immukv.GetOption{
		{immukv.AtSequence(-1)},
		{immukv.AtSequence(1), immukv.AsOf(time.Now())},
	} {
		if _, err := db.Get(t.Context(), "k0", opts...); !errors.Is(err, immukv.ErrInvalidOption) {
			t.Error(err)
		}
		if _, err := db.GetAll(t.Context(), []string{"k0"}, opts...); !errors.Is(err, immukv.ErrInvalidOption) {
			t.Error(err)
		}
	}
	if _, err := open[int](t, memstore.New()).Get(t.Context(), "k0", immukv.AtSequence(0)); !errors.Is(err, immukv.ErrNotFound) {
		t.Error(err)
	}
}

// An entry of 100,000 of a key costs 120 requests at most, the listing included, and no
// more than it has to if it is one of the newest.
func TestRequestsOfAtSequence(t *testing.T) {
	t.Parallel()
	const n = 100_000
	for _, keys := range []int{1, 7} {
		g := generate(t, n, keys, 20)
		store := counted(g)
		for _, distance := range []int{0, 1, 500, 1500, 5000, 12_345, 50_001, 99_000, n - 1} {
			db := open[string](t, store, immukv.WithReadOnly()) // which knows nothing
			e, err := db.Get(t.Context(), g.key(0), immukv.AtSequence(int64(n-1-distance)))
			want := int64(n - 1 - distance)
			want -= want % int64(keys)
			if err != nil || e.Sequence != want {
				t.Fatalf("got %v, %v, want sequence %d", e, err, want)
			}
			pages := (distance/keys + 999) / 1000
			if requests := len(store.take()); requests > 120 || requests > pages+14 {
				t.Errorf("%d keys, %d from the head: %d requests, %d of them pages", keys, distance, requests, pages)
			}
		}
	}
}

// Where the entries of a key come in bursts, its versions are still found by reading few.
func TestAtSequenceOfBursts(t *testing.T) {
	t.Parallel()
	var keys []string
	for burst := range 11 {
		keys = append(keys, slices.Repeat([]string{"k"}, 1<<burst)...)
		keys = append(keys, slices.Repeat([]string{"other"}, 1<<((burst*7)%11))...)
	}
	times := slices.Repeat([]int64{1}, len(keys))
	store := counted(clocked(t, keys, times, false))
	db := open[int](t, store, immukv.WithReadOnly())
	most := 0
	for sequence := 0; sequence < len(keys); sequence += 3 {
		e, err := db.Get(t.Context(), "k", immukv.AtSequence(int64(sequence)))
		if want := newestOf(keys, times, "k", int64(sequence), 1); err != nil || e.Sequence != want {
			t.Fatalf("got %v, %v, want sequence %d", e, err, want)
		}
		most = max(most, len(store.take()))
	}
	// Two by halves for each doubling, the page or three of the listing, and the head,
	// the key object and the log's entry.
	if most > 2*11+6 {
		t.Errorf("%d requests", most)
	}
	t.Logf("%d requests at most for one of 2,047 versions", most)
}

// A version that cannot be trusted is not passed over where it may be the one asked for.
func TestGetPastOfTamperedKeyObject(t *testing.T) {
	t.Parallel()
	const n, at = 40, 20 // all of one key
	for name, change := range map[string]func(v []memstore.Version) []memstore.Version{
		"no entry":       func(v []memstore.Version) []memstore.Version { v[at].Body = "{}"; return v },
		"of another key": func(v []memstore.Version) []memstore.Version { v[at].Body = ofKey(t, v[at].Body, "other"); return v },
		"removed":        func(v []memstore.Version) []memstore.Version { return append(v[:at:at], v[at+1:]...) },
		"expired":        func(v []memstore.Version) []memstore.Version { return v[at+1:] },
	} {
		mem := edit(t, clocked(t, slices.Repeat([]string{"k"}, n), counting(n), false), "keys/k.json", change)
		if e, err := open[int](t, mem).Get(t.Context(), "k", immukv.AtSequence(at)); err == nil {
			t.Errorf("%s: got sequence %d", name, e.Sequence)
		}
		// A read as of a time searches the key object alone, which does not say what it lacks.
		if e, err := open[int](t, mem).Get(t.Context(), "k", immukv.AsOf(time.UnixMilli(at+1))); err == nil && name != "removed" {
			t.Errorf("%s: got sequence %d", name, e.Sequence)
		}
		for _, opt := range []immukv.GetOption{immukv.AtSequence(at + 1), immukv.AsOf(time.UnixMilli(at + 2))} {
			if e, err := open[int](t, mem).Get(t.Context(), "k", opt); err != nil || e.Sequence != at+1 {
				t.Errorf("%s: the one behind it is %v, %v", name, e, err)
			}
		}
	}
}

func counting(n int) []int64 {
	times := make([]int64, n)
	for i := range times {
		times[i] = int64(i + 1)
	}
	return times
}

// ofKey is the body with another key, and the hash that goes with it.
func ofKey(t *testing.T, body, key string) string {
	t.Helper()
	members := tokens(t, body)
	members["key"] = []byte(`"` + key + `"`)
	var sequence, timestamp int64
	if _, err := fmt.Sscan(string(members["sequence"])+" "+string(members["timestamp_ms"]), &sequence, &timestamp); err != nil {
		t.Fatal(err)
	}
	hash, err := immukv.Python.Hash(key, immukv.Hash(strings.Trim(string(members["previous_hash"]), `"`)), sequence, timestamp, members["value"])
	if err != nil {
		t.Fatal(err)
	}
	members["hash"] = []byte(`"` + string(hash) + `"`)
	return object(members, slices.Sorted(maps.Keys(members))...)
}

// A snapshot has every key as it was at one sequence, however busy the writers are.
func TestGetAllBesideWriters(t *testing.T) {
	t.Parallel()
	mem := memstore.New()
	keys := []string{"a", "b", "c", "d", "never"}
	var writers, readers sync.WaitGroup
	done := make(chan struct{})
	for w := range 3 {
		db := open[int](t, mem)
		writers.Go(func() {
			for i := range 100 {
				set(t, db, keys[(w+i)%4], i)
			}
		})
	}
	var mu sync.Mutex
	snapshots := make(map[int64]map[string]int64)
	for range 2 {
		db := open[int](t, mem, immukv.WithReadOnly())
		readers.Go(func() {
			for last := false; !last; {
				select {
				case <-done:
					last = true
				default:
				}
				s, err := db.GetAll(t.Context(), keys, immukv.Consistent())
				if err != nil {
					t.Error(err)
					return
				}
				got := make(map[string]int64)
				for key, e := range s.Entries {
					got[key] = e.Sequence
				}
				mu.Lock()
				snapshots[s.Sequence] = got
				mu.Unlock()
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
	want := make(map[string]int64)
	checked := 0
	for e, err := range open[int](t, mem).Log(t.Context(), immukv.OldestFirst()) {
		if err != nil {
			t.Fatal(err)
		}
		want[e.Key] = e.Sequence
		if got, ok := snapshots[e.Sequence]; ok {
			checked++
			if !maps.Equal(got, want) {
				t.Errorf("as of %d: %v, want %v", e.Sequence, got, want)
			}
		}
	}
	if got, empty := snapshots[-1]; empty && len(got) > 0 {
		t.Errorf("of the empty log: %v", got)
	}
	if checked == 0 || snapshots[299] == nil {
		t.Errorf("%d snapshots are of the log, the last one of them: %v", checked, snapshots[299])
	}
}

func TestGetAll(t *testing.T) {
	t.Parallel()
	keys := []string{"a", "b", "a", "c"}
	mem := clocked(t, keys, []int64{1, 2, 3, 4}, true)
	for _, c := range []struct {
		opts     []immukv.GetOption
		sequence int64
		want     map[string]int64
	}{
		{nil, -1, map[string]int64{"a": 2, "b": 1, "c": 3}},
		{[]immukv.GetOption{immukv.Consistent()}, 3, map[string]int64{"a": 2, "b": 1, "c": 3}},
		{[]immukv.GetOption{immukv.AtSequence(1)}, 1, map[string]int64{"a": 0, "b": 1}},
		{[]immukv.GetOption{immukv.AtSequence(9)}, 3, map[string]int64{"a": 2, "b": 1, "c": 3}},
		{[]immukv.GetOption{immukv.AsOf(time.UnixMilli(2))}, 3, map[string]int64{"a": 0, "b": 1}},
	} {
		s, err := open[int](t, mem, immukv.WithReadOnly()).GetAll(t.Context(), []string{"c", "a", "b", "a", "d"}, c.opts...)
		got := make(map[string]int64)
		for key, e := range s.Entries {
			got[key] = e.Sequence
		}
		if err != nil || s.Sequence != c.sequence || !maps.Equal(got, c.want) {
			t.Errorf("%v as of %d, %v; want %v as of %d", got, s.Sequence, err, c.want, c.sequence)
		}
	}
}

// What is wrong with one key does not keep the others from being read; what is wrong
// with the store does.
func TestGetAllFails(t *testing.T) {
	t.Parallel()
	mem := edit(t, filled(t, 9, 3), "keys/k1.json", func(v []memstore.Version) []memstore.Version { v[2].Body = "{}"; return v })
	keys := []string{"k0", "k1", "k2", strings.Repeat("x", 2000)}
	s, err := open[int](t, mem).GetAll(t.Context(), keys[:3])
	if !errors.Is(err, immukv.ErrMalformedEntry) || !strings.Contains(err.Error(), `"k1"`) || len(s.Entries) != 2 {
		t.Errorf("%v, %v", s, err)
	}
	if s, err := open[int](t, mem).GetAll(t.Context(), keys, immukv.Consistent()); !errors.Is(err, immukv.ErrInvalidKey) || s.Entries != nil {
		t.Errorf("%v, %v", s, err)
	}
	down := &tapped{store: mem, before: func(_ context.Context, r request) error {
		if r.name == "keys/k0.json" {
			return backend.ErrUnavailable
		}
		return nil
	}}
	if s, err := open[int](t, down).GetAll(t.Context(), keys[:3]); !errors.Is(err, backend.ErrUnavailable) || s.Entries != nil {
		t.Errorf("%v, %v", s, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := open[int](t, mem).GetAll(ctx, keys[:3]); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
