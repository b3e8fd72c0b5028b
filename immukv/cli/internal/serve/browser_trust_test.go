package serve_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"golang.org/x/mod/sumdb/note"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/backend/s3store/s3test"
	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/immukv/cli/internal/serve"
)

// small writes a few entries.
func (v *visitor) small(store string) {
	v.fill(store, func(db *immukv.Client[json.RawMessage]) {
		v.set(db, "a", `{"alpha":0.15}`)
		v.set(db, "b", `{"beta":2.8}`)
		v.set(db, "a", `{"alpha":0.17}`)
	})
}

// testVerify verifies and audits a store in which all is well.
func (v *visitor) testVerify() {
	store := v.newStore()
	v.small(store)
	v.serve(store)
	v.visit("/trust")
	for button, name := range map[string]string{"#verify": "Verification", "#audit": "Audit"} {
		v.click(button)
		v.until(`document.querySelector("#report-heading")?.innerText === "` + name + `: valid"`)
		v.reads("#report", "3, sequence 0 to 2", "Nothing was found.")
		v.until(`document.activeElement.id === "report-heading"`)
		if title := eval[string](v, "document.title"); !strings.HasPrefix(title, name+": valid") {
			v.Errorf("the title is %q", title)
		}
	}
	// The head is what the command prints and takes.
	head := v.text("#head")
	if out := v.run("--store", store, "audit", "--trusted-head", head); out == "" {
		v.Error("audit says nothing")
	}
}

// testProgress holds a verification up, so that its progress is seen, and sees the result
// come without a click. The store is in this process, which can hold it.
func (v *visitor) testProgress() {
	store := &heldStore{VersionedStore: memstore.New(), pass: make(chan struct{})}
	db, err := immukv.Open[int](v.Context(), store, immukv.WithClock(clock()))
	check(v, err)
	for i := range 200 {
		_, err := db.Set(v.Context(), fmt.Sprint("k", i%10), i)
		check(v, err)
	}
	v.serveHere(store, serve.Config{})

	v.visit("/trust")
	newest, err := store.Head(v.Context(), "_log.json")
	check(v, err)
	store.newest = newest.ID
	store.holds.Store(true)
	v.click("#verify")
	v.until(`document.querySelector("#progress-text")?.innerText.startsWith("Verification is running.")`)
	if !eval[bool](v, `document.querySelector("#verify").disabled && document.querySelector("#audit").disabled`) {
		v.Error("one verification runs, and another can be started")
	}
	loaded := eval[float64](v, "performance.timeOrigin")
	store.let(v, 100)
	v.until(`document.querySelector("#progress-bar").value > 0 && document.querySelector("#progress-bar").value < 100`)
	v.until(`document.querySelector("#progress-text").innerText.includes("of 200 entries read")`)
	if now := eval[float64](v, "performance.timeOrigin"); now != loaded {
		v.Error("the page was loaded again to show the progress")
	}

	// Whoever comes later sees it too.
	later := v.open(v.T)
	later.home = v.home
	later.visit("/trust")
	later.reads("#progress-text", "of 200 entries read")

	v.click("#stop")
	for _, page := range []*visitor{v, later} {
		page.until(`document.querySelector("#report-heading")?.innerText === "Verification stopped"`)
	}

	v.click("#audit")
	v.until(`document.querySelector("#progress-text")?.innerText.startsWith("Audit is running.")`)
	store.release()
	v.until(`document.querySelector("#report-heading")?.innerText === "Audit: valid"`)
	v.until(`document.activeElement.id === "report-heading"`)
	v.reads("#report", "200, sequence 0 to 199")
}

// serveHere serves a store that this process has.
func (v *visitor) serveHere(store backend.VersionedStore, config serve.Config) {
	v.Helper()
	config.Name = "mem://"
	server, err := serve.Open(store, config)
	check(v, err)
	ctx, stop := context.WithCancel(context.WithoutCancel(v.Context()))
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	check(v, err)
	done := make(chan error)
	go func() { done <- server.Serve(ctx, listener) }()
	v.Cleanup(func() {
		v.leave()
		stop()
		if err := <-done; err != nil {
			v.Error(err)
		}
	})
	v.home = "http://" + listener.Addr().String()
}

