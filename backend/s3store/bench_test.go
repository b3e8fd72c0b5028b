package s3store_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/s3store"
	"github.com/immukv/immukv-go/backend/s3store/s3test"
	"github.com/immukv/immukv-go/immukv"
)

// benchEntries are the lengths of the logs that BenchmarkClient compares:
// IMMUKV_BENCH_ENTRIES, or those that a server gets through in minutes.
func benchEntries(b *testing.B) (lengths []int) {
	b.Helper()
	list := os.Getenv("IMMUKV_BENCH_ENTRIES")
	if list == "" {
		list = "100,10000"
	}
	for s := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 100 {
			b.Fatalf("IMMUKV_BENCH_ENTRIES=%q: %q is not a number from 100 on", list, s)
		}
		lengths = append(lengths, n)
	}
	return lengths
}

// BenchmarkClient compares what a client does on logs of different lengths on each
// server, alternately: how long it takes, in how many requests, and what part of that
// time the server takes to answer them, which is not the client's.
//
// Every other entry is one of a single key, the others each of a key of their own:
// there are as many versions of an object, and as many objects, as the length
// allows.
func BenchmarkClient(b *testing.B) {
	for _, sw := range s3test.All {
		b.Run(sw.Name, func(b *testing.B) {
			var logs []*measured
			for _, entries := range benchEntries(b) {
				logs = append(logs, fill(b, servers.Get(b, sw), entries))
			}
			for _, op := range benchOps {
				b.Run(op.name, func(b *testing.B) { op.compare(b, logs) })
			}
		})
	}
}

// benchValue is a value of 100 bytes of JSON.
var benchValue = strings.Repeat("x", 98)

// benchOp is something that a client does.
type benchOp struct {
	name   string
	serial bool                  // its requests follow one another
	parts  func(entries int) int // what its time is to be divided by, or nil
	do     func(context.Context, *immukv.Client[string]) error
}

var benchOps = []benchOp{
	{name: "Set", serial: true, do: func(ctx context.Context, db *immukv.Client[string]) error {
		_, err := db.Set(ctx, "hot", benchValue)
		return err
	}},
	{name: "Get", serial: true, do: func(ctx context.Context, db *immukv.Client[string]) error {
		_, err := db.Get(ctx, "hot")
		return err
	}},
	{name: "History10", do: func(ctx context.Context, db *immukv.Client[string]) error {
		return drain(db.History(ctx, "hot", immukv.Limit(10)))
	}},
	// A page has a thousand keys, or all, and is compared for each of them.
	{name: "KeysPage", parts: func(entries int) int { return min(entries/2, backend.MaxPageSize) },
		do: func(ctx context.Context, db *immukv.Client[string]) error {
			return drain(db.Keys(ctx, immukv.Limit(backend.MaxPageSize)))
		}},
}

// measured is a client on a log, whose requests are measured.
type measured struct {
	*immukv.Client[string]
	entries int
	link    *meter
}

// meter counts requests, and adds up the time until they are answered.
type meter struct {
	http.RoundTripper
	requests, took atomic.Int64
}

func (m *meter) RoundTrip(r *http.Request) (*http.Response, error) {
	start := time.Now()
	defer func() {
		m.requests.Add(1)
		m.took.Add(int64(time.Since(start)))
	}()
	return m.RoundTripper.RoundTrip(r)
}

// measure is an option of a client whose requests are measured.
func (m *meter) measure(o *s3.Options) {
	client := *o.HTTPClient.(*http.Client)
	m.RoundTripper, client.Transport = client.Transport, m
	o.HTTPClient = &client
}

// fill makes a log of so many entries in a new bucket.
func fill(b *testing.B, server *s3test.Server, entries int) *measured {
	b.Helper()
	m := &measured{entries: entries, link: &meter{}}
	store, err := s3store.New(b.Context(), server.Client(b, m.link.measure), server.NewBucket(b))
	if err != nil {
		b.Fatal(err)
	}
	if m.Client, err = immukv.Open[string](b.Context(), store, immukv.WithRepairCheckInterval(-1)); err != nil {
		b.Fatal(err)
	}
	for i := range entries {
		key := "hot"
		if i%2 == 1 {
			key = fmt.Sprint("key-", i)
		}
		if _, err := m.Set(b.Context(), key, benchValue); err != nil {
			b.Fatal(err)
		}
	}
	return m
}

// compare does it on each log, one after another. For each it reports the median time and the
// number of requests and, if they follow one another, how much longer it takes than
// they do; and of the longest log to the first the ratio of the times, as "growth".
func (op benchOp) compare(b *testing.B, logs []*measured) {
	took := make([][]time.Duration, len(logs))
	answering := make([][]time.Duration, len(logs))
	for _, m := range logs {
		m.link.requests.Store(0)
	}
	for b.Loop() {
		for i, m := range logs {
			m.link.took.Store(0)
			start := time.Now()
			if err := op.do(b.Context(), m.Client); err != nil {
				b.Fatal(err)
			}
			took[i] = append(took[i], time.Since(start))
			answering[i] = append(answering[i], time.Duration(m.link.took.Load()))
		}
	}
	median := func(d []time.Duration) float64 { slices.Sort(d); return float64(d[len(d)/2]) }
	b.ReportMetric(0, "ns/op") // of all of them
	parts := func(*measured) float64 { return 1 }
	if op.parts != nil {
		parts = func(m *measured) float64 { return float64(op.parts(m.entries)) }
	}
	for i, m := range logs {
		b.ReportMetric(median(took[i])/1e6, fmt.Sprintf("ms-%d", m.entries))
		b.ReportMetric(float64(m.link.requests.Load())/float64(len(took[i])), fmt.Sprintf("requests-%d", m.entries))
		if op.serial {
			b.ReportMetric(median(took[i])/median(answering[i]), fmt.Sprintf("x-server-%d", m.entries))
		}
	}
	first, last := 0, len(logs)-1
	b.ReportMetric(median(took[last])/parts(logs[last])/(median(took[first])/parts(logs[first])), "growth")
}
