package mutants

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
)

// newServer serves a store in memory over HTTP, with conditions. Below /denied
// everything is forbidden, below /absent there is no store. Every n-th request
// is answered with SlowDown.
func newServer(n int64) *httptest.Server {
	s := &server{store: memstore.New()}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /object", s.get)
	mux.HandleFunc("PUT /object", s.put)
	mux.HandleFunc("GET /versions", s.versions)
	mux.HandleFunc("GET /names", s.names)
	mux.HandleFunc("/denied/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	mux.HandleFunc("/absent/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	var requests atomic.Int64
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1)%n == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		mux.ServeHTTP(w, r)
	}))
}

// neverBusy is more requests than any server gets.
const neverBusy = math.MaxInt64

type server struct {
	store *memstore.Store
}

// Headers of an answer in addition to the standard ones.
const (
	headerVersion  = "X-Version-Id"
	headerNoObject = "X-No-Object" // of a 404: the store is there, and the object is not
)

func (s *server) get(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	var o backend.Object
	var err error
	if q.Has("version") {
		o, err = s.store.GetVersion(r.Context(), q.Get("name"), backend.VersionID(q.Get("version")))
	} else {
		o, err = s.store.Get(r.Context(), q.Get("name"))
	}
	if err != nil {
		fail(w, err)
		return
	}
	describe(w, o.Version)
	w.Header().Set("Content-Length", strconv.Itoa(len(o.Body)))
	w.Write(o.Body) //nolint:errcheck // the client is gone, and there is nobody to tell
}

func (s *server) put(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	cond := backend.IfMatch(backend.ETag(r.Header.Get("If-Match")))
	if r.Header.Get("If-None-Match") == "*" {
		cond = backend.IfAbsent()
	}
	v, err := s.store.Put(r.Context(), r.URL.Query().Get("name"), body, cond)
	if err != nil {
		fail(w, err)
		return
	}
	describe(w, v)
}

func (s *server) versions(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	limit, _ := strconv.Atoi(q.Get("limit"))
	page, err := s.store.ListVersions(r.Context(), q.Get("name"), backend.VersionsRequest{
		After: backend.VersionID(q.Get("after")), Token: backend.PageToken(q.Get("token")), Limit: limit,
	})
	reply(w, page, err)
}

func (s *server) names(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	limit, _ := strconv.Atoi(q.Get("limit"))
	page, err := s.store.ListNames(r.Context(), backend.NamesRequest{
		Prefix: q.Get("prefix"), After: q.Get("after"), Token: backend.PageToken(q.Get("token")), Limit: limit,
	})
	reply(w, page, err)
}

func describe(w http.ResponseWriter, v backend.Version) {
	w.Header().Set("ETag", string(v.ETag))
	w.Header().Set(headerVersion, string(v.ID))
}

func reply(w http.ResponseWriter, page any, err error) {
	if err != nil {
		fail(w, err)
		return
	}
	json.NewEncoder(w).Encode(page) //nolint:errcheck // the client is gone, and there is nobody to tell
}

func fail(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, backend.ErrNotFound):
		w.Header().Set(headerNoObject, "true")
		status = http.StatusNotFound
	case errors.Is(err, backend.ErrPreconditionFailed):
		status = http.StatusPreconditionFailed
	}
	w.WriteHeader(status)
}
