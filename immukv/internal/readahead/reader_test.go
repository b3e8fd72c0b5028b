package readahead_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv/internal/readahead"
)

// listing is a store of one object, whose versions it lists in the given pages.
type listing struct {
	pages  [][]backend.Version
	fails  map[int]error // by page
	took   time.Duration
	mu     sync.Mutex
	asked  []backend.VersionsRequest
	object string
}

func (l *listing) ListVersions(ctx context.Context, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
	time.Sleep(l.took)
	if err := ctx.Err(); err != nil {
		return backend.VersionsPage{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked = append(l.asked, req)
	l.object = name
	i := 0
	if req.Token != "" {
		i, _ = strconv.Atoi(string(req.Token))
	}
	if err := l.fails[i]; err != nil {
		return backend.VersionsPage{}, err
	}
	page := backend.VersionsPage{Versions: l.pages[i]}
	if i+1 < len(l.pages) {
		page.Next = backend.PageToken(strconv.Itoa(i + 1))
	}
	return page, nil
}

// numbered makes pages of the given sizes, of versions 0, 1, 2, …
func numbered(sizes ...int) *listing {
	l := &listing{}
	n := 0
	for _, size := range sizes {
		page := make([]backend.Version, size)
		for i := range page {
			page[i].ID = backend.VersionID(strconv.Itoa(n))
			n++
		}
		l.pages = append(l.pages, page)
	}
	return l
}

func number(v backend.Version) int {
	n, err := strconv.Atoi(string(v.ID))
	if err != nil {
		panic(err)
	}
	return n
}

// source fetches bodies, each of which is the number of its version, and counts them.
type source struct {
	took func(n int) time.Duration // nil: no time
	fail func(n int) error         // nil: never

	mu      sync.Mutex
	fetched map[int]int // how often, by number
	now     int         // under way
	most    int         // under way at once
}

func (s *source) fetch(ctx context.Context, v backend.Version) (int, error) {
	n := number(v)
	s.mu.Lock()
	if s.fetched == nil {
		s.fetched = make(map[int]int)
	}
	s.fetched[n]++
	s.now++
	s.most = max(s.most, s.now)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.now--
		s.mu.Unlock()
	}()
	if s.took != nil {
		select {
		case <-time.After(s.took(n)):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	if s.fail != nil {
		if err := s.fail(n); err != nil {
			return -n, err
		}
	}
	return n, nil
}

// count is how many bodies were begun.
func (s *source) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.fetched)
}

func always(d time.Duration) func(int) time.Duration { return func(int) time.Duration { return d } }

func upTo(n int) []int {
	var want []int
	for i := range n {
		want = append(want, i)
	}
	return want
}

// drain reads to the end, and checks that every item is what its version says.
func drain(t *testing.T, r *readahead.Reader[int]) (got []int, err error) {
	t.Helper()
	for {
		item, err := r.Next()
		if err != nil || item == nil {
			return got, err
		}
		if item.Err == nil && item.Value != number(item.Version) {
			t.Errorf("version %s has value %d", item.ID, item.Value)
		}
		got = append(got, number(item.Version))
	}
}

// Whatever time each body takes, they are returned in the order of the listing, each
// fetched once, whatever the pages.
func TestOrder(t *testing.T) {
	t.Parallel()
	for _, sizes := range [][]int{{0}, {1}, {100}, {0, 0, 7, 0, 33, 1, 0}, {1, 1, 1, 1}} {
		for _, window := range []int{1, 2, 32} {
			t.Run(fmt.Sprint(sizes, window), func(t *testing.T) {
				t.Parallel()
				random := rand.New(rand.NewPCG(1, uint64(window)))
				var delays []time.Duration
				for range 200 {
					delays = append(delays, time.Duration(random.IntN(5))*time.Millisecond)
				}
				for _, took := range []func(int) time.Duration{nil, func(n int) time.Duration { return delays[n] }} {
					synctest.Test(t, func(t *testing.T) {
						src := &source{took: took}
						l := numbered(sizes...)
						r := readahead.New(t.Context(), readahead.Config[int]{Store: l, Object: "o", After: "after", Window: window, Fetch: src.fetch})
						defer r.Close()
						got, err := drain(t, r)
						total := 0
						for _, size := range sizes {
							total += size
						}
						if err != nil || !slices.Equal(got, upTo(total)) {
							t.Errorf("got %v, %v, want %d versions in order", got, err, total)
						}
						for n, times := range src.fetched {
							if times != 1 {
								t.Errorf("version %d was fetched %d times", n, times)
							}
						}
						if len(l.asked) != len(sizes) || l.asked[0].After != "after" || l.object != "o" {
							t.Errorf("the listing was asked for %v of %q", l.asked, l.object)
						}
						if item, err := r.Next(); item != nil || err != nil {
							t.Errorf("after the end: %v, %v", item, err)
						}
					})
				}
			})
		}
	}
}

// A store that takes its time has the whole window under way, and no more; so bodies
// take no longer than their number divided by the window. (Virtual time.)
func TestWindow(t *testing.T) {
	t.Parallel()
	const n = 320
	for _, window := range []int{1, 5, 32} {
		t.Run(fmt.Sprint(window), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				src := &source{took: always(time.Second)}
				r := readahead.New(t.Context(), readahead.Config[int]{Store: numbered(n), Window: window, Fetch: src.fetch})
				defer r.Close()
				start := time.Now()
				if got, err := drain(t, r); err != nil || len(got) != n {
					t.Errorf("%d versions, %v", len(got), err)
				}
				if src.most != window {
					t.Errorf("%d bodies under way at once", src.most)
				}
				if took := time.Since(start); took != n/time.Duration(window)*time.Second {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// What waits for a consumer that takes its time counts as well.
func TestSlowConsumer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := &source{took: always(time.Millisecond)}
		r := readahead.New(t.Context(), readahead.Config[int]{Store: numbered(100), Window: 10, Fetch: src.fetch})
		defer r.Close()
		for consumed := range 100 {
			time.Sleep(time.Second)
			synctest.Wait()
			if n := src.count(); n > consumed+10 {
				t.Fatalf("%d bodies begun with %d consumed", n, consumed)
			}
			if _, err := r.Next(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// One body that takes long holds up those behind it only when the window ends.
func TestSlowBody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := &source{took: func(n int) time.Duration {
			if n == 0 {
				return time.Hour
			}
			return time.Second
		}}
		r := readahead.New(t.Context(), readahead.Config[int]{Store: numbered(64), Window: 32, Fetch: src.fetch})
		defer r.Close()
		start := time.Now()
		if got, err := drain(t, r); err != nil || len(got) != 64 {
			t.Errorf("%d versions, %v", len(got), err)
		}
		// The first window is there when its first body is; of the rest, 31 are.
		if took := time.Since(start); took > time.Hour+2*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestLimit(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{1, 10, 40} {
		l := numbered(4, 4, 4, 28)
		src := &source{}
		r := readahead.New(t.Context(), readahead.Config[int]{Store: l, Limit: limit, Window: 8, Fetch: src.fetch})
		got, err := drain(t, r)
		r.Close()
		if err != nil || !slices.Equal(got, upTo(limit)) || src.count() != limit || !r.LimitReached() {
			t.Errorf("limit %d: got %v, %v, %d fetched, reached: %v", limit, got, err, src.count(), r.LimitReached())
		}
		if l.asked[0].Limit != limit || limit <= 4 && len(l.asked) != 1 {
			t.Errorf("limit %d: the listing was asked for %v", limit, l.asked)
		}
	}
	r := readahead.New(t.Context(), readahead.Config[int]{Store: numbered(3), Limit: 4, Window: 8, Fetch: (&source{}).fetch})
	defer r.Close()
	if got, err := drain(t, r); err != nil || len(got) != 3 || r.LimitReached() {
		t.Errorf("of three: %v, %v, reached: %v", got, err, r.LimitReached())
	}
}

// Delete markers are not fetched, and do not count.
func TestMarkers(t *testing.T) {
	t.Parallel()
	l := numbered(6, 6)
	for _, i := range []int{0, 1, 5} {
		l.pages[0][i].DeleteMarker = true
		l.pages[1][i].DeleteMarker = true
	}
	for _, told := range []bool{true, false} {
		src := &source{}
		var markers []int
		c := readahead.Config[int]{Store: l, Limit: 5, Window: 3, Fetch: src.fetch}
		if told {
			c.OnMarker = func(v backend.Version) { markers = append(markers, number(v)) }
		}
		r := readahead.New(t.Context(), c)
		got, err := drain(t, r)
		r.Close()
		if want := []int{2, 3, 4, 8, 9}; err != nil || !slices.Equal(got, want) || src.count() != len(want) {
			t.Errorf("got %v, %v, want %v", got, err, want)
		}
		if want := []int{0, 1, 5, 6, 7}; told && !slices.Equal(markers, want) {
			t.Errorf("told of markers %v, want %v", markers, want)
		}
	}
}

// A body that cannot be fetched is told of in its place, with what came of it; an
// error of the listing once everything before it was consumed, and from then on.
func TestErrors(t *testing.T) {
	t.Parallel()
	l := numbered(5, 5, 5)
	broken, gone := errors.New("broken"), errors.New("gone")
	l.fails = map[int]error{2: broken}
	src := &source{fail: func(n int) error {
		if n == 3 || n == 7 {
			return gone
		}
		return nil
	}}
	r := readahead.New(t.Context(), readahead.Config[int]{Store: l, Window: 20, Fetch: src.fetch})
	defer r.Close()
	for n := range 10 {
		item, err := r.Next()
		if err != nil || item == nil || number(item.Version) != n {
			t.Fatalf("version %d: %v, %v", n, item, err)
		}
		if want := src.fail(n); item.Err != want || want != nil && item.Value != -n {
			t.Errorf("version %d: %d, %v, want %v", n, item.Value, item.Err, want)
		}
	}
	for range 2 {
		if item, err := r.Next(); item != nil || err != broken {
			t.Errorf("then %v, %v", item, err)
		}
	}
	if n := len(l.asked); n != 3 {
		t.Errorf("the listing was asked for %d times", n)
	}
}

// Close returns when no fetch is under way any more, and begins none. No goroutine is
// left, or the bubble would say so.
func TestClose(t *testing.T) {
	t.Parallel()
	for _, taken := range []int{0, 1, 5, 40} {
		synctest.Test(t, func(t *testing.T) {
			src := &source{took: func(n int) time.Duration { return time.Duration(n+1) * time.Second }}
			fetch := func(ctx context.Context, v backend.Version) (int, error) {
				n, err := src.fetch(ctx, v)
				if ctx.Err() != nil {
					src.mu.Lock()
					src.now++
					src.mu.Unlock()
					time.Sleep(time.Minute) // a request that does not end at once
					src.mu.Lock()
					src.now--
					src.mu.Unlock()
				}
				return n, err
			}
			r := readahead.New(t.Context(), readahead.Config[int]{Store: numbered(100), Window: 10, Fetch: fetch})
			for range taken {
				if _, err := r.Next(); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			begun := src.count()
			closing := time.Now()
			r.Close()
			if took := time.Since(closing); begun > taken && took != time.Minute {
				t.Errorf("after %d: closing took %v, want that of a cancelled fetch", taken, took)
			}
			if src.now != 0 || src.count() != begun {
				t.Errorf("after %d: %d fetches under way, %d begun since", taken, src.now, src.count()-begun)
			}
			if item, err := r.Next(); item != nil || err == nil {
				t.Errorf("a closed reader returns %v, %v", item, err)
			}
			r.Close()
		})
	}
}

// A reader whose context ends says so in place of bodies and pages, and does not hang.
func TestContextEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		src := &source{took: always(time.Hour)}
		r := readahead.New(ctx, readahead.Config[int]{Store: numbered(10, 10), Window: 5, Fetch: src.fetch})
		defer r.Close()
		time.AfterFunc(time.Second, func() { cancel(nil) })
		for range 10 {
			item, err := r.Next()
			if err != nil || !errors.Is(item.Err, context.Canceled) {
				t.Fatalf("%v, %v", item, err)
			}
		}
		if item, err := r.Next(); item != nil || !errors.Is(err, context.Canceled) {
			t.Errorf("then %v, %v", item, err)
		}
	})
}

// Readers that share slots hold no more bodies together than there are, however many
// readers there are, and all of them get through.
func TestSlots(t *testing.T) {
	t.Parallel()
	for _, readers := range []int{1, 3, 20} {
		synctest.Test(t, func(t *testing.T) {
			src := &source{took: always(time.Second)}
			slots := readahead.NewSlots(8)
			var all sync.WaitGroup
			for range readers {
				all.Go(func() {
					r := readahead.New(t.Context(), readahead.Config[int]{Store: numbered(30), Window: 5, Slots: slots, Fetch: src.fetch})
					defer r.Close()
					if got, err := drain(t, r); err != nil || !slices.Equal(got, upTo(30)) {
						t.Errorf("got %v, %v", got, err)
					}
				})
			}
			all.Wait()
			if want := min(8, 5*readers); src.most != want {
				t.Errorf("%d readers: %d bodies under way at once, want %d", readers, src.most, want)
			}
			if len(slots) != 0 {
				t.Errorf("%d slots were not given back", len(slots))
			}
		})
	}
}

// A reader that is closed, or whose context ends, gives back the slots it holds, and
// does not wait for others' any longer.
func TestSlotsGivenBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := &source{took: always(time.Second)}
		slots := readahead.NewSlots(4)
		config := readahead.Config[int]{Store: numbered(30), Window: 8, Slots: slots, Fetch: src.fetch}
		greedy := readahead.New(t.Context(), config)
		if _, err := greedy.Next(); err != nil {
			t.Fatal(err)
		}
		if len(slots) != 3 {
			t.Errorf("%d slots are held", len(slots))
		}
		slots <- struct{}{}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		waiting := readahead.New(ctx, config)
		if item, err := waiting.Next(); item != nil || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("without a slot: %v, %v", item, err)
		}
		waiting.Close()
		greedy.Close()
		if len(slots) != 1 {
			t.Errorf("%d slots are held by closed readers", len(slots)-1)
		}
	})
}

func TestSeek(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ at, keep, first int }{{0, 0, 0}, {0, 5, 0}, {1, 1, 0}, {12, 0, 12}, {12, 5, 7}, {12, 1, 11}, {19, 30, 0}} {
		l := numbered(3, 0, 7, 2, 5, 3)
		l.pages[2][0].DeleteMarker = true // 3, which keeps its place in the listing
		src := &source{}
		r := readahead.New(t.Context(), readahead.Config[int]{Store: l, Limit: 100, Window: 4, Fetch: src.fetch})
		found, err := r.Seek(func(v backend.Version) bool { return number(v) == c.at }, c.keep)
		got, readErr := drain(t, r)
		r.Close()
		want := slices.DeleteFunc(upTo(20)[c.first:], func(n int) bool { return n == 3 })
		if !found || err != nil || readErr != nil || !slices.Equal(got, want) || src.count() != len(want) {
			t.Errorf("%+v: found %v, %v, %v, %v, want %v", c, found, err, got, readErr, want)
		}
		if l.asked[0].Limit != 0 {
			t.Errorf("%+v: pages of %d were asked for", c, l.asked[0].Limit)
		}
	}
}

func TestSeekInVain(t *testing.T) {
	t.Parallel()
	nowhere := func(backend.Version) bool { return false }
	r := readahead.New(t.Context(), readahead.Config[int]{Store: numbered(5, 5), Window: 4, Fetch: (&source{}).fetch})
	defer r.Close()
	if found, err := r.Seek(nowhere, 3); found || err != nil {
		t.Errorf("found %v, %v", found, err)
	}
	if item, err := r.Next(); item != nil || err != nil {
		t.Errorf("then %v, %v", item, err)
	}
	broken := errors.New("broken")
	l := numbered(5, 5)
	l.fails = map[int]error{1: broken}
	r = readahead.New(t.Context(), readahead.Config[int]{Store: l, Window: 4, Fetch: (&source{}).fetch})
	defer r.Close()
	if found, err := r.Seek(nowhere, 3); found || err != broken {
		t.Errorf("found %v, %v", found, err)
	}
}
