package serve

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/immukv/tlog"
)

// newest is the verification that began last.
func (j *jobs) newest() *job {
	j.mu.Lock()
	defer j.mu.Unlock()
	return cmp.Or(j.running, j.last)
}

// run starts a verification, waits for its end, and returns the page.
func (b *bench) run(kind string) *answer {
	b.Helper()
	if a := b.do("POST", "/trust/"+kind); a.status != http.StatusSeeOther || a.header.Get("Location") != "/trust#progress" {
		b.Fatalf("POST /trust/%s: %d", kind, a.status)
	}
	b.server.jobs.wg.Wait()
	return b.get("/trust")
}

// TestVerifyAndAudit verifies and audits a store that is as it was written.
func TestVerifyAndAudit(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	a := b.get("/trust")
	a.reads("#newest", "The log is empty.")
	a.reads("#checkpoint", "not sealed")
	a.reads("#orphan", "There is none.")
	if len(a.find("#report")) > 0 {
		t.Error("there is a report before there was a verification")
	}
	b.run("audit").reads("#report", "Audit: valid", "Nothing was found.")
	var last immukv.Entry[[]byte]
	for i := range 70 {
		e := b.set(fmt.Sprint("k", i%7), fmt.Sprint(i))
		last.Hash, last.Sequence = e.Hash, e.Sequence
	}
	a = b.run("verify")
	a.reads("#report", "Verification: valid", "70, sequence 0 to 69", "69:"+string(last.Hash), "python", "Nothing was found.")
	a.reads("title", "Verification: valid")
	a.reads("#newest", "69", "k6", string(last.Hash))
	b.run("audit").reads("#report", "Audit: valid")
	checkPage(a)
}

// TestTampered finds what was changed in a store, and says what each finding means.
func TestTampered(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	for i := range 5 {
		b.set("k", fmt.Sprintf(`"value %d <b>"`, i))
	}
	b.tap.change = func(_ string, body []byte) []byte {
		return []byte(strings.Replace(string(body), "value 2", "value 7", 1))
	}
	a := b.run("audit")
	a.reads("#report", "Audit: NOT VALID")
	a.reads("title", "Audit: NOT VALID")
	a.reads("#findings", "hash-mismatch", "sequence 2", "_log.json", "keys/k.json", "missing-version", meanings[immukv.HashMismatch], meanings[immukv.MissingVersion])
	b.get(attr(a.find("a.at")[0], "href")).reads("#entries", "value 7")
	checkPage(a)
	b.get("/keys").reads("#keys", "value 4")
	a = b.get("/key?key=k")
	a.reads("#history", "value 7", "verification failed", "cannot be trusted", `"value 1 <b>" "value 7 <b>"`)
	if links := a.find("a.whole"); len(links) != 4 {
		t.Errorf("%d whole values are offered, of which four can be trusted", len(links))
	} else {
		for _, link := range links {
			b.get(attr(link, "href"))
		}
	}
	b.get("/log").reads("#entries", "value 7", "verification failed")
}

// TestUnknownOrphan does not say that there is no orphan if the newest entry, or its key,
// cannot be read.
func TestUnknownOrphan(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(name, body string) string{
		"the entry was changed": func(name, body string) string { return strings.Replace(body, "a value", "another", 1) },
		"it is no entry":        func(string, string) string { return "{" },
		"its key cannot be read": func(name, body string) string {
			if strings.HasPrefix(name, "keys/") {
				return "{"
			}
			return body
		},
	} {
		b := newBench(t, nil)
		b.set("k", `"a value"`)
		b.get("/trust").reads("#orphan", "There is none: the newest entry is applied to its key.")
		b.tap.change = func(name string, body []byte) []byte { return []byte(damage(name, string(body))) }
		a := b.get("/trust")
		if text := a.text("#orphan"); text == "Orphan" || strings.Contains(text, "There is none") {
			t.Errorf("%s, and the page says: %s", name, text)
		}
		checkPage(a)
	}
	b := newBench(t, nil)
	b.set("k", `1`)
	b.tap.disturb(func(context.Context, string, string) error { return fmt.Errorf("busy: %w", backend.ErrUnavailable) })
	b.get("/trust").reads("#orphan", "The newest entry could not be read")
}

