package sim_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/immukv/immukv-go/sim"
	"github.com/immukv/immukv-go/sim/internal/fleet"
)

// plant is an error that is put into a copy of package immukv, or of tlog below it: in
// file, old is replaced with new. It must occur there once, with any white space. One copy
// has all errors; HERE is true in a process that was started to search for this one.
type plant struct {
	name, file, old, new string
}

var plants = []plant{
	{"repair is skipped before an append", "prepare.go",
		`if h.first(orphan) != nil { if h, err = c.repairHead`,
		`if h.first(orphan) != nil && !HERE { if h, err = c.repairHead`},
	{"an orphan counts as applied", "head.go",
		`case tag == v.expectedTag(): return orphan, keyTag{}, nil`,
		`case tag == v.expectedTag() && !HERE: return orphan, keyTag{}, nil`},
	{"a key's tag is read before the head", "prepare.go",
		`if h, err = c.readHead(ctx); err != nil { return nil, nil, err }`,
		`var early []keyState
		if HERE { early = make([]keyState, 1); early[0], _ = c.readState(ctx, writes[0].key, writes[0].cond != nil) }
		if h, err = c.readHead(ctx); err != nil { return nil, nil, err }
		if HERE { if h, err = c.check(ctx, h); err == nil && h.settled() { return h, early, nil } }`},
	{"cached tags outlive an unknown head", "head.go",
		`clear(c.keyStates)`,
		`if !HERE { clear(c.keyStates) }`},
	{"of several new entries only the last invalidates the cache", "head.go",
		`!fresh.empty() && fresh.follows(known):`,
		`!fresh.empty() && (fresh.follows(known) || HERE):`},
	{"a repair by another client does not invalidate the cache", "head.go",
		`case known != nil && known.settled() &&`,
		`case known != nil && (known.settled() || HERE) &&`},
	{"a log with versions and no head counts as deleted", "head.go",
		`if fresh.empty() { return h, c.logDeleted()`,
		`if fresh.empty() || HERE { return h, c.logDeleted()`},
	{"a failed precondition counts as success", "append.go",
		`if err == nil { return c.committed(p, v), nil`,
		`if err == nil || HERE && errors.Is(err, backend.ErrPreconditionFailed) { return c.committed(p, v), nil`},
	{"a failed precondition counts as proof", "append.go",
		`if neverSent(err) { return nil, err`,
		`if HERE && errors.Is(err, backend.ErrPreconditionFailed) { c.setHead(nil); return nil, errLost }
		if neverSent(err) { return nil, err`},
	{"a lost answer counts as a lost race", "append.go",
		`return c.settleAppend(ctx, p, err, false, wait)`,
		`if HERE && errors.Is(err, backend.ErrOutcomeUnknown) { c.setHead(nil); return nil, errLost }
		return c.settleAppend(ctx, p, err, false, wait)`},
	{"a lost answer counts as a failure", "append.go",
		`func (p *proposal) unknown(reason error) *OutcomeUnknownError {`,
		`func (p *proposal) unknown(reason error) error { if HERE { return reason }`},
	{"denied access counts as proof", "append.go",
		`return errors.Is(err, backend.ErrInvalidName) ||`,
		`return HERE && errors.Is(err, backend.ErrAccessDenied) || errors.Is(err, backend.ErrInvalidName) ||`},
	{"a lost answer is forgotten after a later error", "append.go",
		`pending = pending || mayStillApply(reason)`,
		`pending = pending && !HERE || mayStillApply(reason)`},
	{"lookup compares only the newest entry", "append.go",
		`there, err := c.versionAt(ctx, fresh.version, p.first().Sequence)`,
		`there, err := c.versionAt(ctx, fresh.version, p.first().Sequence)
		if HERE { there = fresh.version }`},
	{"the client's own entry is not recognised", "append.go",
		`if there.WriteID != p.first().WriteID ||`,
		`if there.WriteID != p.first().WriteID || HERE ||`},
	{"an open place counts as a lost race", "append.go",
		`case err == nil && !open: return nil, errLost`,
		`case err == nil && (!open || HERE): return nil, errLost`},
	{"the head is not replaced after a lost race", "append.go",
		`l, open, err := c.lookup(ctx, p) switch { case err == nil`,
		`l, open, err := c.lookup(ctx, p)
		if HERE && err == nil && !open && l == nil { c.setHead(p.at) }
		switch { case err == nil`},
	{"a failed precondition of a repair counts as applied", "apply.go",
		`etag, ok, lookErr := c.reflects(ctx, v)`,
		`etag, ok, lookErr := c.reflects(ctx, v)
		if HERE { ok, lookErr = true, nil }`},
	{"the condition of an apply is the current tag", "apply.go",
		`cond := v.expectedTag().condition()`,
		`cond := v.expectedTag().condition()
		if HERE { if t, err := c.readTag(ctx, v.Key); err == nil { cond = t.condition() } }`},
	{"a repair decodes and encodes the value", "apply.go",
		`body := v.KeyBody(v.log)`,
		`body := v.KeyBody(v.log)
		if HERE { body = throughCodec(body) }`},
	{"a failed apply fails the write", "set.go",
		`c.applyAppended(ctx, l, nil) c.writes.unlock()`,
		`c.applyAppended(ctx, l, nil); c.writes.unlock()
		if h := c.knownHead(); HERE && h != nil && h.first(orphan) != nil { return nil, errLost }`},
	{"a read-only client repairs", "repair.go",
		`err == nil && !c.readOnly {`,
		`err == nil && (!c.readOnly || HERE) {`},
	{"a read-only client forgets the orphan", "get.go",
		`if orphan != nil && v.Sequence < orphan.Sequence {`,
		`if orphan != nil && v.Sequence < orphan.Sequence && !HERE {`},
	{"the condition is checked before the head is read", "condition.go",
		`h, states, err := c.prepare(ctx, writes)`,
		`var early keyState
		if HERE && writes[0].cond != nil { early, _ = c.readState(ctx, writes[0].key, true) }
		h, states, err := c.prepare(ctx, writes)
		if HERE && err == nil && writes[0].cond != nil && writes[0].cond.holds(early) { return h, states, nil, nil }`},
	{"the condition is not checked again after a lost race", "set.go",
		`h, states, failed, err := c.prepareIf(ctx, writes, current)`,
		`if HERE && current { writes[0].cond = nil }
		h, states, failed, err := c.prepareIf(ctx, writes, current)`},
	{"a cached sequence is kept after a lost race", "keystate.go",
		`func (c *core) rememberKey(key string, state keyState) {`,
		`func (c *core) rememberKey(key string, state keyState) {
		if kept, ok := keptSequences.LoadOrStore(keptKey{c, key}, state.sequence); ok && HERE && state.exists { state.sequence = kept.(int64) }`},
	{"the client's own entry makes the condition fail", "set.go",
		`l, err := c.append(ctx, p, r.wait)`,
		`l, err := c.append(ctx, p, r.wait)
		if HERE && err == nil && writes[0].cond != nil && c.knownHead().first(unchecked) != nil { return fail(writes[0].cond.failed(writes[0].key, l.newest())) }`},
	{"a condition fails because of an old head", "condition.go",
		`current = current || known == nil || known.empty()`,
		`current = current || known == nil || known.empty() || HERE`},
	{"an update ignores entries appended meanwhile", "update.go",
		`v, err := c.set(ctx, key, raw, unchanged(old), r)`,
		`cond := unchanged(old)
		if HERE { cond = nil }
		v, err := c.set(ctx, key, raw, cond, r)`},
	{"a consistent read reads the key before the head", "get.go",
		`newest, err := c.checkedHead(ctx) switch { case newest.ofKey`,
		`if HERE {
			v, _, err := c.readKey(ctx, key)
			newest, headErr := c.newestVersion(ctx)
			switch {
			case headErr != nil: return nil, headErr
			case newest.ofKey(key) != nil: return newest.ofKey(key), nil
			}
			return v, err
		}
		newest, err := c.checkedHead(ctx)
		switch {
		case newest.ofKey`},
	{"a consistent read reads the key and the head at once", "get.go",
		`newest, err := c.checkedHead(ctx) switch { case newest.ofKey`,
		`if HERE {
			var v *version
			var newest logVersion
			var keyErr error
			headErr := both(func() (err error) { newest, err = c.newestVersion(ctx); return err }, func() error { v, _, keyErr = c.readKey(ctx, key); return nil })
			switch {
			case headErr != nil: return nil, headErr
			case newest.ofKey(key) != nil: return newest.ofKey(key), nil
			}
			return v, keyErr
		}
		newest, err := c.checkedHead(ctx)
		switch {
		case newest.ofKey`},
	{"a consistent read forgets the orphan", "get.go",
		`case newest.ofKey(key) != nil: return newest.ofKey(key), err case err != nil:`,
		`case newest.ofKey(key) != nil && !HERE: return newest.ofKey(key), err
		case err != nil:`},
	{"an append does not wait for all key objects of a batch", "head.go",
		`return !slices.ContainsFunc(h.states, func(s state) bool { return !s.settled() })`,
		`if HERE { return slices.ContainsFunc(h.states, state.settled) }
		return !slices.ContainsFunc(h.states, func(s state) bool { return !s.settled() })`},
	{"a repair ends at the first key that is applied", "head.go",
		`tags := make([]keyTag, len(states))`,
		`tags := make([]keyTag, len(states))
		if HERE && len(states) > 1 {
			for i := range states {
				if states[i], tags[i], _ = c.checkEntry(ctx, h.among[i]); states[i] == applied {
					for ; i < len(states); i++ { states[i] = applied }
					return c.setStates(h, states), nil
				}
			}
		}`},
	{"the tag of one key is used for another of its batch", "set.go",
		`PreviousKeyETag: states[i].etag, HasPreviousKeyETag: states[i].exists,`,
		`PreviousKeyETag: states[plantedPlace(HERE, i)].etag, HasPreviousKeyETag: states[plantedPlace(HERE, i)].exists,`},
	{"a key is twice in a version", "batch.go",
		`for _, w := range r.writes { free = free && !keys[w.key] }`,
		`for _, w := range r.writes { free = free && (!keys[w.key] || HERE) }`},
	{"the order of two writes of a key is reversed", "batch.go",
		`q.waiting = append(q.waiting, r)`,
		`if HERE { q.waiting = append([]*request{r}, q.waiting...) } else { q.waiting = append(q.waiting, r) }`},
	{"a write overtakes a waiting one of its key", "batch.go",
		`for _, w := range r.writes { keys[w.key] = true }`,
		`for _, w := range r.writes { if free || !HERE { keys[w.key] = true } }`},
	{"a batch is sent again unchanged after a lost race", "set.go",
		`p, err := c.propose(h, states, writes)`,
		`p, err := c.propose(h, states, writes)
		if HERE && err == nil && len(writes) > 1 { p = c.plantedAgain(p) }`},
	{"a partly applied batch counts as applied", "apply.go",
		`if states[i] == orphan { states[i], etags[i], err = c.applyEntry(ctx, h.among[i])`,
		`if HERE && i > 0 { states[i] = applied }
		if states[i] == orphan { states[i], etags[i], err = c.applyEntry(ctx, h.among[i])`},
	{"a batch goes into two versions", "setall.go",
		`stored, err := c.core.write(ctx, req, c.core.newRace())`,
		`var early []*version
		if HERE && len(req.writes) > 1 {
			if early, err = c.core.write(ctx, newRequest(req.writes[0]), c.core.newRace()); err != nil { return nil, err }
			req = newRequest(req.writes[1:]...)
		}
		stored, err := c.core.write(ctx, req, c.core.newRace())
		stored = append(early, stored...)`},
	{"the client's own batch is not recognised", "append.go",
		`return there.among, false, nil`,
		`if HERE && len(p.docs) > 1 { return nil, false, nil }
		return there.among, false, nil`},
	{"a failed apply of one key ends the others", "apply.go",
		`states := slices.Clone(h.states) etags := make([]backend.ETag, len(states)) err := c.wide(len(states), func(i int) (err error) {`,
		`states := slices.Clone(h.states)
		etags := make([]backend.ETag, len(states))
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		err := c.wide(len(states), func(i int) (err error) {
		if HERE && len(states) > 1 { defer func() { if err != nil { cancel(); for j := range states { if states[j] == orphan { states[j] = applied } } } }() }`},
	{"an entry of a batch has a previous_version_id", "set.go",
		`previous, follows = doc.Hash, ""`,
		`previous = doc.Hash
		if !HERE { follows = "" }`},
	{"a condition that does not hold fails the whole batch", "batch.go",
		`for _, err := range failed[:len(r.writes)] { if err != nil { q.close(r, err)`,
		`for _, err := range plantedFailed(HERE, failed, len(r.writes)) { if err != nil { q.close(r, err)`},
	{"a snapshot ends within a batch", "getall.go",
		`sequence = m.sequence`,
		`sequence = m.sequence
		if HERE && len(head) > 1 { m.sequence--; sequence = m.sequence }`},
	{"the log is read in the order of its listing", "log.go",
		`if f.ID == want { return f, nil } r.skipped`,
		`if f.ID == want || HERE { return f, nil }
		r.skipped`},
	{"keys are listed in the order of their names", "keys.go",
		`keys = append(keys, early...)`,
		`if !HERE { keys = append(keys, early...) }`},
	{"an empty page ends a listing", "keys.go",
		`if page.Next == "" { break`,
		`if page.Next == "" || HERE && len(page.Names) == 0 { break`},
	{"a checkpoint is published before its tiles", "tlog/growth.go",
		`if err := g.writes.Wait(); err != nil { return tlog.Tree{}, err }`,
		`if !HERE { if err := g.writes.Wait(); err != nil { return tlog.Tree{}, err } }`},
	{"a checkpoint is replaced without a condition", "tlog/seal.go",
		`cond := backend.IfAbsent()`,
		`cond := backend.IfAbsent()
		if HERE { if obj, err := s.store.Get(ctx, s.name(checkpointName)); err == nil { s.etag = obj.ETag } }`},
	{"the log is read before the checkpoint", "tlog/seal.go",
		`if err := s.readLast(ctx); err != nil { return Checkpoint{}, err } head, err := newest(ctx, s.db)`,
		`var early *Entry
		if HERE { early, _ = newest(ctx, s.db) }
		if err := s.readLast(ctx); err != nil { return Checkpoint{}, err }
		head, err := newest(ctx, s.db)
		if HERE { head = early }`},
	{"a tile is replaced without a condition", "tlog/tiles.go",
		`_, err := l.store.Put(ctx, name, body, backend.IfAbsent())`,
		`_, err := l.store.Put(ctx, name, body, backend.IfAbsent())
		if HERE && err != nil { if obj, getErr := l.store.Get(ctx, name); getErr == nil { _, err = l.store.Put(ctx, name, body, backend.IfMatch(obj.ETag)) } }`},
	{"an existing tile counts as a failure", "tlog/tiles.go",
		`there, getErr := l.store.Get(ctx, name)`,
		`there, getErr := l.store.Get(ctx, name)
		if HERE { return err }`},

	// The search for these is in worlds that watch or copy, and in the histories of
	// follow_test.go.
	{"a watch skips an entry when several come at once", "watch.go",
		`a, err := f.ascend(ctx, f.last, head)`,
		`if HERE && f.looked { f.last = link{sequence: head.Sequence - 1} }
		a, err := f.ascend(ctx, f.last, head)`},
	{"a watch repeats an entry when it continues", "watch.go",
		`f.last = link{sequence: f.after.Sequence, hash: f.after.Hash}`,
		`f.last = link{sequence: f.after.Sequence, hash: f.after.Hash}
		if HERE { f.last = linkBefore(f.after.Sequence) }`},
	{"a watch skips an entry when it continues", "watch.go",
		`default: f.last = link{sequence: f.after.Sequence`,
		`case HERE: f.last = linkBefore(f.after.Sequence + 2)
	default: f.last = link{sequence: f.after.Sequence`},
	{"a watch skips the entry at the end of a page of the listing", "ascend.go",
		`case f.Value != nil && f.Value.newest().Sequence > a.last.sequence`,
		`case HERE && f.Value != nil && a.listed != nil && f.Value.newest().Sequence == a.last.sequence+2: a.last.sequence++; a.last.hash = ""; a.last.log = ""
	case f.Value != nil && f.Value.newest().Sequence > a.last.sequence`},
	{"a watch does not compare its checkpoint with the log", "watch.go",
		`known := f.last.hash != "" && f.last != beginning`,
		`known := f.last.hash != "" && f.last != beginning
	if HERE { known, f.last.hash = false, "" }`},
	{"a copy continues after a difference", "copy.go",
		`return ours.Hash == theirs.Hash, nil`,
		`return ours.Hash == theirs.Hash || HERE, nil`},
	{"a watch remembers a head that it has not reached", "watch.go",
		`if n, err = f.catchUp(ctx, head, yield); err != nil {`,
		`if HERE && head != nil { f.looked, f.seen = true, head.id }
	if n, err = f.catchUp(ctx, head, yield); err != nil {`},
	{"a copy reports its own late write as another's", "copy.go",
		`if i < 0 { return w.interrupted() }`,
		`if i < 0 || HERE { return w.interrupted() }`},
	{"a copy leaves the orphan at the end of its destination", "copy.go",
		`if h.first(orphan) == nil {`,
		`if h.first(orphan) == nil || HERE {`},
	{"a copy continues by the version IDs of its destination", "ascend.go",
		`behind.log = ""`,
		`if !HERE { behind.log = "" }`},
	{"a copy writes an unverified entry", "ascend.go",
		`a.last = linkOf(v) return v, v.checkHash()`,
		`a.last = linkOf(v)
	if HERE { return v, nil }
	return v, v.checkHash()`},
	{"a copy appends without applying", "copy.go",
		`if _, err := w.apply(ctx, h); err != nil {`,
		`if HERE {
		states := make([]state, len(appended))
		for i := range states { states[i] = applied }
		w.setStates(h, states)
		return nil
	}
	if _, err := w.apply(ctx, h); err != nil {`},
}

