package tlog_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/immukv/tlog"
)

// The honest log has 40 entries, sealed and witnessed at 20 and at 40.
const (
	earlier = 20
	now     = 40
)

// replay makes the log of n entries. The entries from changed on have other values
// than in the honest one. Two logs with the same entries have the same hashes.
func replay(t *testing.T, n, changed int) (backend.VersionedStore, *client) {
	t.Helper()
	store := memstore.New()
	tick := time.UnixMilli(1_700_000_000_000)
	db := open(t, store, immukv.WithClock(func() time.Time { tick = tick.Add(time.Second); return tick }))
	for i := range n {
		value := fmt.Sprintf(`{"n":%d}`, i)
		if i >= changed {
			value = fmt.Sprintf(`{"n":%d}`, -i)
		}
		if _, err := db.Set(t.Context(), fmt.Sprintf("key-%d", i%7), json.RawMessage(value)); err != nil {
			t.Fatal(err)
		}
	}
	return store, db
}

// copySealed copies what is below tlog/.
func copySealed(t *testing.T, to, from backend.VersionedStore) {
	t.Helper()
	page, err := from.ListNames(t.Context(), backend.NamesRequest{Prefix: "tlog/"})
	if err != nil || page.Next != "" {
		t.Fatal(err, page.Next)
	}
	for _, name := range page.Names {
		obj, err := from.Get(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		replace(t, to, name, obj.Body)
	}
}

// replace makes an object hold other bytes, as somebody may who has the bucket.
func replace(t *testing.T, store backend.VersionedStore, name string, body []byte) {
	t.Helper()
	cond := backend.IfAbsent()
	if v, err := store.Head(t.Context(), name); err == nil {
		cond = backend.IfMatch(v.ETag)
	}
	if _, err := store.Put(t.Context(), name, body, cond); err != nil {
		t.Fatal(err)
	}
}

// editedStore has one log version changed in place.
type editedStore struct {
	backend.VersionedStore
	old, new string
}

func (s editedStore) GetVersion(ctx context.Context, name string, id backend.VersionID) (backend.Object, error) {
	obj, err := s.VersionedStore.GetVersion(ctx, name, id)
	if name == "_log.json" {
		obj.Body = bytes.Replace(obj.Body, []byte(s.old), []byte(s.new), 1)
	}
	return obj, err
}

// world is an honest log, as it was sealed and witnessed.
type world struct {
	k       keys
	store   backend.VersionedStore
	witness *tlog.WitnessPolicy
	early   backend.VersionedStore // the bucket as it was at the earlier seal
	first   []byte                 // the checkpoint of then
}

func newWorld(t *testing.T) *world { return newWorldOf(t, newKeys(t)) }

func newWorldOf(t *testing.T, k keys) *world {
	w := &world{k: k}
	w.witness = policyOf(t, "witness "+newWitness(t, w.k, "w.example").line()+"\nquorum w.example\n")
	var db *client
	w.early, db = replay(t, earlier, now)
	w.first = seal(t, db, w.k, tlog.Witnessed(w.witness)).Signed
	w.store, db = replay(t, now, now)
	copySealed(t, w.store, w.early)
	seal(t, db, w.k, tlog.Witnessed(w.witness))
	return w
}

// attack changes the bucket, or puts another in its place. The stolen key, where
// it is one, signs without the witness, which would not cosign.
type attack struct {
	name string
	do   func(t *testing.T, w *world) backend.VersionedStore
	// The error that each reader has, or nil if it notices nothing.
	chain, sealed, remembered, witnessed error
}

var attacks = []attack{
	{"nothing", func(_ *testing.T, w *world) backend.VersionedStore { return w.store }, nil, nil, nil, nil},
	{"edit an entry", func(_ *testing.T, w *world) backend.VersionedStore {
		return editedStore{w.store, `"value":{"n":5}`, `"value":{"n":6}`}
	}, immukv.ErrVerificationFailed, immukv.ErrVerificationFailed, immukv.ErrVerificationFailed, immukv.ErrVerificationFailed},
	{"cut off the end", func(t *testing.T, w *world) backend.VersionedStore {
		store, _ := replay(t, now-5, now)
		copySealed(t, store, w.store)
		return store
	}, nil, tlog.ErrRolledBack, tlog.ErrRolledBack, tlog.ErrRolledBack},
	{"rewrite from an entry on", func(t *testing.T, w *world) backend.VersionedStore {
		store, _ := replay(t, now, 10)
		copySealed(t, store, w.store)
		return store
	}, nil, tlog.ErrFork, tlog.ErrFork, tlog.ErrFork},
	{"roll back the whole bucket", func(_ *testing.T, w *world) backend.VersionedStore { return w.early },
		nil, nil, tlog.ErrRolledBack, nil},
	{"give a second reader a fork", signFork, nil, nil, tlog.ErrFork, tlog.ErrBadCheckpoint},
	{"alter a tile", func(t *testing.T, w *world) backend.VersionedStore {
		return alter(t, w.store, "tlog/tile/0/000.p/40")
	}, nil, tlog.ErrBadTile, tlog.ErrBadTile, tlog.ErrBadTile},
	{"alter an entry bundle", func(t *testing.T, w *world) backend.VersionedStore {
		return alter(t, w.store, "tlog/tile/entries/000.p/40")
	}, nil, tlog.ErrBadTile, tlog.ErrBadTile, tlog.ErrBadTile},
	{"alter a hint", func(t *testing.T, w *world) backend.VersionedStore {
		store, db := replay(t, 300, 300)
		copySealed(t, store, w.store)
		seal(t, db, w.k, tlog.Witnessed(w.witness))
		return alter(t, store, "tlog/versions/000")
	}, nil, nil, nil, nil},
	{"restore an older checkpoint", func(t *testing.T, w *world) backend.VersionedStore {
		replace(t, w.store, "tlog/checkpoint", w.first)
		return w.store
	}, nil, nil, tlog.ErrRolledBack, nil},
	{"remove the checkpoint", func(t *testing.T, _ *world) backend.VersionedStore {
		store, _ := replay(t, now, now)
		return store
	}, nil, tlog.ErrNoCheckpoint, tlog.ErrNoCheckpoint, tlog.ErrNoCheckpoint},
	{"sign a longer tree with the stolen key", func(t *testing.T, w *world) backend.VersionedStore {
		store, db := replay(t, now+10, 10)
		seal(t, db, w.k)
		return store
	}, nil, nil, tlog.ErrFork, tlog.ErrBadCheckpoint},
	{"sign a shorter tree with the stolen key", func(t *testing.T, w *world) backend.VersionedStore {
		store, db := replay(t, now-10, 10)
		seal(t, db, w.k)
		return store
	}, nil, nil, tlog.ErrRolledBack, tlog.ErrBadCheckpoint},
}

// signFork is what the key's holder can do: a second history of the same length.
func signFork(t *testing.T, w *world) backend.VersionedStore {
	store, db := replay(t, now, 10)
	seal(t, db, w.k)
	return store
}

func alter(t *testing.T, store backend.VersionedStore, name string) backend.VersionedStore {
	obj, err := store.Get(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	obj.Body[len(obj.Body)/2] ^= 1
	replace(t, store, name, obj.Body)
	return store
}

// TestAdversary is the table of docs/trust.md: what each reader notices of each
// attack by somebody who has all of the bucket.
func TestAdversary(t *testing.T) {
	t.Parallel()
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			remembering := verifier(t, w.k)
			if _, err := tlog.Latest(t.Context(), remembering, open(t, w.store)); err != nil {
				t.Fatal(err)
			}
			store := a.do(t, w)
			report, err := open(t, store).VerifyLog(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			noticed(t, "the chain alone", report.Err(), a.chain)
			noticed(t, "sealed", inspect(t, verifier(t, w.k), store), a.sealed)
			noticed(t, "sealed and remembered", inspect(t, remembering, store), a.remembered)
			noticed(t, "witnessed", inspect(t, verifier(t, w.k, tlog.RequireWitnesses(w.witness)), store), a.witnessed)
		})
	}
}