// TestMeanings holds the meanings to the kinds of findings that there are.
func TestMeanings(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "../../../report.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	kinds := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		if name, ok := spec.Type.(*ast.Ident); ok && name.Name == "FindingKind" {
			kinds++
			kind, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil || meanings[immukv.FindingKind(kind)] == "" {
				t.Errorf("%q has no meaning", kind)
			}
		}
		return true
	})
	if kinds != len(meanings) || kinds < 11 {
		t.Errorf("there are %d kinds and %d meanings", kinds, len(meanings))
	}
	seen := make(map[string]bool)
	for _, err := range []error{tlog.ErrNoCheckpoint, tlog.ErrRolledBack, tlog.ErrFork, tlog.ErrBadTile, tlog.ErrBadCheckpoint, tlog.ErrBadProof, errors.New("x")} {
		seen[sealMeaning(err)] = true
	}
	if len(seen) != 7 {
		t.Errorf("of 7 errors of a sealed log, %d have a meaning of their own", len(seen))
	}
}

const checkpointName = "tlog/checkpoint"

// TestCheckpoint shows the checkpoint of a sealed log: checked, not checked, and not to be
// accepted.
func TestCheckpoint(t *testing.T) {
	t.Parallel()
	private, key, err := tlog.GenerateKey("example.com/plant-7")
	if err != nil {
		t.Fatal(err)
	}
	_, otherKey, err := tlog.GenerateKey("example.com/plant-7")
	if err != nil {
		t.Fatal(err)
	}
	withKey := func(key string) func(*Config) {
		return func(config *Config) {
			v, err := tlog.NewVerifier(key)
			if err != nil {
				t.Fatal(err)
			}
			config.Verifier = v
		}
	}
	for _, c := range []struct {
		name   string
		change func(*Config)
		page   []string
		audit  []string
	}{
		{"no verifier", nil, []string{"Nobody checked its signature", "example.com/plant-7", "3 entries", "1 entry", "No witness cosigned it", "of 2026-11-24 09:03"}, []string{"Audit: valid"}},
		{"verifier", withKey(key), []string{"Its signature was checked", "3 entries", "since"}, []string{"Audit: valid", "root of the checkpoint of 3 entries"}},
		{"other key", withKey(otherKey), []string{"It is not accepted", "bad checkpoint"}, []string{"Audit: NOT VALID", "bad checkpoint", "not signed with the key"}},
	} {
		b := newBench(t, c.change)
		if c.change != nil {
			b.get("/trust").reads("#checkpoint", "not sealed")
			b.run("audit").reads("#report", "NOT VALID", "no checkpoint", "never sealed")
		}
		for range 3 {
			b.set("k", `1`)
		}
		b.sealWith(private)
		b.set("k", `2`)
		a := b.get("/trust")
		a.reads("#checkpoint", c.page...)
		checkPage(a)
		b.run("audit").reads("#report", c.audit...)
		if run, _ := b.server.jobs.state(); run.total != 8 { // four entries, in the log and in the key's object
			t.Errorf("%s: the progress is of %d", c.name, run.total)
		}
		// An entry below the checkpoint is changed, with all hashes after it: only the
		// checkpoint tells.
		if c.name == "verifier" {
			forged := newBench(t, c.change)
			for i := range 3 {
				forged.set("k", fmt.Sprint(i))
			}
			checkpoint, err := b.store.Get(t.Context(), checkpointName)
			b.check(err)
			forged.sealWith(private)
			forged.tap.change = func(name string, body []byte) []byte {
				if name == checkpointName {
					return checkpoint.Body
				}
				return body
			}
			forged.run("audit").reads("#report", "NOT VALID", "fork", "two histories")
		}
	}
}

// TestMalformedCheckpoint says that what is stored is no checkpoint, with a verifier and
// without.
func TestMalformedCheckpoint(t *testing.T) {
	t.Parallel()
	for _, verified := range []bool{false, true} {
		b := newBench(t, nil)
		b.set("k", `1`)
		key := b.seal()
		if verified {
			v, err := tlog.NewVerifier(key)
			b.check(err)
			b.server.Verifier = v
		}
		for _, text := range []string{"", "x", strings.Repeat("example.com/plant-7\n", 100_000)} {
			b.tap.change = func(name string, body []byte) []byte {
				if name == checkpointName {
					return []byte(text)
				}
				return body
			}
			a := b.get("/trust")
			a.reads("#checkpoint", "It is not accepted: ", "bad checkpoint", "0 entries")
			if len(a.body) > 10_000 {
				t.Errorf("a checkpoint of %d bytes makes a page of %d", len(text), len(a.body))
			}
			if a := b.get("/key?key=k"); len(a.find("a.proof")) > 0 {
				t.Error("a proof is offered")
			}
		}
	}
}

