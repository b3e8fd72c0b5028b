package memstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
)

func put(t *testing.T, s backend.VersionedStore, name, body string, cond backend.Condition) backend.Version {
	t.Helper()
	v, err := s.Put(t.Context(), name, []byte(body), cond)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestConditions(t *testing.T) {
	s := memstore.New()
	absent, match := backend.IfAbsent(), backend.IfMatch(`"other"`)

	if _, err := s.Put(t.Context(), "a", nil, match); !errors.Is(err, backend.ErrPreconditionFailed) {
		t.Errorf("S2: writing a missing object under IfMatch: %v", err)
	}
	first := put(t, s, "a", "1", absent)
	if first.ID == "" || first.ID == "null" || first.ETag == "" {
		t.Errorf("S4: got %+v", first)
	}
	for _, cond := range []backend.Condition{absent, match} {
		if _, err := s.Put(t.Context(), "a", []byte("2"), cond); !errors.Is(err, backend.ErrPreconditionFailed) {
			t.Errorf("S1, S2: writing %v over a version: %v", cond, err)
		}
	}
	second := put(t, s, "a", "2", backend.IfMatch(first.ETag))
	if second.ID == first.ID || second.ETag == first.ETag {
		t.Errorf("S9: %+v follows %+v", second, first)
	}
	got, err := s.Get(t.Context(), "a")
	if err != nil || got.Version != second || string(got.Body) != "2" {
		t.Errorf("get: %+v, %v", got, err)
	}
	if head, err := s.Head(t.Context(), "a"); err != nil || head != second {
		t.Errorf("head: %+v, %v", head, err)
	}
	got, err = s.GetVersion(t.Context(), "a", first.ID)
	if err != nil || got.Version != first || string(got.Body) != "1" {
		t.Errorf("get version: %+v, %v", got, err)
	}
	if _, err := s.Put(t.Context(), "a", nil, backend.Condition{}); !errors.Is(err, backend.ErrNoCondition) {
		t.Errorf("writing without a condition: %v", err)
	}
}

func TestAbsence(t *testing.T) {
	s := memstore.New()
	put(t, s, "a", "1", backend.IfAbsent())
	_, get := s.Get(t.Context(), "b")
	_, head := s.Head(t.Context(), "b")
	_, missing := s.GetVersion(t.Context(), "b", "x")
	_, version := s.GetVersion(t.Context(), "a", "x")
	for i, err := range []error{get, head, missing, version} {
		if !errors.Is(err, backend.ErrNotFound) {
			t.Errorf("S14: read %d of what is absent: %v", i, err)
		}
	}
	page, err := s.ListVersions(t.Context(), "b", backend.VersionsRequest{})
	if err != nil || len(page.Versions) != 0 || page.Next != "" {
		t.Errorf("the versions of an object never written: %+v, %v", page, err)
	}
	if _, err := s.ListVersions(t.Context(), "a", backend.VersionsRequest{After: "x"}); err == nil {
		t.Error("listed versions after one that the object does not have")
	}
}

func TestRefusals(t *testing.T) {
	s := memstore.New()
	for _, name := range []string{"", "\xff", strings.Repeat("n", backend.MaxNameBytes+1)} {
		_, putErr := s.Put(t.Context(), name, nil, backend.IfAbsent())
		_, getErr := s.Get(t.Context(), name)
		_, listErr := s.ListVersions(t.Context(), name, backend.VersionsRequest{})
		for _, err := range []error{putErr, getErr, listErr} {
			if !errors.Is(err, backend.ErrInvalidName) {
				t.Errorf("S12: name %.10q: %v", name, err)
			}
		}
	}
	big := make([]byte, backend.MaxBodyBytes+1)
	if _, err := s.Put(t.Context(), "big", big, backend.IfAbsent()); !errors.Is(err, backend.ErrTooLarge) {
		t.Errorf("S13: a body over the limit: %v", err)
	}
	put(t, s, "big", string(big[1:]), backend.IfAbsent())
}

// TestAliasing changes every slice that went into or came out of the store.
func TestAliasing(t *testing.T) {
	s := memstore.New()
	body := []byte("kept")
	if _, err := s.Put(t.Context(), "a", body, backend.IfAbsent()); err != nil {
		t.Fatal(err)
	}
	copy(body, "lost")
	for range 2 {
		got, err := s.Get(t.Context(), "a")
		if err != nil || string(got.Body) != "kept" {
			t.Fatalf("S8: got %q, %v", got.Body, err)
		}
		copy(got.Body, "lost")
	}
	dump := s.Dump()
	dump.Objects[0].Versions[0].Body = "lost"
	dump.Objects[0].Name = "b"
	loaded, err := memstore.Load(s.Dump())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := loaded.Get(t.Context(), "a"); err != nil || string(got.Body) != "kept" {
		t.Fatalf("S8: after a dump was changed: %q, %v", got.Body, err)
	}
}

// TestRace is S3: of concurrent writes under one condition exactly one applies.
func TestRace(t *testing.T) {
	s := memstore.New()
	cond := backend.IfAbsent()
	for round := range 50 {
		var won atomic.Int32
		var next atomic.Pointer[backend.Version]
		var racers sync.WaitGroup
		for racer := range 8 {
			racers.Go(func() {
				v, err := s.Put(t.Context(), "a", fmt.Append(nil, round, racer), cond)
				switch {
				case err == nil:
					won.Add(1)
					next.Store(&v)
				case !errors.Is(err, backend.ErrPreconditionFailed):
					t.Error(err)
				}
			})
		}
		racers.Wait()
		if won.Load() != 1 {
			t.Fatalf("round %d: %d writes applied", round, won.Load())
		}
		cond = backend.IfMatch(next.Load().ETag)
	}
}

func TestListVersions(t *testing.T) {
	s := memstore.New()
	var want []backend.Version // newest first
	cond := backend.IfAbsent()
	for i := range 25 {
		v := put(t, s, "a", fmt.Sprint(i), cond)
		want = slices.Insert(want, 0, v)
		cond = backend.IfMatch(v.ETag)
	}
	for limit := range 30 {
		for after := -1; after < len(want); after++ {
			req := backend.VersionsRequest{Limit: limit}
			if after >= 0 {
				req.After = want[after].ID
			}
			got := listVersions(t, s, "a", req)
			if diff := cmp.Diff(want[after+1:], got); diff != "" {
				t.Fatalf("S10: limit %d, after %d:\n%s", limit, after, diff)
			}
		}
	}
}

func listVersions(t *testing.T, s backend.VersionedStore, name string, req backend.VersionsRequest) []backend.Version {
	t.Helper()
	all := []backend.Version{}
	for {
		page, err := s.ListVersions(t.Context(), name, req)
		if err != nil {
			t.Fatal(err)
		}
		if req.Limit > 0 && len(page.Versions) > req.Limit {
			t.Fatalf("a page of %d versions where %d were asked for", len(page.Versions), req.Limit)
		}
		all = append(all, page.Versions...)
		if page.Next == "" {
			return all
		}
		if page.Next == req.Token {
			t.Fatalf("the listing stands still at %q", page.Next)
		}
		req.Token = page.Next
	}
}

func listNames(t *testing.T, s backend.VersionedStore, req backend.NamesRequest) []string {
	t.Helper()
	all := []string{}
	for {
		page, err := s.ListNames(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if req.Limit > 0 && len(page.Names) > req.Limit {
			t.Fatalf("a page of %d names where %d were asked for", len(page.Names), req.Limit)
		}
		all = append(all, page.Names...)
		if page.Next == "" {
			return all
		}
		if page.Next == req.Token {
			t.Fatalf("the listing stands still at %q", page.Next)
		}
		req.Token = page.Next
	}
}

func TestListNames(t *testing.T) {
	s := memstore.New()
	names := []string{"../x", "/", "/a", "A", "a", "a-", "a.", "a/", "a/.", "a//b", "a/b", "ab", "b", "é", "e\u0301", "\x00", "😀"}
	shuffled := slices.Clone(names)
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(shuffled), func(i, j int) {
		shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
	})
	for _, name := range shuffled {
		put(t, s, name, name, backend.IfAbsent())
	}
	slices.Sort(names)
	for _, prefix := range append([]string{"", "a/b/c", "zz"}, names...) {
		for _, after := range append([]string{"", "a\x00", "zz"}, names...) {
			want := []string{}
			for _, name := range names {
				if strings.HasPrefix(name, prefix) && name > after {
					want = append(want, name)
				}
			}
			for _, limit := range []int{0, 1, 3} {
				got := listNames(t, s, backend.NamesRequest{Prefix: prefix, After: after, Limit: limit})
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("S11: prefix %q, after %q, limit %d:\n%s", prefix, after, limit, diff)
				}
			}
		}
	}
}