// errorNames are the errors as the table names them.
var errorNames = map[error]string{
	nil: "–", immukv.ErrVerificationFailed: "`ErrVerificationFailed`", tlog.ErrRolledBack: "`ErrRolledBack`", tlog.ErrFork: "`ErrFork`",
	tlog.ErrBadTile: "`ErrBadTile`", tlog.ErrBadCheckpoint: "`ErrBadCheckpoint`", tlog.ErrNoCheckpoint: "`ErrNoCheckpoint`",
}

// TestTrustTable holds the table of docs/trust.md to the attacks.
func TestTrustTable(t *testing.T) {
	t.Parallel()
	doc := string(read(t, "../../docs/trust.md"))
	for _, a := range attacks {
		row := fmt.Sprintf("| %s | %s | %s | %s | %s |\n", a.name, errorNames[a.chain], errorNames[a.sealed], errorNames[a.remembered], errorNames[a.witnessed])
		if !strings.Contains(doc, row) {
			t.Errorf("docs/trust.md should have the line\n%s", row)
		}
	}
}

func noticed(t *testing.T, reader string, got, want error) {
	t.Helper()
	if (got != nil) != (want != nil) || want != nil && !errors.Is(got, want) {
		t.Errorf("%s: %v; the table says %v", reader, got, want)
	}
}

