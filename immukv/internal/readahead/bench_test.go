package readahead_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv/internal/readahead"
)

// pipeline reads ahead in the plainest way: a goroutine for each body, and a channel
// that keeps their order. Reader has to earn its keep against it.
func pipeline(ctx context.Context, l readahead.Lister, window int, fetch func(context.Context, backend.Version) (int, error)) (n int, err error) {
	type pending struct {
		err  error
		done chan struct{}
	}
	ahead := make(chan *pending, window-1)
	go func() {
		defer close(ahead)
		var req backend.VersionsRequest
		for {
			page, listErr := l.ListVersions(ctx, "", req)
			if listErr != nil {
				panic(listErr)
			}
			for _, v := range page.Versions {
				p := &pending{done: make(chan struct{})}
				ahead <- p
				go func() {
					_, p.err = fetch(ctx, v)
					close(p.done)
				}()
			}
			if page.Next == "" {
				return
			}
			req.Token = page.Next
		}
	}()
	for p := range ahead {
		<-p.done
		if p.err != nil {
			return n, p.err
		}
		n++
	}
	return n, nil
}

// BenchmarkReader reads 10,000 bodies, each of which takes the processor as long as
// hashing so many bytes, and 320 that take 20 ms each: by a Reader, by the plain
// pipeline, and in a loop that calls Fetch itself, by turns. It reports how long the
// first two took as a multiple of the loop, or, of those that take 20 ms, of the
// shortest time that the window allows.
func BenchmarkReader(b *testing.B) {
	const window = 32
	for _, c := range []struct {
		name   string
		bodies int
		fetch  func(context.Context, backend.Version) (int, error)
	}{
		{"hash1KiB", 10_000, hashing(1 << 10)},
		{"hash16KiB", 10_000, hashing(16 << 10)},
		{"20ms", 320, func(context.Context, backend.Version) (int, error) { time.Sleep(20 * time.Millisecond); return 0, nil }},
	} {
		b.Run(c.name, func(b *testing.B) {
			var pages []int
			for left := c.bodies; left > 0; left -= min(left, backend.MaxPageSize) {
				pages = append(pages, min(left, backend.MaxPageSize))
			}
			l := numbered(pages...)
			for _, procs := range []int{1, runtime.NumCPU()} {
				b.Run(fmt.Sprint("procs=", procs), func(b *testing.B) {
					defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
					var bare, reader, piped []time.Duration
					for b.Loop() {
						if c.bodies > window*100 {
							bare = append(bare, timed(func() {
								for _, page := range l.pages {
									for _, v := range page {
										_, _ = c.fetch(b.Context(), v)
									}
								}
							}))
						} else {
							bare = append(bare, time.Duration(c.bodies/window)*20*time.Millisecond)
						}
						reader = append(reader, timed(func() {
							r := readahead.New(b.Context(), readahead.Config[int]{Store: l, Window: window, Fetch: c.fetch})
							defer r.Close()
							n := 0
							for item, err := r.Next(); item != nil || err != nil; item, err = r.Next() {
								n++
							}
							if n != c.bodies {
								b.Fatal(n, "bodies")
							}
						}))
						piped = append(piped, timed(func() {
							if n, err := pipeline(b.Context(), l, window, c.fetch); err != nil || n != c.bodies {
								b.Fatal(n, "bodies", err)
							}
						}))
					}
					b.ReportMetric(0, "ns/op") // of three things
					b.ReportMetric(float64(median(reader))/float64(median(bare)), "x-reader")
					b.ReportMetric(float64(median(piped))/float64(median(bare)), "x-pipeline")
				})
			}
		})
	}
}

func hashing(bytes int) func(context.Context, backend.Version) (int, error) {
	body := make([]byte, bytes)
	return func(context.Context, backend.Version) (int, error) {
		sum := sha256.Sum256(body)
		return int(sum[0]), nil
	}
}

func timed(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

func median(took []time.Duration) time.Duration {
	slices.Sort(took)
	return took[len(took)/2]
}