// TestWitnesses shows who cosigned the checkpoint, and since when.
func TestWitnesses(t *testing.T) {
	t.Parallel()
	witness := newTestWitness(t, "w1.example")
	absent := newTestWitness(t, "absent.example").key
	policy := func(names string) *tlog.WitnessPolicy {
		p, err := tlog.ParseWitnessPolicy("witness w1 " + witness.key + " " + witness.URL + "\n" + names)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	private, key, err := tlog.GenerateKey("example.com/plant-7")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{
		"known":   {"w1.example: cosigned at 2026-11-24 12:00:00.000 UTC"},
		"unknown": {"w1.example: cosigned at 2026-11-24 12:00:00.000 UTC", "not checked"},
		"absent":  {"w1.example: cosigned at", "absent.example: has not cosigned"},
	} {
		b := newBench(t, func(config *Config) {
			var opts []tlog.VerifierOption
			switch name {
			case "known":
				config.Witnesses = policy("quorum w1")
				opts = append(opts, tlog.RequireWitnesses(config.Witnesses))
			case "absent":
				config.Witnesses = policy("witness w2 " + absent + "\ngroup g 1 w1 w2\nquorum g")
			}
			v, err := tlog.NewVerifier(key, opts...)
			if err != nil {
				t.Fatal(err)
			}
			config.Verifier = v
		})
		b.set("k", `1`)
		b.sealWith(private, tlog.Witnessed(policy("quorum w1")))
		a := b.get("/trust")
		a.reads("#checkpoint", "Its signature was checked")
		a.reads("#witnesses", want...)
		if strings.Contains(a.text("#witnesses"), "not checked") != (name == "unknown") {
			t.Errorf("%s: %s", name, a.text("#witnesses"))
		}
		checkPage(a)
	}
}

// TestProgress follows a verification of which each read takes a while: it is one, whoever
// asks for it, its progress grows to the end, and it can be stopped.
func TestProgress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		const n = 640
		for i := range n {
			b.set("k", fmt.Sprint(i))
		}
		slow := func(ctx context.Context, op, _ string) error {
			select {
			case <-time.After(time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		b.tap.disturb(slow)
		b.do("POST", "/trust/audit")
		only := b.server.jobs.newest()
		for _, kind := range []string{"audit", "verify", "audit"} {
			if a := b.do("POST", "/trust/"+kind); a.status != http.StatusSeeOther {
				t.Errorf("start: %d", a.status)
			}
			if b.server.jobs.newest() != only {
				t.Error("a second verification began beside the first")
			}
		}
		l := b.listen("/trust/events")
		another := b.listen("/trust/events")
		pass(10 * time.Second)
		a := b.get("/trust")
		a.reads("#progress", "Audit is running.", "of 1 280 entries read")
		a.one("progress")
		a.one("#stop")
		checkPage(a)
		if len(a.find("noscript")) != 1 {
			t.Error("without script the page does not load itself again")
		}
		<-l.done
		<-another.done
		events := l.events()
		if n := len(events); n < 10 || events[n-1] != "done {}" {
			t.Fatalf("the events are %q", events)
		}
		var done float64 = -1
		for _, e := range events[:len(events)-1] {
			var now, total float64
			if _, err := fmt.Sscanf(e, `progress {"kind":"audit","done":%g,"total":%g`, &now, &total); err != nil || now < done || now > total {
				t.Errorf("after %g comes %s", done, e)
			}
			done = now
		}
		if got := another.events(); got[len(got)-1] != "done {}" {
			t.Errorf("another page is told %q", got)
		}
		b.get("/trust").reads("#report", "Audit: valid", "640")

		// Stopped, there is no verdict.
		b.do("POST", "/trust/verify")
		pass(5 * time.Second)
		b.do("POST", "/trust/stop")
		synctest.Wait()
		b.get("/trust").reads("#report", "Verification stopped", "There is no verdict")
		l = b.listen("/trust/events")
		<-l.done
		l.wants("done {}")
		if a := b.do("POST", "/trust/stop"); a.status != http.StatusSeeOther {
			t.Errorf("stop what is not running: %d", a.status)
		}
	})
}

// testWitness cosigns whatever it is sent, always at the same time.
type testWitness struct {
	*httptest.Server
	key string
}

func newTestWitness(t *testing.T, name string) *testWitness {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const kind = 4 // a timestamped cosignature
	public = append([]byte{kind}, public...)
	sum := sha256.Sum256(append([]byte(name+"\n"), public...))
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC).Unix()
	w := &testWitness{key: fmt.Sprintf("%s+%x+%s", name, sum[:4], base64.StdEncoding.EncodeToString(public))}
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, signed, _ := strings.Cut(string(body), "\n\n")
		text, _, _ := strings.Cut(signed, "\n\n")
		signature := ed25519.Sign(private, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s\n", at, text))
		raw := append(binary.BigEndian.AppendUint64(sum[:4:4], uint64(at)), signature...)
		_, _ = fmt.Fprintf(rw, "— %s %s\n", name, base64.StdEncoding.EncodeToString(raw))
	}))
	t.Cleanup(w.Close)
	return w
}
