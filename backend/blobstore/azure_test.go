package blobstore_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"gocloud.dev/blob"
	_ "gocloud.dev/blob/azureblob"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/blobstore"
)

// A write to Azure that loses its race fails as one, time after time. Gocloud's Writer
// panics there now and then.
func TestAzureLostRaces(t *testing.T) {
	t.Setenv("AZURE_STORAGE_ACCOUNT", "account")
	t.Setenv("AZURE_STORAGE_KEY", "a2V5")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("x-ms-version", "2024-11-04")
		if r.Method == http.MethodPut {
			w.Header().Set("x-ms-error-code", "BlobAlreadyExists")
			w.WriteHeader(http.StatusConflict)
			return
		}
		w.Header().Set("x-ms-meta-immukv-write", "another's")
		w.Header().Set("Last-Modified", "Wed, 25 Nov 2026 00:00:00 GMT")
		w.Header().Set("x-ms-creation-time", "Wed, 25 Nov 2026 00:00:00 GMT")
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "1")
	}))
	t.Cleanup(server.Close)
	bucket, err := blob.OpenBucket(t.Context(), "azblob://container?protocol=http&localemu=true&domain="+strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bucket.Close() })
	store, err := blobstore.New(bucket)
	if err != nil {
		t.Fatal(err)
	}
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			for range 100 {
				if _, err := store.Put(t.Context(), "a", []byte("1"), backend.IfAbsent()); !errors.Is(err, backend.ErrPreconditionFailed) {
					t.Errorf("a write that lost: %v", err)
					return
				}
			}
		})
	}
	writers.Wait()
}