// heldStore is a store whose reads of versions wait until a test lets them go on. The
// newest version of the log is not held: the page reads it.
type heldStore struct {
	backend.VersionedStore
	newest backend.VersionID
	holds  atomic.Bool
	pass   chan struct{}
}

func (s *heldStore) GetVersion(ctx context.Context, name string, id backend.VersionID) (backend.Object, error) {
	if s.holds.Load() && id != s.newest {
		select {
		case <-s.pass:
		case <-ctx.Done():
			return backend.Object{}, ctx.Err()
		}
	}
	return s.VersionedStore.GetVersion(ctx, name, id)
}

// let lets so many reads go on.
func (s *heldStore) let(v *visitor, n int) {
	for range n {
		select {
		case s.pass <- struct{}{}:
		case <-v.Context().Done():
			v.Fatal("nothing reads")
		}
	}
}

func (s *heldStore) release() {
	s.holds.Store(false)
	close(s.pass)
}

// testTampered looks for what somebody changed in the files of a store.
func (v *visitor) testTampered() {
	dir := v.TempDir()
	store := fileURL(dir)
	v.small(store)
	v.tamper(dir, `"alpha":0.15`, `"alpha":0.95`)
	v.serve(store)

	v.visit("/trust")
	v.click("#verify")
	v.until(`document.querySelector("#report-heading")?.innerText === "Verification: NOT VALID"`)
	v.reads("#findings", "hash-mismatch", "sequence 0", "_log.json", "The entry was changed after it was written")
	if title := eval[string](v, "document.title"); !strings.HasPrefix(title, "Verification: NOT VALID") {
		v.Errorf("the title is %q", title)
	}
	// It is what the command finds.
	if out, code := v.exit("--store", store, "verify"); code != 4 || !strings.Contains(out, "hash-mismatch") {
		v.Errorf("verify ends with %d: %s", code, out)
	}
	v.click("#findings a")
	v.until(`document.querySelector("#e0.bad")`)
	v.reads("#e0", "0.95")
	v.visit("/log")
	if bad := v.texts("tr.bad"); len(bad) != 1 {
		v.Errorf("the log marks %d entries: %q", len(bad), bad)
	}
	v.visit("/trust")
	v.reads("#report", "NOT VALID") // for whoever comes later
}

// tamper changes a text in the oldest version of the log that has it.
func (v *visitor) tamper(dir, old, changed string) {
	v.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*", "*.v*"))
	check(v, err)
	for i := len(paths) - 1; i >= 0; i-- { // the newest version is the first
		body, err := os.ReadFile(paths[i])
		check(v, err)
		if bytes.Contains(body, []byte(old)) && !bytes.Contains(body, []byte(`"log_version_id"`)) {
			check(v, os.WriteFile(paths[i], bytes.Replace(body, []byte(old), []byte(changed), 1), 0o600))
			return
		}
	}
	v.Fatalf("no version of the log has %s", old)
}

// seal makes a key for the log, seals it, and returns the verifier key.
func (v *visitor) seal(store string, args ...string) (verifier string) {
	v.Helper()
	key := filepath.Join(v.TempDir(), "key")
	verifier = strings.TrimSpace(v.run("tlog", "keygen", "example.com/plant-7", "--out", key))
	v.run(append([]string{"--store", store, "tlog", "seal", "--key", key}, args...)...)
	return verifier
}

// testTrust reads what the page says of checkpoint, witnesses and orphan.
func (v *visitor) testTrust() {
	store := v.newStore()
	v.small(store)
	v.serve(store)
	v.visit("/trust")
	v.reads("#checkpoint", "The log is not sealed")
	v.reads("#orphan", "There is none")
	v.reads("#newest", "2", "a", "2026-03-02 09:02:00.000")

	verifier, policy := v.sealWitnessed(store)
	// A writer that dies between append and apply leaves an orphan, and an entry that no
	// checkpoint covers yet.
	if _, code := v.exit("--store", store, "demo-crash", "b", `{"beta":3}`); code == 0 {
		v.Fatal("the writer that was to die did not")
	}
	v = v.open(v.T)
	v.serve(store)
	v.visit("/trust")
	v.reads("#checkpoint", "Nobody checked its signature", "example.com/plant-7", "3 entries", "1 entry")
	v.reads("#orphan", "orphan", "sequence 3 of key b", "This page never does.")
	v.visit("/key?key=b")
	v.reads("#history > li:first-child", "orphan")

	v = v.open(v.T)
	v.serve(store, "--verifier", verifier, "--witness-policy", policy)
	v.visit("/trust")
	v.reads("#checkpoint", "Its signature was checked", "3 entries, the newest of 2026-03-02 09:02:00.000")
	v.reads("#witnesses", "w.example: cosigned at 20")
	v.click("#audit")
	v.until(`document.querySelector("#report-heading")?.innerText === "Audit: valid"`)
	v.reads("#report", "The log has the root of the checkpoint of 3 entries")
	// Nothing of all this repaired the orphan.
	v.visit("/trust")
	v.reads("#orphan", "sequence 3 of key b")
}

