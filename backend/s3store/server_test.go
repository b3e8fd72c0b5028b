package s3store_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/s3store"
	"github.com/immukv/immukv-go/backend/s3store/s3test"
)

// Of 32 writers under one condition exactly one wins, each time, through every
// endpoint of the server at once.
func TestOneWinner(t *testing.T) {
	rounds := 4
	if long() {
		rounds = 100
	}
	servers.Each(t, func(t *testing.T, server *s3test.Server) {
		const writers = 32
		bucket := server.NewBucket(t)
		var stores []*s3store.Store
		for _, endpoint := range server.Endpoints() {
			stores = append(stores, open(t, server, bucket, s3test.At(endpoint)))
		}
		cond := backend.IfAbsent()
		for round := range rounds {
			var wg sync.WaitGroup
			var versions [writers]backend.Version
			var errs [writers]error
			for i := range writers {
				wg.Go(func() {
					versions[i], errs[i] = stores[i%len(stores)].Put(t.Context(), "a", fmt.Appendf(nil, "round %d, writer %d", round, i), cond)
				})
			}
			wg.Wait()
			var won []backend.Version
			for i, err := range errs {
				switch {
				case err == nil:
					won = append(won, versions[i])
				case !errors.Is(err, backend.ErrPreconditionFailed):
					t.Fatalf("round %d, writer %d: %v", round, i, err)
				}
			}
			if len(won) != 1 {
				t.Fatalf("round %d: %d winners: %v", round, len(won), won)
			}
			cond = backend.IfMatch(won[0].ETag)
		}
		if got := allVersions(t, stores[0], "a", backend.VersionsRequest{}); len(got) != rounds {
			t.Errorf("%d versions after %d rounds", len(got), rounds)
		}
	})
}

// What was acknowledged before the server was killed is there when it runs
// again, under the same IDs, and listings that began before continue.
func TestRestart(t *testing.T) {
	if !long() {
		t.Log("left out: it starts servers of its own, and twice; set IMMUKV_LONG=1")
		return
	}
	for _, sw := range s3test.All {
		t.Run(sw.Name, func(t *testing.T) {
			t.Parallel()
			server := s3test.Start(t, sw)
			s := open(t, server, server.NewBucket(t))
			var written []backend.Version
			cond := backend.IfAbsent()
			for i := range 20 {
				v := write(t, s, "a", fmt.Sprint(i), cond)
				written, cond = append(written, v), backend.IfMatch(v.ETag)
			}
			first, err := s.ListVersions(t.Context(), "a", backend.VersionsRequest{Limit: 7})
			if err != nil {
				t.Fatal(err)
			}

			server.Kill()
			if _, err := s.Get(t.Context(), "a"); err == nil || errors.Is(err, backend.ErrNotFound) {
				t.Errorf("read of a server that is down: %v", err)
			}
			if _, err := s.Put(t.Context(), "a", []byte("down"), cond); !errors.Is(err, backend.ErrUnavailable) && !errors.Is(err, backend.ErrOutcomeUnknown) {
				t.Errorf("write to a server that is down: %v", err)
			}
			server.Restart(t)

			rest := allVersions(t, s, "a", backend.VersionsRequest{Limit: 7, Token: first.Next})
			listed := append(first.Versions, rest...)
			if len(listed) != len(written) {
				t.Fatalf("%d versions listed, of %d", len(listed), len(written))
			}
			for i, v := range listed {
				if want := written[len(written)-1-i]; v != want {
					t.Errorf("place %d has %+v, want %+v", i, v, want)
				}
				if o, err := s.GetVersion(t.Context(), "a", v.ID); err != nil || string(o.Body) != fmt.Sprint(len(written)-1-i) {
					t.Errorf("place %d: %q, %v", i, o.Body, err)
				}
			}
			write(t, s, "a", "after", cond)
		})
	}
}

// The probe trusts both servers, and says of gofakes3 what is wrong with it.
func TestProbe(t *testing.T) {
	servers.Each(t, func(t *testing.T, server *s3test.Server) {
		report, err := backend.Probe(t.Context(), open(t, server, server.NewBucket(t)), "plant-7/")
		if err != nil || !report.Trusted() {
			t.Errorf("%v, %v", err, report.Err())
		}
	})
}

func TestProbeRefusesGofakes3(t *testing.T) {
	server := httptest.NewServer(gofakes3.New(s3mem.New()).Server())
	t.Cleanup(server.Close)
	client := s3.New(s3.Options{
		Region: s3test.Region, BaseEndpoint: &server.URL, UsePathStyle: true,
		Credentials:                credentials.NewStaticCredentialsProvider("key", "secret", ""),
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
	})
	bucket := aws.String("bucket")
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: bucket}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{Bucket: bucket,
		VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}}); err != nil {
		t.Fatal(err)
	}
	s, err := s3store.New(context.Background(), client, *bucket)
	if err != nil {
		t.Fatal(err)
	}
	report, err := backend.Probe(t.Context(), s, "")
	if err != nil {
		t.Fatal(err)
	}
	if report.Trusted() {
		t.Fatalf("trusted: %+v", report)
	}
	reasons := report.Err().Error()
	t.Log(reasons)
	if !strings.Contains(reasons, "S10") {
		t.Errorf("%q does not say that versions are listed in the wrong order (S10)", reasons)
	}
}
