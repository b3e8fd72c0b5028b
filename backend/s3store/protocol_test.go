package s3store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/s3store/s3test"
	"github.com/immukv/immukv-go/immukv"
)

// client makes a client of the protocol.
func client(t *testing.T, s backend.VersionedStore, opts ...immukv.Option) *immukv.Client[json.RawMessage] {
	t.Helper()
	db, err := immukv.Open[json.RawMessage](t.Context(), s, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func value(v any) json.RawMessage { return fmt.Appendf(nil, "%q", fmt.Sprint(v)) }

// audited is the values in the log, oldest first, after an audit without a
// finding.
func audited(t *testing.T, s backend.VersionedStore) []string {
	t.Helper()
	db := client(t, s)
	if _, err := db.Repair(t.Context()); err != nil {
		t.Fatal(err)
	}
	report, err := db.Audit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := report.Err(); err != nil || len(report.Orphans) > 0 {
		t.Fatalf("audit: %v, orphan %v", err, report.Orphans)
	}
	var values []string
	for entry, err := range db.Log(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, string(entry.JSON))
	}
	slices.Reverse(values)
	return values
}

// What each operation costs in requests, as docs/s3.md says.
func TestRequestCounts(t *testing.T) {
	servers.Each(t, func(t *testing.T, server *s3test.Server) {
		ctx := t.Context()
		bucket := server.NewBucket(t)
		proxy := s3test.NewProxy(t, server.Endpoint())
		s := open(t, server, bucket, s3test.At(proxy.URL))
		cost := func(what string, want map[string]int, do func() error) {
			t.Helper()
			proxy.Requests()
			if err := do(); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			got := make(map[string]int)
			for _, r := range proxy.Requests() {
				got[request(r)]++
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (want -, got +):\n%s", what, diff)
			}
		}
		db := client(t, s)
		set := func(db *immukv.Client[json.RawMessage], key string) func() error {
			return func() error { _, err := db.Set(ctx, key, value(key)); return err }
		}
		cost("the first set of all", map[string]int{"GET log": 1, "LIST log": 1, "GET key": 1, "PUT log": 1, "PUT key": 1}, set(db, "a"))
		cost("set again", map[string]int{"PUT log": 1, "PUT key": 1}, set(db, "a"))
		cost("set another key", map[string]int{"GET key": 1, "PUT log": 1, "PUT key": 1}, set(db, "b"))
		cost("set of a fresh client", map[string]int{"GET log": 1, "GET key": 2, "PUT log": 1, "PUT key": 1}, set(client(t, s), "a"))
		cost("set of a fresh client, the key of the head", map[string]int{"GET log": 1, "GET key": 1, "PUT log": 1, "PUT key": 1}, set(client(t, s), "a"))

		var last immukv.Entry[json.RawMessage]
		setIf := func(db *immukv.Client[json.RawMessage], key string, opt func() immukv.SetOption) func() error {
			return func() (err error) { last, err = db.Set(ctx, key, value(key), opt()); return err }
		}
		ofLast := func() immukv.SetOption { return immukv.IfSequence(last.Sequence) }
		fails := func(do func() error) func() error {
			return func() error {
				if err := do(); !errors.Is(err, immukv.ErrConditionFailed) {
					return fmt.Errorf("the condition did not fail: %w", err)
				}
				return nil
			}
		}
		known := client(t, s)
		cost("conditional set of a fresh client", map[string]int{"GET log": 1, "GET key": 2, "PUT log": 1, "PUT key": 1}, setIf(known, "if", immukv.IfAbsent))
		cost("conditional set again", map[string]int{"PUT log": 1, "PUT key": 1}, setIf(known, "if", ofLast))
		cost("conditional set of another key", map[string]int{"GET key": 1, "PUT log": 1, "PUT key": 1}, setIf(known, "if-2", immukv.IfAbsent))
		cost("conditional set that fails", map[string]int{"GET log": 1}, fails(setIf(known, "if-2", immukv.IfAbsent)))
		cost("conditional set that fails, not of the head", map[string]int{"GET log": 1, "GET key": 1}, fails(setIf(known, "if", immukv.IfAbsent)))
		cost("update", map[string]int{"GET log": 1, "PUT log": 1, "PUT key": 1}, func() error {
			_, err := known.Update(ctx, "if-2", func(old immukv.Entry[json.RawMessage], _ bool) (json.RawMessage, error) { return old.JSON, nil })
			return err
		})
		consistent := func(key string) func() error {
			return func() error { _, err := client(t, s).Get(ctx, key, immukv.Consistent()); return err }
		}
		cost("consistent get", map[string]int{"GET log": 1, "GET key": 1}, consistent("if"))
		cost("consistent get of the head", map[string]int{"GET log": 1}, consistent("if-2"))
		cost("consistent get of no key", map[string]int{"GET log": 1, "GET key": 1}, func() error {
			if err := consistent("none")(); !errors.Is(err, immukv.ErrNotFound) {
				return fmt.Errorf("not found: %w", err)
			}
			return nil
		})

		reader := client(t, s)
		get := func() error { _, err := reader.Get(ctx, "b"); return err }
		cost("the first get of a client", map[string]int{"GET log": 1, "GET key": 2}, get)
		cost("get", map[string]int{"GET key": 1}, get)

		version := 1 // what a version costs
		if server.Software == s3test.VersityGW {
			version = 2
		}
		const n = 30
		for i := range n {
			if err := set(db, fmt.Sprint("h", i%2))(); err != nil {
				t.Fatal(err)
			}
		}
		cost("history of n/2", map[string]int{"LIST key": 1, "VERSION key": n / 2 * version}, func() error { return drain(reader.History(ctx, "h0")) })
		cost("log of n+9", map[string]int{"GET log": 1, "LIST log": 1, "VERSION log": (n + 8) * version}, func() error { return drain(reader.Log(ctx)) })
		cost("keys", map[string]int{"LIST names": 1}, func() error { return drain(reader.Keys(ctx)) })
		cost("verify", map[string]int{"GET log": 1, "LIST log": 1, "VERSION log": (n + 8) * version}, func() error { _, err := reader.VerifyLog(ctx); return err })
	})
}

// request names a request by what it is of.
func request(r *http.Request) string {
	object := "key"
	if path.Base(r.URL.Path) == "_log.json" || strings.HasSuffix(r.URL.Query().Get("prefix"), "_log.json") {
		object = "log"
	}
	q := r.URL.Query()
	switch {
	case q.Has("versions"):
		return "LIST " + object
	case q.Has("list-type"):
		return "LIST names"
	case q.Has("versionId"):
		return "VERSION " + object
	}
	return r.Method + " " + object
}

func drain[T any](seq func(func(T, error) bool)) error {
	for _, err := range seq {
		if err != nil {
			return err
		}
	}
	return nil
}

// Sets of which every third answer is lost after the server applied them leave
// each entry once. (The other clients leave some twice.)
func TestLostAnswers(t *testing.T) {
	sets := 24
	if long() {
		sets = 200
	}
	servers.Each(t, func(t *testing.T, server *s3test.Server) {
		bucket := server.NewBucket(t)
		proxy := s3test.NewProxy(t, server.Endpoint())
		writes, lost := 0, 0
		proxy.Follow(func(r *http.Request) s3test.Fault {
			if !s3test.IsWrite(r) {
				return nil
			}
			if writes++; writes%3 != 0 {
				return nil
			}
			lost++
			return s3test.LoseAnswer
		})
		db := client(t, open(t, server, bucket, s3test.At(proxy.URL)))
		var want []string
		for i := range sets {
			if _, err := db.Set(t.Context(), fmt.Sprint("key-", i%5), value(i)); err != nil {
				t.Fatalf("set %d: %v", i, err)
			}
			want = append(want, string(value(i)))
		}
		if diff := cmp.Diff(want, audited(t, open(t, server, bucket))); diff != "" {
			t.Errorf("log (set -, found +):\n%s", diff)
		}
		if lost < sets/2 {
			t.Errorf("only %d answers were lost", lost)
		}
	})
}

// A write that is delivered late, after others have written, changes nothing.
func TestLateDelivery(t *testing.T) {
	servers.Each(t, func(t *testing.T, server *s3test.Server) {
		bucket := server.NewBucket(t)
		proxy := s3test.NewProxy(t, server.Endpoint())
		slow := client(t, open(t, server, bucket, s3test.At(proxy.URL)))
		other := client(t, open(t, server, bucket))
		acknowledged := make(map[string]bool)
		for round := range 12 {
			// The first write of the round, or the second, comes when it is over.
			release := make(chan struct{})
			writes := 0
			proxy.Follow(func(r *http.Request) s3test.Fault {
				if !s3test.IsWrite(r) {
					return nil
				}
				if writes++; writes == 1+round%2 {
					return s3test.Late(release)
				}
				return nil
			})
			v := value(fmt.Sprint("slow ", round))
			if _, err := slow.Set(t.Context(), "key", v); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			acknowledged[string(v)] = true
			for i := range 1 + round%3 {
				v := value(fmt.Sprint("other ", round, i))
				if _, err := other.Set(t.Context(), "key", v); err != nil {
					t.Fatalf("round %d: %v", round, err)
				}
				acknowledged[string(v)] = true
			}
			close(release)
		}
		checkLog(t, audited(t, open(t, server, bucket)), acknowledged, nil)
	})
}

// checkLog checks that every acknowledged value is in the log once, that one of
// unknown outcome is so at most, and that no other is.
func checkLog(t *testing.T, log []string, acknowledged, unknown map[string]bool) {
	t.Helper()
	times := make(map[string]int)
	for _, v := range log {
		if times[v]++; times[v] > 1 {
			t.Errorf("%s is in the log twice", v)
		}
		if !acknowledged[v] && !unknown[v] {
			t.Errorf("%s is in the log, though its set failed", v)
		}
	}
	for v := range acknowledged {
		if times[v] == 0 {
			t.Errorf("%s was acknowledged and is not in the log", v)
		}
	}
}

// Through faults of every kind, at random, several writers lose and double
// nothing, and are told the truth about what failed.
func TestRandomFaults(t *testing.T) {
	seeds := []uint64{1}
	if long() {
		seeds = []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	}
	servers.Each(t, func(t *testing.T, server *s3test.Server) {
		for _, seed := range seeds {
			t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { testRandomFaults(t, server, seed) })
		}
	})
}

