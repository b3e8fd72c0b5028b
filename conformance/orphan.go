package conformance

import (
	"context"
	"fmt"
	"slices"

	"github.com/immukv/immukv-go/backend"
)

// orphans leaves an orphan of each key at the head: in one version of the log,
// if there are several. The first key is new, or has an entry already.
func orphans(ctx context.Context, s backend.VersionedStore, prefix string, l *ledger, update bool, keys ...string) error {
	before := "another"
	if update {
		before = keys[0]
	}
	if err := applied(ctx, s, prefix, l, prefix+"before", before); err != nil {
		return err
	}
	if err := unapplied(ctx, s, prefix, l, keys, keys); err != nil {
		return err
	}
	return orphaned(ctx, s, prefix, keys)
}

// applied sets keys through a client of its own.
func applied(ctx context.Context, s backend.VersionedStore, prefix string, l *ledger, value string, keys ...string) error {
	c, err := connect(ctx, s, prefix)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // others read what it wrote
	if len(keys) == 1 {
		err = l.set(ctx, c, keys[0], value+" of "+keys[0])
	} else {
		err = l.setAll(ctx, c, writesOf(value, keys...))
	}
	if err != nil {
		return unlike("a write to succeed once its entry is in the log", "%v", err)
	}
	return nil
}

// unapplied sets keys through a client of its own, which cannot apply the
// entries of some of them.
func unapplied(ctx context.Context, s backend.VersionedStore, prefix string, l *ledger, keys, orphans []string) error {
	denied := make(map[string]bool)
	for _, key := range orphans {
		denied[prefix+"keys/"+key+".json"] = true
	}
	return applied(ctx, &keyless{VersionedStore: s, denied: denied}, prefix, l, prefix+"orphan", keys...)
}

// orphaned checks that the audit finds the entries of these keys to be orphans,
// and no others.
func orphaned(ctx context.Context, s backend.VersionedStore, prefix string, keys []string) error {
	report, err := audited(ctx, s, prefix)
	if err != nil {
		return err
	}
	var found []string
	for _, o := range report.Orphans {
		found = append(found, o.Key)
	}
	if len(keys) == 0 && len(found) > 0 {
		return unlike("no orphan after a repair", "those of %q", found)
	}
	if !slices.Equal(found, keys) {
		return unlike(fmt.Sprintf("the entries of %q, which were not applied, to be orphans", keys), "those of %q", found)
	}
	return nil
}

// keyless is a store that denies writes of some key objects.
type keyless struct {
	backend.VersionedStore
	denied map[string]bool
}

func (k *keyless) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	if k.denied[name] {
		return backend.Version{}, &backend.Error{Op: "put", Name: name, Kind: backend.ErrAccessDenied}
	}
	return k.VersionedStore.Put(ctx, name, body, cond)
}
