package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
)

// putStore is a store whose writes go through a function of the test.
type putStore struct {
	backend.VersionedStore
	put func(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error)
}

func (s *putStore) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	return s.put(ctx, name, body, cond)
}

// TestUnknownOutcome has the answer to a write lost, and the store out of reach from
// then on. The command that it names finds the write, if it took place.
func TestUnknownOutcome(t *testing.T) {
	t.Parallel()
	for command, stdin := range map[string]string{"set k 2": "", "load -": `{"key":"k","value":2}`} {
		for applied, want := range map[bool]int{true: exitDone, false: exitNotFound} {
			t.Run(fmt.Sprintf("%s, applied=%v", command, applied), func(t *testing.T) {
				t.Parallel()
				url, held := holdStore(t)
				if r := runHere(t.Context(), "", "--store", url, "set", "k", "1"); r.code != exitDone {
					t.Fatal(r.stderr)
				}
				held.front = func(inner backend.VersionedStore) backend.VersionedStore {
					return &cutStore{VersionedStore: inner, applies: applied}
				}
				r := runHere(t.Context(), stdin, append([]string{"--store", url}, strings.Fields(command)...)...)
				if r.code != exitUnknown || !strings.Contains(r.stderr, "connection reset by peer") {
					t.Fatalf("exit code %d: %s", r.code, r.stderr)
				}
				hint := regexp.MustCompile(`(?m)^  immukv (log --from 1 --write-id [0-9a-f]{32})$`).FindStringSubmatch(r.stderr)
				if hint == nil {
					t.Fatalf("standard error does not say how to find out: %s", r.stderr)
				}
				held.front = nil
				found := runHere(t.Context(), "", append([]string{"--store", url}, strings.Fields(hint[1])...)...)
				if found.code != want || strings.HasSuffix(found.stdout, "\tk\t2\n") != applied {
					t.Errorf("%s: exit code %d: %s%s", hint[1], found.code, found.stdout, found.stderr)
				}
			})
		}
	}
}

// cutStore is a store that is cut off by the first write, which applies all the same
// or does not.
type cutStore struct {
	backend.VersionedStore
	applies bool
	cut     bool
}

var errCut = errors.New("connection reset by peer")

func (s *cutStore) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	if !s.cut && s.applies {
		if _, err := s.VersionedStore.Put(ctx, name, body, cond); err != nil {
			return backend.Version{}, err
		}
	}
	s.cut = true
	return backend.Version{}, &backend.Error{Op: "put", Name: name, Kind: backend.ErrOutcomeUnknown, Err: errCut}
}

func (s *cutStore) Get(ctx context.Context, name string) (backend.Object, error) {
	if s.cut {
		return backend.Object{}, &backend.Error{Op: "get", Name: name, Err: errCut}
	}
	return s.VersionedStore.Get(ctx, name)
}

// TestLostRaces lets another writer win every race.
func TestLostRaces(t *testing.T) {
	t.Parallel()
	url, held := holdStore(t)
	held.front = func(inner backend.VersionedStore) backend.VersionedStore {
		other, err := immukv.Open[int](t.Context(), inner)
		check(t, err)
		races := 0
		return &putStore{inner, func(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
			if name == logObject {
				races++
				if _, err := other.Set(ctx, "other", races); err != nil {
					t.Error(err)
				}
			}
			return inner.Put(ctx, name, body, cond)
		}}
	}
	r := runHere(t.Context(), "", "--store", url, "set", "--attempts", "3", "k", "1")
	if r.code != exitCondition || r.stdout != "" || !strings.Contains(r.stderr, "conflict") {
		t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
	held.front = nil
	if r := runHere(t.Context(), "", "--store", url, "keys"); r.stdout != "other\n" {
		t.Errorf("keys: %s%s", r.stdout, r.stderr)
	}
	if r := runHere(t.Context(), "", "--store", url, "--json", "audit"); !strings.Contains(r.stdout, `"valid":true,"entries":3,`) {
		t.Errorf("audit: %s%s", r.stdout, r.stderr)
	}
}

// TestTimeout has a store that never answers.
func TestTimeout(t *testing.T) {
	t.Parallel()
	url, held := holdStore(t)
	held.front = func(inner backend.VersionedStore) backend.VersionedStore {
		return &silentStore{VersionedStore: inner}
	}
	for _, command := range []string{"get k", "set k 1", "log", "audit", "repair"} {
		r := runHere(t.Context(), "", append([]string{"--store", url, "--timeout", "1ms"}, strings.Fields(command)...)...)
		if r.code != exitFailed || !strings.Contains(r.stderr, "deadline exceeded") || !strings.Contains(r.stderr, "--timeout") {
			t.Errorf("%s: exit code %d: %s%s", command, r.code, r.stdout, r.stderr)
		}
	}

	// The same for input that never comes.
	for _, command := range []string{"set k -", "load -"} {
		in, feed := io.Pipe()
		var stderr strings.Builder
		code := Run(t.Context(), append([]string{"--store", url, "--timeout", "1ms"}, strings.Fields(command)...), in, io.Discard, &stderr)
		if code != exitFailed || !strings.Contains(stderr.String(), "deadline exceeded") {
			t.Errorf("%s: exit code %d: %s", command, code, &stderr)
		}
		_ = feed.Close()
	}
}

// silentStore is a store that does not answer when the log is read.
type silentStore struct {
	backend.VersionedStore
	asked chan<- struct{} // told of each such read, if set
}

func (s *silentStore) Get(ctx context.Context, name string) (backend.Object, error) {
	if s.asked != nil {
		s.asked <- struct{}{}
	}
	<-ctx.Done()
	return backend.Object{}, ctx.Err()
}

// TestInterrupt interrupts commands that wait for the store.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"get k", "set k 1", "history k", "log", "keys", "verify", "audit", "repair"} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			asked := make(chan struct{}, 1)
			url, held := holdStore(t)
			held.front = func(inner backend.VersionedStore) backend.VersionedStore {
				return &silentStore{inner, asked}
			}
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				<-asked
				cancel()
			}()
			r := runHere(ctx, "", append([]string{"--store", url}, strings.Fields(command)...)...)
			if r.code != exitFailed || r.stdout != "" || !strings.HasPrefix(r.stderr, "immukv: interrupted: ") {
				t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
			}
		})
	}
}

// TestGrace interrupts a set whose write is under way. It ends in good order.
func TestGrace(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	url, held := holdStore(t)
	held.front = func(inner backend.VersionedStore) backend.VersionedStore {
		return &putStore{inner, func(put context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
			cancel()
			if err := put.Err(); err != nil {
				return backend.Version{}, err
			}
			return inner.Put(put, name, body, cond)
		}}
	}
	r := runHere(ctx, "", "--store", url, "--json", "set", "k", "1")
	var entry entryJSON
	if err := json.Unmarshal([]byte(r.stdout), &entry); r.code != exitDone || err != nil {
		t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
}
