package tlog_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	xtlog "golang.org/x/mod/sumdb/tlog"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv/tlog"
)

// testWitness cosigns what extends what it has seen, and nothing else.
type testWitness struct {
	signer *torchwood.CosignatureSigner
	log    note.Verifier
	url    string
	mu     sync.Mutex
	seen   xtlog.Tree
}

func newWitness(t testing.TB, k keys, name string) *testWitness {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := torchwood.NewCosignatureSigner(name, private)
	if err != nil {
		t.Fatal(err)
	}
	w := &testWitness{signer: signer, log: k.policy.Log}
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	w.url = server.URL
	return w
}

func (w *testWitness) line() string {
	return w.signer.Name() + " " + w.signer.Verifier().String() + " " + w.url
}

func (w *testWitness) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	head, signed, _ := strings.Cut(string(body), "\n\n")
	lines := strings.Split(head, "\n")
	var old int64
	_, _ = fmt.Sscanf(lines[0], "old %d", &old)
	n, err := note.Open([]byte(signed), note.VerifierList(w.log))
	if err != nil {
		rw.WriteHeader(http.StatusForbidden)
		return
	}
	c, err := torchwood.ParseCheckpoint(n.Text)
	if err != nil {
		rw.WriteHeader(http.StatusBadRequest)
		return
	}
	var proof xtlog.TreeProof
	for _, line := range lines[1:] {
		h, _ := xtlog.ParseHash(line)
		proof = append(proof, h)
	}
	if old != w.seen.N {
		rw.Header().Set("Content-Type", "text/x.tlog.size")
		rw.WriteHeader(http.StatusConflict)
		fmt.Fprintf(rw, "%d\n", w.seen.N)
		return
	}
	if old == c.N && old > 0 && c.Hash != w.seen.Hash || old > 0 && old < c.N && xtlog.CheckTree(proof, c.N, c.Hash, old, w.seen.Hash) != nil || old > c.N {
		rw.WriteHeader(http.StatusUnprocessableEntity)
		return
	}
	w.seen = c.Tree
	cosigned, _ := note.Sign(&note.Note{Text: n.Text}, w.signer)
	_, lineOf, _ := strings.Cut(string(cosigned), "\n\n")
	_, _ = io.WriteString(rw, lineOf)
}

func policyOf(t testing.TB, text string) *tlog.WitnessPolicy {
	t.Helper()
	p, err := tlog.ParseWitnessPolicy(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestWitnesses publishes a checkpoint only with enough cosignatures, whatever the
// other witnesses answer.
func TestWitnesses(t *testing.T) {
	t.Parallel()
	k := newKeys(t)
	answers := map[string]http.HandlerFunc{
		"hangs":   func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body); <-r.Context().Done() },
		"rubbish": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello\n\n— x y\n")) },
		"floods":  func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1<<20)) },
		"fails":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"redirects": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		},
		"bad conflict": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusConflict) },
		"unsteady": func() http.HandlerFunc {
			n := 0
			return func(w http.ResponseWriter, _ *http.Request) {
				n++
				w.WriteHeader(http.StatusConflict)
				fmt.Fprintf(w, "%d\n", n%3)
			}
		}(),
	}
	// A cosignature of something else: of another checkpoint, with the right key.
	elsewhere := newWitness(t, k, "elsewhere.example")
	other, _ := note.Sign(&note.Note{Text: torchwood.Checkpoint{Origin: origin, Tree: xtlog.Tree{N: 1}}.String()}, elsewhere.signer)
	_, cosignature, _ := strings.Cut(string(other), "\n\n")
	answers["cosigns something else"] = func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, cosignature) }

	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := memstore.New()
			db := open(t, store)
			grow(t, db, 0, 5)
			bad := httptest.NewServer(answer)
			defer bad.Close()
			good := newWitness(t, k, "good.example")
			broken := "broken.example " + elsewhere.signer.Verifier().String() + " " + bad.URL
			text := "witness " + good.line() + "\nwitness " + broken + "\n"
			all := policyOf(t, text+"group g all good.example broken.example\nquorum g\n")
			all.Timeout = 200 * time.Millisecond
			if _, err := tlog.Seal(t.Context(), db, k.signer, tlog.Witnessed(all)); !errors.Is(err, tlog.ErrWitnesses) || !strings.Contains(err.Error(), "elsewhere.example") {
				t.Fatalf("with a witness that %s: %v", name, err)
			}
			if _, err := store.Get(t.Context(), "tlog/checkpoint"); !errors.Is(err, backend.ErrNotFound) {
				t.Fatalf("it was published all the same: %v", err)
			}
			one := policyOf(t, text+"group g 1 good.example broken.example\nquorum g\n")
			one.Timeout = 3 * time.Second // for the good one, on a busy machine
			c := seal(t, db, k, tlog.Witnessed(one))
			if _, err := (tlog.Policy{Log: k.policy.Log, Witnesses: one}).Open(c.Signed); err != nil {
				t.Error(err)
			}
			if _, err := (tlog.Policy{Log: k.policy.Log, Witnesses: all}).Open(c.Signed); !errors.Is(err, tlog.ErrBadCheckpoint) {
				t.Errorf("one cosignature meets a policy of two: %v", err)
			}
		})
	}
}

