package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
)

// tapped counts the requests to a store, and lets a test disturb them.
type tapped struct {
	// before is called with each request, such as "get"; an error is its answer.
	before func(ctx context.Context, op, name string) error
	// change changes bodies that are read.
	change func(name string, body []byte) []byte

	mu     sync.Mutex
	store  backend.VersionedStore
	counts map[string]int
}

// exchange puts another store in the place of this one.
func (s *tapped) exchange(store backend.VersionedStore) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store = store
}

func (s *tapped) now() backend.VersionedStore {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.store
}

func (s *tapped) tell(ctx context.Context, op, name string) error {
	s.mu.Lock()
	if s.counts == nil {
		s.counts = make(map[string]int)
	}
	s.counts[op]++
	before := s.before
	s.mu.Unlock()
	if before == nil {
		return nil
	}
	return before(ctx, op, name)
}

// disturb sets what happens before each request.
func (s *tapped) disturb(before func(ctx context.Context, op, name string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = before
}

func (s *tapped) requests() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, count := range s.counts {
		n += count
	}
	return n
}

func (s *tapped) writes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts["put"]
}

func (s *tapped) changed(obj backend.Object, name string, err error) (backend.Object, error) {
	if err == nil && s.change != nil {
		obj.Body = s.change(name, obj.Body)
	}
	return obj, err
}

func (s *tapped) Get(ctx context.Context, name string) (backend.Object, error) {
	if err := s.tell(ctx, "get", name); err != nil {
		return backend.Object{}, err
	}
	obj, err := s.now().Get(ctx, name)
	return s.changed(obj, name, err)
}

func (s *tapped) GetVersion(ctx context.Context, name string, id backend.VersionID) (backend.Object, error) {
	if err := s.tell(ctx, "version", name); err != nil {
		return backend.Object{}, err
	}
	obj, err := s.now().GetVersion(ctx, name, id)
	return s.changed(obj, name, err)
}

func (s *tapped) Head(ctx context.Context, name string) (backend.Version, error) {
	if err := s.tell(ctx, "head", name); err != nil {
		return backend.Version{}, err
	}
	return s.now().Head(ctx, name)
}

func (s *tapped) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	if err := s.tell(ctx, "put", name); err != nil {
		return backend.Version{}, err
	}
	return s.now().Put(ctx, name, body, cond)
}

func (s *tapped) ListVersions(ctx context.Context, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
	if err := s.tell(ctx, "versions", name); err != nil {
		return backend.VersionsPage{}, err
	}
	return s.now().ListVersions(ctx, name, req)
}

func (s *tapped) ListNames(ctx context.Context, req backend.NamesRequest) (backend.NamesPage, error) {
	if err := s.tell(ctx, "names", req.Prefix); err != nil {
		return backend.NamesPage{}, err
	}
	return s.now().ListNames(ctx, req)
}

// bench is a store in memory, a client that writes to it, and a server that shows it by
// way of a tap.
type bench struct {
	testing.TB
	store  *memstore.Store
	tap    *tapped
	writer *client
	now    time.Time // of the writer's clock, which goes on by a minute for each entry
	server *Server
}

func newBench(t testing.TB, change func(*Config)) *bench {
	t.Helper()
	b := &bench{TB: t, store: memstore.New(), now: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)}
	b.tap = &tapped{store: b.store}
	b.writer = b.newWriter(b.store)
	config := Config{Name: "mem://", Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
	if change != nil {
		change(&config)
	}
	var err error
	b.server, err = Open(b.tap, config)
	b.check(err)
	t.Cleanup(b.server.Close)
	return b
}

func (b *bench) newWriter(store backend.VersionedStore) *client {
	b.Helper()
	db, err := immukv.Open[json.RawMessage](b.Context(), store, immukv.WithValueCodec[json.RawMessage](anyText{}),
		immukv.WithClock(func() time.Time { b.now = b.now.Add(time.Minute); return b.now }))
	b.check(err)
	return db
}

func (b *bench) check(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bench) set(key, value string) immukv.Entry[json.RawMessage] {
	b.Helper()
	e, err := b.writer.Set(b.Context(), key, json.RawMessage(value))
	b.check(err)
	return e
}

// orphan leaves an orphan behind, as a writer does that crashes between append and apply.
func (b *bench) orphan(key, value string) immukv.Entry[json.RawMessage] {
	b.Helper()
	dying := b.newWriter(&tapped{store: b.store, before: func(_ context.Context, op, name string) error {
		if op == "put" && strings.Contains(name, "keys/") {
			return fmt.Errorf("crashed: %w", backend.ErrAccessDenied)
		}
		return nil
	}})
	e, err := dying.Set(b.Context(), key, json.RawMessage(value))
	b.check(err)
	return e
}

// answer is what the server answered.
type answer struct {
	*bench
	path   string
	status int
	header http.Header
	body   []byte
}

// do sends a request as a browser on this machine does, with more headers as pairs.
func (b *bench) do(method, path string, header ...string) *answer {
	b.Helper()
	r := httptest.NewRequestWithContext(b.Context(), method, "http://127.0.0.1:8080"+path, nil)
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		} else {
			r.Header.Set(header[i], header[i+1])
		}
	}
	w := httptest.NewRecorder()
	b.server.ServeHTTP(w, r)
	resp := w.Result()
	body, err := io.ReadAll(resp.Body)
	b.check(err)
	return &answer{b, method + " " + path, resp.StatusCode, resp.Header, body}
}

// get reads a page that there is.
func (b *bench) get(path string) *answer {
	b.Helper()
	a := b.do("GET", path)
	if a.status != http.StatusOK {
		b.Fatalf("GET %s: %d\n%s", path, a.status, a.text("#main"))
	}
	return a
}

// find returns the elements that a selector names: a tag, #id or .class, or both.
func (a *answer) find(selector string) []*html.Node {
	a.Helper()
	root, err := html.Parse(bytes.NewReader(a.body))
	a.check(err)
	tag, class, hasClass := strings.Cut(selector, ".")
	tag, id, hasID := strings.Cut(tag, "#")
	var found []*html.Node
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && (tag == "" || n.Data == tag) && (!hasID || attr(n, "id") == id) &&
			(!hasClass || strings.Contains(" "+attr(n, "class")+" ", " "+class+" ")) {
			found = append(found, n)
		}
	}
	return found
}

func (a *answer) one(selector string) *html.Node {
	a.Helper()
	found := a.find(selector)
	if len(found) != 1 {
		a.Fatalf("%s has %d of %s\n%s", a.path, len(found), selector, a.body)
	}
	return found[0]
}

// text is the text of the elements that a selector names, with single spaces.
func (a *answer) text(selector string) string {
	a.Helper()
	var all []string
	for _, n := range a.find(selector) {
		all = append(all, textOf(n))
	}
	return strings.Join(all, " ")
}

func textOf(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// reads fails unless the text of a selector has all parts.
func (a *answer) reads(selector string, parts ...string) {
	a.Helper()
	text := a.text(selector)
	for _, part := range parts {
		if !strings.Contains(text, part) {
			a.Errorf("%s: %s lacks %q: %s", a.path, selector, part, text)
		}
	}
}

// link follows the link that a selector names.
func (a *answer) link(selector string) *answer {
	a.Helper()
	return a.get(attr(a.one(selector), "href"))
}