// TestPageSize is the largest page: one that holds everything hides callers
// who forget the next.
func TestPageSize(t *testing.T) {
	s := memstore.New()
	cond := backend.IfAbsent()
	for i := range backend.MaxPageSize + 1 {
		put(t, s, fmt.Sprint("name", i), "", backend.IfAbsent())
		cond = backend.IfMatch(put(t, s, "v", fmt.Sprint(i), cond).ETag)
	}
	for _, limit := range []int{-1, 0, backend.MaxPageSize, backend.MaxPageSize + 1} {
		versions, err := s.ListVersions(t.Context(), "v", backend.VersionsRequest{Limit: limit})
		if err != nil || len(versions.Versions) != backend.MaxPageSize || versions.Next == "" {
			t.Errorf("limit %d: %d versions, next %q, %v", limit, len(versions.Versions), versions.Next, err)
		}
		names, err := s.ListNames(t.Context(), backend.NamesRequest{Limit: limit})
		if err != nil || len(names.Names) != backend.MaxPageSize || names.Next == "" {
			t.Errorf("limit %d: %d names, next %q, %v", limit, len(names.Names), names.Next, err)
		}
	}
}

func TestCancelled(t *testing.T) {
	s := memstore.New()
	put(t, s, "a", "1", backend.IfAbsent())
	before := s.Dump()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, get := s.Get(ctx, "a")
	_, head := s.Head(ctx, "a")
	_, version := s.GetVersion(ctx, "a", before.Objects[0].Versions[0].ID)
	_, write := s.Put(ctx, "b", nil, backend.IfAbsent())
	_, versions := s.ListVersions(ctx, "a", backend.VersionsRequest{})
	_, names := s.ListNames(ctx, backend.NamesRequest{})
	for i, err := range []error{get, head, version, write, versions, names} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("S18: call %d: %v", i, err)
		}
	}
	if diff := cmp.Diff(before, s.Dump()); diff != "" {
		t.Errorf("a cancelled call changed the store:\n%s", diff)
	}
}