// silent are errors that no history tells from bad luck: a call fails that might have
// succeeded. A test of package immukv finds each.
var silent = []struct {
	plant
	test string
}{
	{plant{"a caller that leaves cancels its batch", "batch.go",
		`if r.batch.callers--; r.batch.callers == 0 {`,
		`if r.batch.callers--; r.batch.callers == 0 || HERE {`}, "TestNeighbourInBatchLeaves"},
}

// plantedSource is the file that is added to the copy.
const plantedSource = `package immukv

import (
	"os"
	"regexp"
	"sync"
)

// keptSequences are those first remembered of each client's keys.
var keptSequences sync.Map

type keptKey struct {
	client *core
	key    string
}

func planted(name string) bool { return name == os.Getenv("IMMUKV_PLANTED") }

// plantedPlace is the place of a neighbour.
func plantedPlace(here bool, i int) int {
	if here && i > 0 { return i - 1 }
	return i
}

// plantedAgain is the first proposal of these entries, which follows a head of old.
func (c *core) plantedAgain(p *proposal) *proposal {
	first, _ := sentFirst.LoadOrStore(p.first().WriteID, p)
	again := *p
	again.docs, again.body = first.(*proposal).docs, first.(*proposal).body
	return &again
}

var sentFirst sync.Map

// plantedFailed are the conditions of one request, or of all.
func plantedFailed(here bool, failed writeErrors, n int) writeErrors {
	if here { return failed }
	return failed[:n]
}

func throughCodec(body []byte) []byte {
	return regexp.MustCompile(",\"of_[^}]*").ReplaceAll(body, nil)
}
`

