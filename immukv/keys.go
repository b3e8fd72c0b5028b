package immukv

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv/internal/wire"
)

// keys is [Client.Keys]. The store lists names, and a name is a key with a suffix. So the
// order of names differs from the order of keys if one key is a prefix of another: the
// name of "a" is listed after those of "a-b" and "a.b".
func (c *core) keys(ctx context.Context, q keysQuery) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := c.checkOpen(); err != nil {
			yield("", err)
			return
		}
		if err := c.checkHead(ctx); err != nil {
			yield("", err)
			return
		}
		l := keyLister{core: c, keysQuery: q, asked: make(map[string]struct{})}
		for _, v := range c.orphans() {
			if l.wanted(v.Key) {
				l.orphans = append(l.orphans, v.Key)
			}
		}
		slices.Sort(l.orphans)
		if err := l.list(ctx, func(key string) bool { return yield(key, nil) }); err != nil {
			yield("", fmt.Errorf("list keys: %w", err))
		}
	}
}

// keyLister turns pages of names into keys in order.
type keyLister struct {
	*core
	keysQuery
	// asked are keys whose names come after the pages so far, and whose existence has
	// been checked. Those that exist were yielded before their names were listed.
	asked map[string]struct{}
	// orphans are the keys of orphans, in order, that have not been yielded yet. They may
	// have no objects.
	orphans []string
	yielded int
	last    *string // the key yielded last
}

func (l *keyLister) wanted(key string) bool {
	return (l.after == nil || key > *l.after) && strings.HasPrefix(key, l.prefix)
}

func (l *keyLister) list(ctx context.Context, yield func(string) bool) error {
	dir := l.core.prefix + wire.KeysDir
	req := backend.NamesRequest{Prefix: dir + l.prefix}
	if l.after != nil {
		// Every key greater than after has a name greater than after itself. With the
		// suffix, "a-b" would be missed after "a".
		req.After = dir + *l.after
	}
	for {
		page, err := l.store.ListNames(ctx, req)
		if err != nil {
			return err
		}
		keys, err := l.pageKeys(ctx, page)
		if err != nil {
			return err
		}
		for _, key := range keys {
			if !l.put(key, yield) {
				return nil
			}
		}
		if page.Next == "" {
			break
		}
		req.Token = page.Next
	}
	if n := len(l.orphans); n > 0 {
		l.put(l.orphans[n-1], yield) // and those before it
	}
	return nil
}

// put yields a key, and before it the keys of orphans that sort before it. It skips a key
// that does not sort after the last one: that key was yielded before its name was listed,
// or it was first set after its place was passed, as if after the call.
func (l *keyLister) put(key string, yield func(string) bool) bool {
	if l.last != nil && key <= *l.last {
		return true
	}
	for len(l.orphans) > 0 && l.orphans[0] <= key {
		orphan := l.orphans[0]
		l.orphans = l.orphans[1:]
		if orphan != key && !l.put(orphan, yield) {
			return false
		}
	}
	l.last = &key
	l.yielded++
	return yield(key) && l.yielded != l.limit
}

// pageKeys returns the keys of a page in order, together with the keys that sort among
// them but whose names are listed later.
func (l *keyLister) pageKeys(ctx context.Context, page backend.NamesPage) ([]string, error) {
	var keys []string
	for _, name := range page.Names {
		if key, ok := wire.KeyOf(l.core.prefix, name); ok && l.wanted(key) {
			keys = append(keys, key)
		}
	}
	if page.Next != "" && len(page.Names) > 0 {
		early, err := l.outstanding(ctx, page.Names[len(page.Names)-1])
		if err != nil {
			return nil, err
		}
		keys = append(keys, early...)
	}
	slices.Sort(keys)
	return slices.Compact(keys), nil
}

// outstanding finds keys that sort before some key listed so far, but whose names sort
// after the last name listed. Such a key is a proper prefix of the last name's key. Its
// existence is checked once.
//
// protocol.md says that the next character in the last key sorts before ".". It can also
// be ".": the name of "a" comes after that of "a.b", too. So this function compares the
// names.
func (l *keyLister) outstanding(ctx context.Context, lastName string) ([]string, error) {
	last := strings.TrimPrefix(lastName, l.core.prefix+wire.KeysDir)
	l.forget(last)
	var early []string
	for i := len(l.prefix); i < len(last); i++ {
		key := last[:i]
		_, known := l.asked[key]
		if known || !utf8.RuneStart(last[i]) || key+wire.KeySuffix <= last || !l.wanted(key) {
			continue
		}
		_, err := l.store.Head(ctx, wire.KeyObject(l.core.prefix, key))
		if err != nil && !errors.Is(err, backend.ErrNotFound) && !errors.Is(err, backend.ErrInvalidName) {
			return nil, err
		}
		l.asked[key] = struct{}{}
		if err == nil {
			early = append(early, key)
		}
	}
	return early, nil
}

// forget drops the results for keys whose names have been passed.
func (l *keyLister) forget(last string) {
	for key := range l.asked {
		if !strings.HasPrefix(last, key) {
			delete(l.asked, key)
		}
	}
}