// TestWitnessThatLies has one of three witnesses say that the log was rewritten while
// another is down. Two must cosign: the sealer waits for the one that is down. If two
// say so, it ends.
func TestWitnessThatLies(t *testing.T) {
	t.Parallel()
	for _, lying := range []int{1, 2} {
		t.Run(fmt.Sprint(lying), func(t *testing.T) {
			t.Parallel()
			k := newKeys(t)
			db := open(t, memstore.New())
			grow(t, db, 0, 5)
			says := []http.HandlerFunc{
				func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnprocessableEntity) },
				func(w http.ResponseWriter, _ *http.Request) {
					w.WriteHeader(http.StatusConflict)
					fmt.Fprintln(w, 6)
				},
			}
			var text strings.Builder
			var down atomic.Bool
			down.Store(true)
			for i := range 3 {
				name := fmt.Sprintf("w%d.example", i)
				w := newWitness(t, k, name)
				server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					switch {
					case i < lying:
						says[i](rw, r)
					case i == 1 && down.Load():
						rw.WriteHeader(http.StatusServiceUnavailable)
					default:
						w.ServeHTTP(rw, r)
					}
				}))
				t.Cleanup(server.Close)
				fmt.Fprintf(&text, "witness %s %s %s\n", name, w.signer.Verifier(), server.URL)
			}
			policy := policyOf(t, text.String()+"group g 2 w0.example w1.example w2.example\nquorum g\n")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			failed := 0
			_, err := tlog.Seal(ctx, db, k.signer, tlog.Witnessed(policy), tlog.Every(time.Millisecond, func(_ tlog.Checkpoint, err error) {
				switch {
				case err == nil:
					cancel()
				case !errors.Is(err, tlog.ErrWitnesses) || !strings.Contains(err.Error(), "w0.example"):
					t.Errorf("Seal: %v", err)
				default:
					failed++
					down.Store(false)
				}
			}))
			switch {
			case lying == 1 && (!errors.Is(err, context.Canceled) || failed != 1):
				t.Errorf("one lies: %d failed: %v", failed, err)
			case lying == 2 && (!errors.Is(err, tlog.ErrFork) || !errors.Is(err, tlog.ErrRolledBack) || failed != 1):
				t.Errorf("two lie: %d failed: %v", failed, err)
			}
		})
	}
}

// TestWitnessJoinsLater has a witness cosign a log that was sealed without it, at
// the same size and at later ones.
func TestWitnessJoinsLater(t *testing.T) {
	t.Parallel()
	k := newKeys(t)
	db := open(t, memstore.New())
	grow(t, db, 0, 300)
	seal(t, db, k)
	w := newWitness(t, k, "w.example")
	policy := policyOf(t, "witness "+w.line()+"\nquorum w.example\n")
	for _, size := range []int{300, 300, 301, 600} {
		grow(t, db, 300, size)
		seal(t, db, k) // one without the witness, which it must catch up with
		seal(t, db, k, tlog.Witnessed(policy))
		v := verifier(t, k, tlog.RequireWitnesses(policy))
		if c, err := tlog.Audit(t.Context(), v, db); err != nil || int(w.seen.N) != int(c.Size) {
			t.Fatalf("size %d: %v, %v", size, c, err)
		}
		if size == 301 {
			grow(t, db, 301, 302)
		}
	}
}

func TestWitnessPolicyText(t *testing.T) {
	t.Parallel()
	w := newWitness(t, newKeys(t), "w.example")
	line := "witness " + w.line() + "\n"
	key := w.signer.Verifier().String()
	for _, text := range []string{
		"", line, "quorum x\n", line + line + "quorum w.example\n", "witness a b http://x\nquorum a\n",
		"witness a " + key + " file:///etc/passwd\nquorum a\n", line + "group g 2 w.example\nquorum g\n",
		line + "group g 0 w.example\nquorum g\n", line + "group g any x\nquorum g\n", line + "group g 1 w.example w.example\nquorum g\n",
		line + "quorum w.example\n" + line, "hello\n", "witness a\n", line + "group g any w.example\ngroup h any g\nquorum h\n",
		line + "witness again " + key + "\ngroup g all w.example again\nquorum g\n", // counts twice
	} {
		if _, err := tlog.ParseWitnessPolicy(text); err == nil {
			t.Errorf("this passes as a policy:\n%s", text)
		}
	}
	if p := policyOf(t, "log x\n# all\n"+line+"quorum none # none\n"); p.Quorum != 0 {
		t.Errorf("quorum none asks for %d", p.Quorum)
	}
}
