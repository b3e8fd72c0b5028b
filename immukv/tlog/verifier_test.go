package tlog_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/immukv/tlog"
)

// TestRemember keeps the last checkpoint in a file, and both as evidence when
// another contradicts it.
func TestRemember(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	folder := t.TempDir()
	state := filepath.Join(folder, "state")
	honest := open(t, w.store)
	c, err := tlog.Latest(t.Context(), verifier(t, w.k, tlog.Remember(state)), honest)
	if err != nil {
		t.Fatal(err)
	}
	if string(read(t, state)) != string(c.Signed) {
		t.Errorf("the file is not the checkpoint")
	}
	for name, kind := range map[string]error{"older": tlog.ErrRolledBack, "fork": tlog.ErrFork} {
		store := w.early
		if name == "fork" {
			store = signFork(t, w)
		}
		v := verifier(t, w.k, tlog.Remember(state)) // another process
		if _, err := tlog.Latest(t.Context(), v, open(t, store)); !errors.Is(err, kind) || !strings.Contains(err.Error(), state+".evidence-") {
			t.Errorf("%s: %v", name, err)
		}
		if string(read(t, state)) != string(c.Signed) {
			t.Errorf("%s: it remembers the other one now", name)
		}
	}
	evidence, err := filepath.Glob(state + ".evidence-*")
	if err != nil || len(evidence) != 2 {
		t.Fatalf("there are %d files of evidence", len(evidence))
	}
	for _, file := range evidence {
		text := string(read(t, file))
		if !strings.HasPrefix(text, string(c.Signed)) || strings.Count(text, origin+"\n") != 2 {
			t.Errorf("the evidence is\n%s", text)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(folder, "*.tmp")); len(left) > 0 {
		t.Errorf("it left %v", left)
	}
	grow(t, honest, 0, 5)
	seal(t, honest, w.k)
	if c, err := tlog.Latest(t.Context(), verifier(t, w.k, tlog.Remember(state)), honest); err != nil || c.Size != now+5 {
		t.Errorf("the honest log, later: %v, %v", c, err)
	}
}

// TestBadState does not begin anew from a file that is no checkpoint of the log.
func TestBadState(t *testing.T) {
	t.Parallel()
	k, other := newKeys(t), newKeys(t)
	state := filepath.Join(t.TempDir(), "state")
	db := open(t, memstore.New())
	grow(t, db, 0, 1)
	for name, content := range map[string]string{"empty": "", "no checkpoint": "hello\n", "of another key": string(seal(t, db, other).Signed)} {
		if err := os.WriteFile(state, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := tlog.NewVerifier(k.public, tlog.Remember(state)); !errors.Is(err, tlog.ErrBadCheckpoint) || !strings.Contains(err.Error(), state) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := tlog.NewVerifier(k.public, tlog.Remember(t.TempDir())); err == nil {
		t.Errorf("a folder passes as a state")
	}
}

// TestGet returns what is not sealed yet, and says so.
func TestGet(t *testing.T) {
	t.Parallel()
	k := newKeys(t)
	db := open(t, memstore.New())
	v := verifier(t, k)
	grow(t, db, 0, 3)
	if _, err := tlog.Get(t.Context(), v, db, "sensor-1"); !errors.Is(err, tlog.ErrNoCheckpoint) {
		t.Errorf("before the first seal: %v", err)
	}
	seal(t, db, k)
	if e, err := tlog.Get(t.Context(), v, db, "sensor-1"); err != nil || string(e.Value) != `{"n":1}` {
		t.Errorf("%s, %v", e.Value, err)
	}
	if _, err := tlog.Get(t.Context(), v, db, "none"); !errors.Is(err, immukv.ErrNotFound) {
		t.Errorf("a key that was never set: %v", err)
	}
	if _, err := db.Set(t.Context(), "sensor-1", []byte(`5`)); err != nil {
		t.Fatal(err)
	}
	if e, err := tlog.Get(t.Context(), v, db, "sensor-1"); !errors.Is(err, tlog.ErrNotSealed) || string(e.Value) != `5` {
		t.Errorf("newer than the checkpoint: %s, %v", e.Value, err)
	}
}

// TestKeyFiles writes private keys for their owner alone, and refuses others.
func TestKeyFiles(t *testing.T) {
	t.Parallel()
	private, public, err := tlog.GenerateKey(origin)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key")
	if _, err := tlog.ReadKeyFile(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if err := tlog.WriteKeyFile(file, private); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if s, err := tlog.ReadKeyFile(file); err != nil || s.Name() != origin || s.VerifierKey() != public {
		t.Errorf("%v, %v", s, err)
	}
	if err := tlog.WriteKeyFile(file, private); !errors.Is(err, tlog.ErrInvalidKey) {
		t.Errorf("over another key: %v", err)
	}
	for _, mode := range []os.FileMode{0o644, 0o640, 0o604, 0o620} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := tlog.ReadKeyFile(file); !errors.Is(err, tlog.ErrInvalidKey) || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
	bad := filepath.Join(t.TempDir(), "bad")
	for _, content := range []string{"", "hello", strings.Replace(private, "+A", "+B", 1), private[:len(private)-4]} {
		if err := os.WriteFile(bad, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := tlog.ReadKeyFile(bad)
		if !errors.Is(err, tlog.ErrInvalidKey) || content != "" && strings.Contains(err.Error(), content) {
			t.Errorf("%v", err)
		}
	}
	for _, name := range []string{"", "a b", "a+b", "a\nb", "a\u2003b", "a\xff"} {
		if _, _, err := tlog.GenerateKey(name); !errors.Is(err, tlog.ErrInvalidKey) {
			t.Errorf("name %q: %v", name, err)
		}
	}
	if _, err := tlog.NewVerifier(private); !errors.Is(err, tlog.ErrInvalidKey) || strings.Contains(err.Error(), private) {
		t.Errorf("a private key as the verifier key: %v", err)
	}
}

// TestBadCheckpoints refuses a checkpoint of another origin, of another key, and what
// is none; for readers and sealers alike.
func TestBadCheckpoints(t *testing.T) {
	t.Parallel()
	k, same := newKeys(t), newKeys(t)
	private, _, err := tlog.GenerateKey("example.com/other")
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := tlog.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	other := open(t, memstore.New())
	grow(t, other, 0, 2)
	ofOther, err := tlog.Seal(t.Context(), other, elsewhere)
	if err != nil {
		t.Fatal(err)
	}
	third := open(t, memstore.New())
	grow(t, third, 0, 2)
	for name, content := range map[string]string{
		"of another origin": string(ofOther.Signed), "of another key": string(seal(t, third, same).Signed),
		"empty": "", "text": "hello\n", "huge": strings.Repeat("x", 1<<20),
	} {
		store := memstore.New()
		db := open(t, store)
		grow(t, db, 0, 2)
		seal(t, db, k)
		replace(t, store, "tlog/checkpoint", []byte(content))
		if _, err := tlog.Latest(t.Context(), verifier(t, k), db); !errors.Is(err, tlog.ErrBadCheckpoint) {
			t.Errorf("%s: a reader: %v", name, err)
		}
		if _, err := tlog.Seal(t.Context(), db, k.signer); !errors.Is(err, tlog.ErrBadCheckpoint) {
			t.Errorf("%s: a sealer: %v", name, err)
		}
	}
}

// TestUnverified returns a checkpoint as it is stored, whoever signed it, and nothing of a
// malformed one but its bytes.
func TestUnverified(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	db := open(t, store)
	if c, err := tlog.Unverified(t.Context(), db); !errors.Is(err, tlog.ErrNoCheckpoint) || c.Signed != nil {
		t.Errorf("not sealed: %v, %v", c, err)
	}
	grow(t, db, 0, 3)
	want := seal(t, db, newKeys(t))
	c, err := tlog.Unverified(t.Context(), db)
	if err != nil || c.Origin != want.Origin || c.Size != want.Size || c.Root != want.Root || !bytes.Equal(c.Signed, want.Signed) {
		t.Errorf("sealed: %v, %v, want %v", c, err, want)
	}
	for _, signed := range [][]byte{nil, []byte("hello\n"), append(bytes.Clone(want.Signed), "more\n"...)} {
		replace(t, store, "tlog/checkpoint", signed)
		if c, err := tlog.Unverified(t.Context(), db); !errors.Is(err, tlog.ErrBadCheckpoint) || c.Origin != "" || c.Size != 0 || !bytes.Equal(c.Signed, signed) {
			t.Errorf("%q: %v, %v", signed, c, err)
		}
	}
}

// TestTilesOfWrongSize refuses tiles and bundles that are short, long or missing.
func TestTilesOfWrongSize(t *testing.T) {
	t.Parallel()
	k := newKeys(t)
	for _, name := range []string{"tlog/tile/0/000.p/3", "tlog/tile/entries/000.p/3"} {
		store := memstore.New()
		db := open(t, store)
		grow(t, db, 0, 3)
		seal(t, db, k)
		obj, err := store.Get(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		for _, body := range [][]byte{{}, obj.Body[:len(obj.Body)-1], append(obj.Body, 0), append(obj.Body, 0, 0), []byte("x")} {
			replace(t, store, name, body)
			if _, err := tlog.Audit(t.Context(), verifier(t, k), db); !errors.Is(err, tlog.ErrBadTile) || !strings.Contains(err.Error(), "tlog/tile/") {
				t.Errorf("%s with %d bytes: %v", name, len(body), err)
			}
			if _, err := tlog.ProveKey(t.Context(), db, "sensor-1"); strings.Contains(name, "/0/") && !errors.Is(err, tlog.ErrBadTile) {
				t.Errorf("%s with %d bytes, proving: %v", name, len(body), err)
			}
			grow(t, db, 3, 4)
			if _, err := tlog.Seal(t.Context(), db, k.signer); !errors.Is(err, tlog.ErrBadTile) {
				t.Errorf("%s with %d bytes, sealing: %v", name, len(body), err)
			}
		}
	}
}