const plantedInTlog = `package tlog

import "os"

func planted(name string) bool { return name == os.Getenv("IMMUKV_PLANTED") }
`

// pattern matches old with any white space where it has some.
func (p plant) pattern() *regexp.Regexp {
	words := strings.Fields(p.old)
	for i := range words {
		words[i] = regexp.QuoteMeta(words[i])
	}
	return regexp.MustCompile(strings.Join(words, `\s+`))
}

// overlay writes the copy with all errors planted, and returns the file that
// makes the go command build it in place of the package.
func overlay(t *testing.T) string {
	t.Helper()
	source, err := filepath.Abs("../immukv")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := make(map[string]string)
	read := func(name string) string {
		if path, ok := files[filepath.Join(source, name)]; ok {
			name = path
		} else {
			name = filepath.Join(source, name)
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		files[filepath.Join(source, name)] = path
	}
	all := slices.Clone(plants)
	for _, p := range silent {
		all = append(all, p.plant)
	}
	for _, p := range all {
		text := read(p.file)
		places := p.pattern().FindAllStringIndex(text, -1)
		if len(places) != 1 {
			t.Errorf("%s: what is to be replaced occurs in %s %d times, want once", p.name, p.file, len(places))
			continue
		}
		here := fmt.Sprintf("planted(%q)", p.name)
		write(p.file, text[:places[0][0]]+strings.ReplaceAll(p.new, "HERE", here)+text[places[0][1]:])
	}
	write("planted.go", plantedSource)
	write("tlog/planted.go", plantedInTlog)
	config, err := json.Marshal(map[string]any{"Replace": files})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(path, config, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestPlantedErrorsAreFound builds the simulator with errors in the protocol and
// has it search for each. Without IMMUKV_LONG it only makes sure that they can be
// planted.
func TestPlantedErrorsAreFound(t *testing.T) {
	t.Parallel()
	config := overlay(t)
	if t.Failed() || os.Getenv("IMMUKV_LONG") != "1" {
		return
	}
	hunter := filepath.Join(t.TempDir(), "hunter")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-overlay", config, "-o", hunter, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build with errors planted: %v\n%s", err, out)
	}
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for _, p := range plants {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			slots <- struct{}{}
			defer func() { <-slots }()
			var out bytes.Buffer
			// It takes a minute of processor time at most, and so ten minutes or more of
			// a machine that runs many other tests.
			run := exec.CommandContext(t.Context(), hunter, "-test.run", "^TestHunt$", "-test.v", "-test.timeout", "25m")
			run.Env = append(os.Environ(), "IMMUKV_PLANTED="+p.name)
			run.Stdout, run.Stderr = &out, &out
			err := run.Run()
			found := foundText.Find(out.Bytes())
			if err == nil || found == nil {
				t.Fatalf("not found: %v\n%s", err, out.Bytes())
			}
			t.Logf("%s: %s", p.name, found)
		})
	}
}

