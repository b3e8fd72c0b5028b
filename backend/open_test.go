package backend_test

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
)

var errRefused = errors.New("refused")

// The registry is the program's, and so is what these tests register.
func init() {
	backend.Register("open-test", func(_ context.Context, u *url.URL) (backend.Store, error) {
		if err := backend.CheckParams(u, "region", "endpoint"); err != nil {
			return nil, err
		}
		if u.Host == "refused" {
			return nil, errRefused
		}
		return memstore.New(), nil
	})
	backend.RegisterFallback(func() []string { return []string{"zz-driver", "aa-driver", "open-test"} },
		func(_ context.Context, u *url.URL) (backend.Store, error) {
			if u.Scheme == "open-test" {
				panic("a scheme that a store claimed must not come here")
			}
			return memstore.New(), nil
		})
}

func TestOpen(t *testing.T) {
	t.Parallel()
	for _, storeURL := range []string{"mem://", "open-test://bucket", "open-test://bucket?region=here&endpoint=", "aa-driver://anything?goes=1"} {
		s, err := backend.Open(t.Context(), storeURL)
		if err != nil {
			t.Errorf("%s: %v", storeURL, err)
			continue
		}
		if err := s.Close(); err != nil {
			t.Errorf("%s: %v", storeURL, err)
		}
	}
}

func TestOpenRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	tests := map[string][]string{ // what the error says
		"":                                     {"mem"},
		"nope://bucket":                        {"nope", "aa-driver, mem, open-test, zz-driver"},
		"relative/path":                        {"mem"},
		"://":                                  {"mem"},
		"open-test://bucket?regoin=here":       {"regoin", "region, endpoint"},
		"open-test://bucket?region=a&region=b": {"region", "2 times"},
		"open-test://bucket?region=%zz":        {"parameters"},
		"mem://?anything=1":                    {"anything", "none"},
		"open-test://bucket?region=here&%00=what": {"region, endpoint"},
	}
	for storeURL, parts := range tests {
		_, err := backend.Open(t.Context(), storeURL)
		if !errors.Is(err, backend.ErrInvalidURL) {
			t.Errorf("%q: %v", storeURL, err)
			continue
		}
		for _, part := range parts {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q: %q does not say %q", storeURL, err, part)
			}
		}
	}
}

func TestOpenKeepsTheCauseAndNoSecret(t *testing.T) {
	t.Parallel()
	_, err := backend.Open(t.Context(), "open-test://user:secret@refused/path?region=here")
	const want = `open store "open-test://refused/path": refused`
	if !errors.Is(err, errRefused) || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	for _, storeURL := range []string{
		"open-test://user:secret@refused",
		"open-test://refused?region=a secret",
		"open-test://refused?region=a%20secret",
		"open-test://refused?region=here#secret",
		"open-test://refused?endpoint=secret&regoin=secret",
		"open-test://user:secret@bad host/%zz",
		"nope://user:secret@host",
		"nope://secret@host",
		"nope://host?signature=secret",
		"nope:secret",
	} {
		_, err := backend.Open(t.Context(), storeURL)
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", storeURL, err)
		}
	}
}

func TestSchemes(t *testing.T) {
	t.Parallel()
	want := []string{"aa-driver", "mem", "open-test", "zz-driver"}
	if got := backend.Schemes(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRegisteringTwiceIsAMistake(t *testing.T) {
	t.Parallel()
	for name, register := range map[string]func(){
		"scheme":   func() { backend.Register("mem", nil) },
		"fallback": func() { backend.RegisterFallback(nil, nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: registered twice", name)
				}
			}()
			register()
		}()
	}
}