// sealWitnessed seals a log with a witness of another project.
func (v *visitor) sealWitnessed(store string) (verifier, policy string) {
	v.Helper()
	dir := v.TempDir()
	private, public, err := note.GenerateKey(rand.Reader, "w.example")
	check(v, err)
	key, witnessKey, logs := filepath.Join(dir, "key"), filepath.Join(dir, "witness"), filepath.Join(dir, "logs.yaml")
	policy = filepath.Join(dir, "policy")
	verifier = strings.TrimSpace(v.run("tlog", "keygen", "example.com/plant-7", "--out", key))
	check(v, os.WriteFile(witnessKey, []byte(private), 0o600))
	check(v, os.WriteFile(logs, fmt.Appendf(nil, "Logs:\n  - Origin: example.com/plant-7\n    PublicKey: %s\n    URL: http://127.0.0.1:1/\n", verifier), 0o600))
	witness := s3test.StartWitness(v.T, witnessKey, logs)
	check(v, os.WriteFile(policy, fmt.Appendf(nil, "witness w.example %s %s\nquorum w.example\n", public, witness), 0o600))
	v.run("--store", store, "tlog", "seal", "--key", key, "--witness-policy", policy)
	return verifier, policy
}

// testProof downloads a proof, and has the command check it.
func (v *visitor) testProof() {
	store := v.newStore()
	v.small(store)
	verifier := v.seal(store)
	v.run("--store", store, "set", "a", "3") // which is not sealed
	v.serve(store)
	v.visit("/key?key=a")
	if n := eval[int](v, `document.querySelectorAll("#history .proof").length`); n != 2 {
		v.Errorf("%d of 3 versions have a proof, not the 2 that are sealed", n)
	}
	name, proof, err := v.tab.Download("#v2 .proof")
	check(v, err)
	if name != "a-2.tlog-proof" {
		v.Errorf("it is named %q", name)
	}
	if want := v.run("--store", store, "tlog", "prove", "a", "--sequence", "2"); string(proof) != want {
		v.Error("it is not what tlog prove prints")
	}
	file := filepath.Join(v.TempDir(), name)
	check(v, os.WriteFile(file, proof, 0o600))
	if out := v.run("tlog", "check", file, "--verifier", verifier); !strings.Contains(out, `{"alpha":0.17}`) {
		v.Errorf("check prints %s", out)
	}
	check(v, os.WriteFile(file, v.forge(proof), 0o600))
	if _, code := v.exit("tlog", "check", file, "--verifier", verifier); code != 4 {
		v.Errorf("changed, it is checked with exit code %d", code)
	}
	v.refused("/key/proof?key=a&sequence=3", 404)
	v.reads("h1", "The entry is not sealed yet")
}

// forge changes the value in a proof.
func (v *visitor) forge(proof []byte) []byte {
	v.Helper()
	lines := strings.Split(string(proof), "\n")
	for i, line := range lines {
		if extra, ok := strings.CutPrefix(line, "extra "); ok {
			entry, err := base64.StdEncoding.DecodeString(extra)
			check(v, err)
			forged := bytes.Replace(entry, []byte("0.17"), []byte("0.18"), 1)
			if bytes.Equal(entry, forged) {
				v.Fatalf("the proof has no such value: %q", entry)
			}
			lines[i] = "extra " + base64.StdEncoding.EncodeToString(forged)
		}
	}
	return []byte(strings.Join(lines, "\n"))
}