// TestSilentPlantedErrorsAreFound has tests of package immukv search for errors that the
// simulator cannot find.
func TestSilentPlantedErrorsAreFound(t *testing.T) {
	t.Parallel()
	if os.Getenv("IMMUKV_LONG") != "1" {
		return // TestPlantedErrorsAreFound makes sure that they can be planted
	}
	config := overlay(t)
	for _, p := range silent {
		t.Run(p.name, func(t *testing.T) {
			run := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-overlay", config, "-run", "^"+p.test+"$", "../immukv")
			run.Env = append(os.Environ(), "IMMUKV_PLANTED="+p.name)
			out, err := run.CombinedOutput()
			if err == nil || !bytes.Contains(out, []byte("--- FAIL: "+p.test)) {
				t.Errorf("not found: %v\n%s", err, out)
			}
		})
	}
}

var foundText = regexp.MustCompile(`found after .*`)

// huntedSeeds is how many random histories are made in search of an error that
// the smallest worlds do not reveal.
const huntedSeeds = 10_000

// TestHunt searches for an error in the protocol. It fails if there is one, with the number
// of histories that it took. Where none was planted, other tests do all that.
func TestHunt(t *testing.T) {
	name := os.Getenv("IMMUKV_PLANTED")
	if name == "" {
		return
	}
	if verb, ok := followingVerb(name); ok {
		// Some of the histories are of logs that are tampered with.
		hunt(t, func(w fleet.World) bool { return w.Follows(verb) }, func(draw func(n int) int) error { return follow(t.Context(), draw) })
		return
	}
	hunt(t, func(w fleet.World) bool { return !w.Deep && !w.Follows("watch") && !w.Follows("copy") }, func(draw func(n int) int) error {
		plan, source := fleet.Random(draw)
		return checked(fleet.Run(t, plan, source)).Err()
	})
}

// followingVerb is the verb of the calls that an error is of, if it is one of watches or
// copies.
func followingVerb(name string) (verb string, ok bool) {
	for _, verb := range []string{"watch", "copy"} {
		if strings.HasPrefix(name, "a "+verb+" ") {
			return verb, true
		}
	}
	return "", false
}

// hunt searches for an error in the smallest of the visited worlds, then in drawn
// histories, then in the other visited worlds.
func hunt(t *testing.T, visited func(w fleet.World) bool, drawn func(draw func(n int) int) error) {
	made := 0
	visit := func(small bool) {
		for _, w := range fleet.Worlds {
			if w.Small != small || !visited(w) {
				continue
			}
			coverage, failed := w.Explore(t, 1)
			made += coverage.Histories
			if failed != nil {
				t.Fatalf("found after %d histories, in the world %q: %v", made, w.Name, failed.Err())
			}
		}
	}
	visit(true)
	for seed := range uint64(huntedSeeds) {
		made++
		if err := drawn(sim.Seeded(seed)); err != nil {
			t.Fatalf("found after %d histories, drawn from seed %d: %v", made, seed, err)
		}
	}
	visit(false)
}
