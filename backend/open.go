package backend

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// Store is a [VersionedStore] that [Open] opened. Close releases what opening acquired;
// it does not wait for running calls. Other handles of the same store, also in this
// process, stay usable.
type Store interface {
	VersionedStore
	io.Closer
}

// OpenFunc opens the store that a URL names. Its scheme is one for which the
// function was registered.
type OpenFunc func(ctx context.Context, u *url.URL) (Store, error)

var registry struct {
	sync.RWMutex
	schemes  map[string]OpenFunc
	fallback func() []string
	open     OpenFunc
}

// Register makes a URL scheme known to [Open]. Packages of stores call it when they are
// imported. It panics if the scheme is registered already: two packages claim it, which
// is a mistake in the program.
func Register(scheme string, open OpenFunc) {
	registry.Lock()
	defer registry.Unlock()
	if _, taken := registry.schemes[scheme]; taken {
		panic("backend: URL scheme registered twice: " + scheme)
	}
	if registry.schemes == nil {
		registry.schemes = make(map[string]OpenFunc)
	}
	registry.schemes[scheme] = open
}

// RegisterFallback registers a function that opens schemes without a [Register] of their
// own; schemes returns those that it opens at present. Package blobstore registers the
// gocloud drivers in this way. It panics if called twice.
func RegisterFallback(schemes func() []string, open OpenFunc) {
	registry.Lock()
	defer registry.Unlock()
	if registry.open != nil {
		panic("backend: fallback registered twice")
	}
	registry.fallback, registry.open = schemes, open
}

// Open opens the store that a URL names, in the forms that gocloud users know:
//
//	mem://                          in memory, empty, lost with the process
//	file:///dir?create_dir=true     local files
//	s3://bucket?region=eu-central-1 S3 and compatible servers
//	anything else                   a registered gocloud bucket
//
// The packages that a program imports decide which schemes it knows. An unknown scheme or
// parameter is [ErrInvalidURL], and the error lists the known ones. A store that cannot
// keep the contract is [ErrUnsupported] (S20). Errors contain only the scheme, host and
// path of the URL.
func Open(ctx context.Context, storeURL string) (Store, error) {
	u, err := url.Parse(storeURL)
	if err != nil {
		// The error of url.Parse repeats the whole URL, which may contain credentials.
		return nil, fmt.Errorf("%w: it is not a URL; known schemes: %s", ErrInvalidURL, knownSchemes())
	}
	open := opener(u.Scheme)
	if open == nil {
		return nil, fmt.Errorf("%w %q: unknown scheme %q; known schemes: %s", ErrInvalidURL, withoutSecrets(u), u.Scheme, knownSchemes())
	}
	store, err := open(ctx, u)
	if err != nil {
		return nil, fmt.Errorf("open store %q: %w", withoutSecrets(u), err)
	}
	return store, nil
}

// withoutSecrets returns a URL as errors may contain it. The URL of a store should have
// no credentials, but somebody may have put some there, or a signature among the
// parameters.
func withoutSecrets(u *url.URL) string {
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	return shown.String()
}

func opener(scheme string) OpenFunc {
	registry.RLock()
	defer registry.RUnlock()
	if open, ok := registry.schemes[scheme]; ok {
		return open
	}
	if registry.open != nil && slices.Contains(registry.fallback(), scheme) {
		return registry.open
	}
	return nil
}

// Schemes lists the URL schemes that [Open] knows in this program, sorted.
func Schemes() []string {
	registry.RLock()
	defer registry.RUnlock()
	var known []string
	for scheme := range registry.schemes {
		known = append(known, scheme)
	}
	if registry.fallback != nil {
		known = append(known, registry.fallback()...)
	}
	slices.Sort(known)
	return slices.Compact(known)
}

func knownSchemes() string {
	known := Schemes()
	if len(known) == 0 {
		return "none (import a store package, such as backend/blobstore for file://)"
	}
	return strings.Join(known, ", ")
}

// CheckParams returns an error that is [ErrInvalidURL] if the URL has an unknown
// parameter, or a parameter twice. The error lists the known parameters. Store packages
// call it in their [OpenFunc].
func CheckParams(u *url.URL, known ...string) error {
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return fmt.Errorf("%w: its parameters are malformed", ErrInvalidURL)
	}
	for name, values := range q {
		if !slices.Contains(known, name) {
			list := "none"
			if len(known) > 0 {
				list = strings.Join(known, ", ")
			}
			return fmt.Errorf("%w: unknown parameter %q; known for %s: %s", ErrInvalidURL, name, u.Scheme, list)
		}
		if len(values) > 1 {
			return fmt.Errorf("%w: parameter %q is given %d times", ErrInvalidURL, name, len(values))
		}
	}
	return nil
}