// inspect audits the log, and gets and proves what there is. The first error counts.
func inspect(t *testing.T, v *tlog.Verifier, store backend.VersionedStore) error {
	t.Helper()
	db := open(t, store)
	c, err := tlog.Audit(t.Context(), v, db)
	report, _, both := tlog.AuditStore(t.Context(), v, db)
	if both == nil {
		both = report.Err()
	}
	for kind := range errorNames {
		if kind != nil && errors.Is(err, kind) != errors.Is(both, kind) {
			t.Errorf("Audit: %v; AuditStore: %v", err, both)
		}
	}
	if err != nil {
		return err
	}
	for key, err := range db.Keys(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tlog.Get(t.Context(), v, db, key); err != nil && !errors.Is(err, tlog.ErrNotSealed) {
			return err
		}
	}
	for sequence := range c.Size {
		if _, err := tlog.Prove(t.Context(), db, sequence); err != nil {
			return err
		}
	}
	return nil
}

// TestSealRefuses never signs a log that contradicts its last checkpoint, and names
// both sequences.
func TestSealRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		n, changed int
		kind       error
		says       []string
	}{
		{"shorter", 30, now, tlog.ErrRolledBack, []string{"sequence 39", "sequence 29"}},
		{"empty", 0, now, tlog.ErrRolledBack, []string{"sequence 39", "empty"}},
		{"rewritten, no longer", now, 10, tlog.ErrFork, []string{"sequence 39"}},
		{"rewritten, longer", now + 5, 10, tlog.ErrFork, []string{"sequence 40", "sequence 39"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			store, db := replay(t, c.n, c.changed)
			copySealed(t, store, w.store)
			before, err := store.Get(t.Context(), "tlog/checkpoint")
			if err != nil {
				t.Fatal(err)
			}
			_, err = tlog.Seal(t.Context(), db, w.k.signer)
			if !errors.Is(err, c.kind) || !errors.Is(err, immukv.ErrVerificationFailed) {
				t.Fatalf("Seal: %v", err)
			}
			for _, part := range c.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error does not say %q: %v", part, err)
				}
			}
			if after, err := store.Get(t.Context(), "tlog/checkpoint"); err != nil || after.ID != before.ID {
				t.Errorf("the checkpoint was replaced: %v", err)
			}
		})
	}
}

// TestSealNoticesRollback: what a stateless sealer cannot notice, one that remembers
// does, and so does a witness.
func TestSealNoticesRollback(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := verifier(t, w.k)
	if _, err := tlog.Latest(t.Context(), v, open(t, w.store)); err != nil {
		t.Fatal(err)
	}
	early := open(t, w.early)
	grow(t, early, 0, 3)
	if _, err := tlog.Seal(t.Context(), early, w.k.signer, tlog.Remembering(v)); !errors.Is(err, tlog.ErrRolledBack) {
		t.Errorf("a sealer that remembers: %v", err)
	}
	if _, err := tlog.Seal(t.Context(), early, w.k.signer, tlog.Witnessed(w.witness)); !errors.Is(err, tlog.ErrWitnesses) || !errors.Is(err, tlog.ErrRolledBack) {
		t.Errorf("a witness: %v", err)
	}
	grow(t, early, 3, 60)
	if _, err := tlog.Seal(t.Context(), early, w.k.signer, tlog.Witnessed(w.witness)); !errors.Is(err, tlog.ErrWitnesses) || !errors.Is(err, tlog.ErrFork) {
		t.Errorf("a witness, of a longer fork: %v", err)
	}
	seal(t, early, w.k) // and without either it is sealed
}

// TestAuditNamesTheTile names any tile or bundle that is another, far from the edge, too;
// but where the log is another, that is what counts.
func TestAuditNamesTheTile(t *testing.T) {
	t.Parallel()
	k := newKeys(t)
	honest, db := replay(t, 600, 600)
	seal(t, db, k)
	for _, name := range []string{"tile/0/000", "tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2", "tile/entries/000", "tile/entries/001", "tile/entries/002.p/88"} {
		alter(t, honest, "tlog/"+name)
		if _, err := tlog.Audit(t.Context(), verifier(t, k), db); !errors.Is(err, tlog.ErrBadTile) || !strings.Contains(err.Error(), name+" ") {
			t.Errorf("%s is another: %v", name, err)
		}
		alter(t, honest, "tlog/"+name) // as it was
	}
	if _, err := tlog.Audit(t.Context(), verifier(t, k), db); err != nil {
		t.Error(err)
	}
	rewritten, db := replay(t, 600, 100)
	copySealed(t, rewritten, honest)
	if _, err := tlog.Audit(t.Context(), verifier(t, k), db); !errors.Is(err, tlog.ErrFork) {
		t.Errorf("the log was rewritten: %v", err)
	}
}
