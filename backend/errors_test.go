package backend_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/immukv/immukv-go/backend"
)

func TestErrorShowsItsKindAndItsCause(t *testing.T) {
	t.Parallel()
	cause := &fs.PathError{Op: "open", Path: "x", Err: fs.ErrPermission}
	err := fmt.Errorf("read the log: %w", &backend.Error{
		Op: "get version", Name: "_log.json", Version: "v7", Kind: backend.ErrAccessDenied, Err: cause,
	})
	if !errors.Is(err, backend.ErrAccessDenied) || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("%v does not show its kind and its cause", err)
	}
	if got, ok := errors.AsType[*fs.PathError](err); !ok || got != cause {
		t.Errorf("%v does not show the cause itself", err)
	}
	if errors.Is(err, backend.ErrNotFound) {
		t.Errorf("%v is of another kind, too", err)
	}
	const want = `read the log: get version "_log.json" version "v7": access denied: open x: permission denied`
	if err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
}

func TestErrorOfNoKind(t *testing.T) {
	t.Parallel()
	err := &backend.Error{Op: "head", Name: "a\nb", Err: context.Canceled}
	if !errors.Is(err, context.Canceled) || len(err.Unwrap()) != 1 {
		t.Errorf("%v does not show its cause alone", err)
	}
	if want := `head "a\nb": context canceled`; err.Error() != want {
		t.Errorf("got %s, want %s", err, want)
	}
}

func TestUnsupportedError(t *testing.T) {
	t.Parallel()
	err := error(&backend.Error{Op: "put", Name: "x", Err: &backend.UnsupportedError{
		Clause: "S4", Problem: "the bucket keeps no versions", Remedy: "enable versioning",
	}})
	if !errors.Is(err, backend.ErrUnsupported) || errors.Is(err, backend.ErrOutcomeUnknown) {
		t.Errorf("%v is not the kind of error that it should be", err)
	}
	for _, part := range []string{"S4", "keeps no versions", "enable versioning"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	busy := fmt.Errorf("set: %w", &backend.Error{Kind: backend.ErrUnavailable, RetryAfter: 3 * time.Second})
	if got := backend.RetryAfter(busy); got != 3*time.Second {
		t.Errorf("got %v", got)
	}
	for _, err := range []error{nil, errors.New("other"), &backend.Error{Kind: backend.ErrUnavailable}} {
		if got := backend.RetryAfter(err); got != 0 {
			t.Errorf("got %v of %v", got, err)
		}
	}
}

func TestCheckName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a", " ", "\x00", "../x", "/", "é", strings.Repeat("a", backend.MaxNameBytes), strings.Repeat("é", backend.MaxNameBytes/2)} {
		if err := backend.CheckName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", "\xff", "a\xc3", "\xed\xa0\x80", strings.Repeat("a", backend.MaxNameBytes+1), strings.Repeat("é", backend.MaxNameBytes/2) + "a"} {
		if err := backend.CheckName(name); !errors.Is(err, backend.ErrInvalidName) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestCheckPut(t *testing.T) {
	t.Parallel()
	largest := make([]byte, backend.MaxBodyBytes+1)
	tests := map[string]struct {
		name string
		body []byte
		cond backend.Condition
		want error
	}{
		"create":              {"a", nil, backend.IfAbsent(), nil},
		"update":              {"a", largest[1:], backend.IfMatch("e"), nil},
		"no name":             {"", nil, backend.IfAbsent(), backend.ErrInvalidName},
		"too large":           {"a", largest, backend.IfAbsent(), backend.ErrTooLarge},
		"no condition":        {"a", nil, backend.Condition{}, backend.ErrNoCondition},
		"an empty ETag":       {"a", nil, backend.IfMatch(""), backend.ErrNoCondition},
		"the name goes first": {"", largest, backend.Condition{}, backend.ErrInvalidName},
	}
	for name, test := range tests {
		if err := backend.CheckPut(test.name, test.body, test.cond); !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
	}
}

func TestCondition(t *testing.T) {
	t.Parallel()
	absent, match, neither := backend.IfAbsent(), backend.IfMatch(`"e"`), backend.Condition{}
	if !absent.Valid() || !absent.Absent() || absent.ETag() != "" {
		t.Errorf("%#v", absent)
	}
	if !match.Valid() || match.Absent() || match.ETag() != `"e"` {
		t.Errorf("%#v", match)
	}
	if neither.Valid() {
		t.Errorf("%#v", neither)
	}
	for cond, want := range map[backend.Condition]string{absent: "if absent", match: `if matching "e"`, neither: "no condition"} {
		if cond.String() != want {
			t.Errorf("got %q, want %q", cond, want)
		}
	}
}
