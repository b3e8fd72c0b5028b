package s3store_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/s3store/s3test"
)

// Sixteen sets at once in one client all succeed, at what they cost one after another:
// three requests each, two when the client has written the keys before.
func TestRequestsOfConcurrentSets(t *testing.T) {
	servers.Each(t, func(t *testing.T, server *s3test.Server) {
		const sets = 16
		bucket := server.NewBucket(t)
		proxy := s3test.NewProxy(t, server.Endpoint())
		db := client(t, open(t, server, bucket, s3test.At(proxy.URL)))
		if _, err := db.Set(t.Context(), "first", value("first")); err != nil {
			t.Fatal(err)
		}
		proxy.Requests()
		for _, c := range []struct {
			what string
			want map[string]int
		}{
			{"new keys", map[string]int{"GET key": sets, "PUT log": sets, "PUT key": sets}},
			{"known keys", map[string]int{"PUT log": sets, "PUT key": sets}},
		} {
			var wg sync.WaitGroup
			for i := range sets {
				wg.Go(func() {
					if _, err := db.Set(t.Context(), fmt.Sprint("key-", i), value(c.what)); err != nil {
						t.Errorf("%s: set %d: %v", c.what, i, err)
					}
				})
			}
			wg.Wait()
			if diff := cmp.Diff(c.want, counted(proxy)); diff != "" {
				t.Errorf("%d sets of %s at once (want -, got +):\n%s", sets, c.what, diff)
			}
		}
		if entries := len(audited(t, open(t, server, bucket))); entries != 1+2*sets {
			t.Errorf("the log has %d entries", entries)
		}
	})
}

// Keys takes a request for each page of a thousand names, and one for each key that
// pages may lack because it is the beginning of others.
func TestRequestsOfKeys(t *testing.T) {
	if !long() {
		t.Log("left out: it writes thousands of objects; set IMMUKV_LONG=1")
		return
	}
	servers.Each(t, func(t *testing.T, server *s3test.Server) {
		const keys = 2*backend.MaxPageSize + 500
		bucket := server.NewBucket(t)
		proxy := s3test.NewProxy(t, server.Endpoint())
		direct := open(t, server, bucket)
		db := client(t, open(t, server, bucket, s3test.At(proxy.URL)))
		var writers sync.WaitGroup
		const at = 16
		for w := range at {
			writers.Go(func() {
				for i := w; i < keys; i += at {
					if _, err := direct.Put(t.Context(), fmt.Sprintf("keys/key-%04d.json", i), []byte("{}"), backend.IfAbsent()); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		writers.Wait()
		if err := drain(db.Keys(t.Context())); err != nil { // the client's first check of the head
			t.Fatal(err)
		}
		proxy.Requests()
		listed := 0
		for _, err := range db.Keys(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			listed++
		}
		// The name of a key "key" would stand behind all of these.
		want := map[string]int{"LIST names": 3, "GET key": 1}
		if diff := cmp.Diff(want, counted(proxy)); diff != "" {
			t.Errorf("listing %d keys (want -, got +):\n%s", keys, diff)
		}
		if listed != keys {
			t.Errorf("%d keys of %d", listed, keys)
		}
	})
}

// counted is how many requests of each kind have arrived since it was last asked.
func counted(proxy *s3test.Proxy) map[string]int {
	counts := make(map[string]int)
	for _, r := range proxy.Requests() {
		counts[request(r)]++
	}
	return counts
}