func testRandomFaults(t *testing.T, server *s3test.Server, seed uint64) {
	const writers, sets = 3, 10
	bucket := server.NewBucket(t)
	random := rand.New(rand.NewPCG(seed, 0))
	faults := map[string]s3test.Fault{
		"503":             s3test.Answer(503, "SlowDown", 0),
		"500":             s3test.Answer(500, "InternalError", 0),
		"500 and applied": s3test.AnswerAfterwards(500, "InternalError"),
		"409":             s3test.Answer(409, "ConditionalRequestConflict", 0),
		"cut":             s3test.Cut,
		"lost":            s3test.LoseAnswer,
		"twice":           s3test.Twice,
		"stall":           s3test.Stall,
	}
	names := slices.Sorted(maps.Keys(faults))
	met := make(map[string]int)
	next := 0
	plan := func(r *http.Request) s3test.Fault {
		if random.IntN(3) > 0 {
			return nil
		}
		name := names[next%len(names)]
		if !s3test.IsWrite(r) && (name == "409" || name == "twice") {
			return nil // which servers do not answer to reads
		}
		next++ // one after another, so that all are met
		met[name]++
		return faults[name]
	}
	endpoints := server.Endpoints()
	var mu sync.Mutex
	acknowledged, unknown := make(map[string]bool), make(map[string]bool)
	var wg sync.WaitGroup
	for w := range writers {
		proxy := s3test.NewProxy(t, endpoints[w%len(endpoints)])
		db := client(t, open(t, server, bucket, s3test.At(proxy.URL), impatient))
		proxy.Follow(func(r *http.Request) s3test.Fault {
			mu.Lock()
			defer mu.Unlock()
			return plan(r)
		})
		wg.Go(func() {
			for i := range sets {
				v := value(fmt.Sprintf("writer %d, set %d", w, i))
				_, err := db.Set(t.Context(), fmt.Sprint("key-", (w+i)%2), v)
				mu.Lock()
				switch {
				case err == nil:
					acknowledged[string(v)] = true
				case errors.Is(err, immukv.ErrOutcomeUnknown):
					unknown[string(v)] = true
				case !definite(err):
					t.Errorf("set failed, and does not say what that proves: %v", err)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	checkLog(t, audited(t, open(t, server, bucket)), acknowledged, unknown)
	t.Logf("%d of %d acknowledged, %d unknown; faults: %v", len(acknowledged), writers*sets, len(unknown), met)
	if len(met) != len(faults) {
		t.Errorf("only these faults were met: %v", met)
	}
	if len(acknowledged) == 0 {
		t.Error("nothing was acknowledged")
	}
}

// impatient makes a client give up soon on a server that does not answer.
func impatient(o *s3.Options) {
	o.HTTPClient.(*http.Client).Transport.(*http.Transport).ResponseHeaderTimeout = 300 * time.Millisecond
}

// definite reports whether the error of a failed set proves that nothing was
// appended: the writes were denied, or there was none because a read failed.
func definite(err error) bool {
	var failed *backend.Error
	return errors.Is(err, immukv.ErrConflict) || errors.As(err, &failed) && (failed.Op != "put" || failed.Kind != nil)
}