// TestDeterministic keeps simulations replayable.
func TestDeterministic(t *testing.T) {
	write := func() memstore.State {
		s := memstore.New()
		for i := range 10 {
			put(t, s, fmt.Sprint(i), "x", backend.IfAbsent())
		}
		return s.Dump()
	}
	if diff := cmp.Diff(write(), write()); diff != "" {
		t.Error(diff)
	}
}

func TestOpen(t *testing.T) {
	first, err := backend.Open(t.Context(), "mem://")
	if err != nil {
		t.Fatal(err)
	}
	put(t, first, "a", "1", backend.IfAbsent())
	second, err := backend.Open(t.Context(), "mem://")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.Head(t.Context(), "a"); !errors.Is(err, backend.ErrNotFound) {
		t.Errorf("a second opening sees the first's object: %v", err)
	}
	if err := errors.Join(first.Close(), second.Close()); err != nil {
		t.Error(err)
	}
	for _, url := range []string{"mem://name", "mem:///name", "mem:name", "mem://?a=b", "mem://u@", "mem://#f"} {
		if _, err := backend.Open(t.Context(), url); !errors.Is(err, backend.ErrInvalidURL) {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// TestImports keeps the promise that memstore costs nothing to import.
func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range bytes.Fields(out) {
		pkg := string(line)
		host, _, _ := strings.Cut(pkg, "/") // the standard library's have no dot
		own := strings.HasPrefix(pkg, "github.com/immukv/immukv-go/backend")
		if strings.Contains(host, ".") && !own || pkg == "testing" {
			t.Errorf("memstore links %s", pkg)
		}
	}
}
