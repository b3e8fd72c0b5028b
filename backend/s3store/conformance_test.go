package s3store_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/s3store"
	"github.com/immukv/immukv-go/backend/s3store/s3test"
	"github.com/immukv/immukv-go/conformance"
)

// TestConformance runs the clauses on every server, each check on a bucket of
// its own, its handles at different endpoints of the server.
func TestConformance(t *testing.T) {
	servers.Each(t, func(t *testing.T, server *s3test.Server) {
		conformance.Run(t, harness(t, server))
	})
}

func harness(t *testing.T, server *s3test.Server) conformance.Harness {
	sample, err := s3store.New(t.Context(), server.Client(t), server.NewBucket(t))
	if err != nil {
		t.Fatal(err)
	}
	h := conformance.Harness{
		New:    func(context.Context) (conformance.Store, error) { return bucketOf(t, server), nil },
		Limits: conformance.Limits{RefusesName: sample.Refuses, Clash: below},
		Lacks: map[conformance.Facility]string{
			conformance.Worker:  "to the server a process is one more client, as every handle here is",
			conformance.Restart: "the server is shared by checks that run side by side; TestRestart kills one of its own",
		},
		// What can be told in a second or two; the other tests of this package
		// tell much of the rest.
		Rounds: 1,
		Only:   []string{"S1", "S2", "S4", "S14", "S16", "S17", "S18", "S20"},
	}
	if long() {
		h.Rounds = conformance.DefaultRounds
		h.Only = append(clauses(server), "I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I10", "I11", "I12", "I14", "I15", "I16", "I17", "I18")
	}
	return h
}

// clauses are those that the server keeps. The exception is MinIO's: of "a" and
// "a/b" it takes both, and then does not list the second.
func clauses(server *s3test.Server) []string {
	var all []string
	for n := 1; n <= 20; n++ {
		if n == 12 && server.Software == s3test.MinIO {
			all = append(all, "S12/any-name", "S12/refused-as-declared", "S12/invalid", "S12/directories")
			continue
		}
		all = append(all, fmt.Sprint("S", n))
	}
	return all
}

// Bodies of the largest size that the contract allows.
func TestLargestBodies(t *testing.T) {
	if !long() {
		t.Log("left out: it takes a minute; set IMMUKV_LONG=1")
		return
	}
	servers.Each(t, func(t *testing.T, server *s3test.Server) {
		h := harness(t, server)
		h.Deep, h.Only = true, []string{"S13"}
		conformance.Run(t, h)
	})
}

// bucketOf is a fresh bucket as the suite sees it.
func bucketOf(t *testing.T, server *s3test.Server) conformance.Store {
	bucket := server.NewBucket(t)
	opened := 0
	return conformance.Store{
		Open: func(ctx context.Context) (backend.VersionedStore, error) {
			endpoints := server.Endpoints()
			opened++
			return s3store.New(ctx, server.Client(t, s3test.At(endpoints[opened%len(endpoints)])), bucket)
		},
		OpenDenied: func(ctx context.Context) (backend.VersionedStore, error) {
			return s3store.New(ctx, server.Client(t, s3test.As(server.Restricted(t, bucket))), bucket)
		},
		OpenAbsent: func(ctx context.Context) (backend.VersionedStore, error) {
			return s3store.New(ctx, server.Client(t), "no-such-bucket")
		},
		OpenHTTP: func(ctx context.Context, wrap func(http.RoundTripper) http.RoundTripper) (backend.VersionedStore, error) {
			return s3store.New(ctx, server.Client(t, func(o *s3.Options) {
				client := *o.HTTPClient.(*http.Client)
				client.Transport = wrap(client.Transport)
				o.HTTPClient = &client
			}), bucket)
		},
	}
}

// below tells whether one name is the directory of the other.
func below(dir, name string) bool { return strings.HasPrefix(name, dir+"/") }
