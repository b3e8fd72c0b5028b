package conformance

import (
	"context"
	"strings"

	"github.com/immukv/immukv-go/backend"
)

// orphan leaves an orphan at the head: of a new key, or of one that has an
// entry already.
func orphan(ctx context.Context, s backend.VersionedStore, prefix, key string, l *ledger, update bool) error {
	before := "another"
	if update {
		before = key
	}
	for _, step := range []struct {
		store      backend.VersionedStore
		key, value string
	}{{s, before, prefix + "before"}, {&keyless{VersionedStore: s, prefix: prefix}, key, prefix + "orphan"}} {
		c, err := connect(ctx, step.store, prefix)
		if err != nil {
			return err
		}
		defer c.Close() //nolint:errcheck // others read what it wrote
		if err := l.set(ctx, c, step.key, step.value); err != nil {
			return unlike("a write to succeed once its entry is in the log", "%v", err)
		}
	}
	report, err := audited(ctx, s, prefix)
	if err != nil {
		return err
	}
	if len(report.Orphans) == 0 || report.Orphans[0].Key != key {
		return unlike("a write that is not applied to leave an orphan", "%+v", report.Orphans)
	}
	return nil
}

// keyless is a store that denies writes of key objects, so that no entry is
// applied.
type keyless struct {
	backend.VersionedStore
	prefix string
}

func (k *keyless) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	if strings.HasPrefix(name, k.prefix+"keys/") {
		return backend.Version{}, &backend.Error{Op: "put", Name: name, Kind: backend.ErrAccessDenied}
	}
	return k.VersionedStore.Put(ctx, name, body, cond)
}
