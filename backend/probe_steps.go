package backend

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// probe is the state of a probe.
type probe struct {
	store  VersionedStore
	report *ProbeReport
	// kept are the versions of the object that the store acknowledged, in the order of
	// their writing, as far as that is known.
	kept []Object
	// writes counts the bodies made, so that no two are equal.
	writes int
}

const (
	remedyConditions = "use a store that supports If-None-Match and If-Match on writes, and check whether a proxy removes them"
	remedyAtomic     = "use a store that checks the condition and writes in one atomic step; fewer or slower clients do not make this safe"
	remedyVersioning = "enable versioning for the bucket, and use a store that supports it"
	remedyVersions   = "enable versioning, remove rules that expire versions, permit reading versions, and use a store that can read them"
	remedyStore      = "use another store: no setting is known to fix this"
	remedyAbsence    = "use a store that distinguishes absence from other failures; permit listing, too: without it, some stores deny access to absent objects"
)

func (p *probe) finding(clause string) *ProbeFinding {
	for i := range p.report.Findings {
		if p.report.Findings[i].Clause == clause {
			return &p.report.Findings[i]
		}
	}
	p.report.Findings = append(p.report.Findings, ProbeFinding{Clause: clause, Title: "the store's own check"})
	return &p.report.Findings[len(p.report.Findings)-1]
}

// fail records a failure of a clause. The first one is kept.
func (p *probe) fail(clause, remedy, format string, args ...any) {
	if f := p.finding(clause); f.Outcome != ProbeFailed {
		f.Outcome, f.Remedy, f.Seen = ProbeFailed, remedy, fmt.Sprintf(format, args...)
	}
}

// pass records that a clause passed, unless it failed before.
func (p *probe) pass(clause, format string, args ...any) {
	if f := p.finding(clause); f.Outcome != ProbeFailed {
		f.Outcome, f.Seen = ProbePassed, fmt.Sprintf(format, args...)
	}
}

// run makes the steps one after another. Each needs what those before it wrote.
func (p *probe) run(ctx context.Context) error {
	steps := []func(context.Context) error{
		p.absence, p.create, p.refusedWrites, p.updates, p.staleWrite, p.readBack, p.listing, p.matchMissing,
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// left counts the versions of the object that exist at the end.
func (p *probe) left(ctx context.Context) int {
	left, err := p.list(ctx, VersionsRequest{}, p.writes)
	if err != nil {
		return len(p.kept)
	}
	return len(left)
}

// absence checks the object before it is written.
func (p *probe) absence(ctx context.Context) error {
	for _, read := range []struct {
		method string
		err    error
	}{{"Get", second(p.store.Get(ctx, p.report.Object))}, {"Head", second(p.store.Head(ctx, p.report.Object))}} {
		switch {
		case errors.Is(read.err, ErrNotFound):
		case read.err == nil:
			p.fail("S14", remedyStore, "%s found an object that was never written", read.method)
		default:
			return read.err
		}
	}
	versions, err := p.list(ctx, VersionsRequest{}, 0)
	switch {
	case err != nil && inconclusive(err):
		return err
	case err != nil:
		p.fail("S10", remedyVersions, "versions cannot be listed: %v", err)
	case len(versions) > 0:
		p.fail("S14", remedyStore, "an object that was never written has %d versions", len(versions))
	}
	p.pass("S14", "Get, Head and ListVersions of an object that was never written")
	return nil
}

// create has writers race for the first version of the object.
func (p *probe) create(ctx context.Context) error {
	return p.race(ctx, IfAbsent())
}

// updates has writers race for further versions.
func (p *probe) updates(ctx context.Context) error {
	for range probeRounds - 1 {
		current, err := p.store.Head(ctx, p.report.Object)
		if err != nil {
			return p.vanished(err)
		}
		if err := p.race(ctx, IfMatch(current.ETag)); err != nil {
			return err
		}
	}
	p.pass("S3", "%d rounds of %d writers each, one winner in every round", probeRounds, probeRacers)
	p.pass("S4", "%d writes acknowledged, each with an ID and an ETag", len(p.kept))
	return nil
}

// refusedWrites tries writes whose condition does not hold.
func (p *probe) refusedWrites(ctx context.Context) error {
	current, err := p.store.Head(ctx, p.report.Object)
	if err != nil {
		return p.vanished(err)
	}
	if applied, err := p.refused(ctx, p.report.Object, IfAbsent()); err != nil {
		return err
	} else if applied {
		p.fail("S1", remedyConditions, "a write if absent was accepted on an object that exists")
	}
	// In HTTP, the condition * matches any version. It must not be sent.
	for _, tag := range []ETag{otherTag(current.ETag), "*"} {
		if applied, err := p.refused(ctx, p.report.Object, IfMatch(tag)); err != nil {
			return err
		} else if applied {
			p.fail("S2", remedyConditions, "a write was accepted under the ETag %s, which no version has", tag)
		}
	}
	p.pass("S1", "writes if absent on an absent object and on a present one")
	return nil
}

// staleWrite tries to write under the ETag of a version that is no longer
// current.
func (p *probe) staleWrite(ctx context.Context) error {
	if len(p.kept) == 0 {
		return nil
	}
	current, err := p.store.Head(ctx, p.report.Object)
	if err != nil {
		return p.vanished(err)
	}
	stale := p.kept[0].ETag
	if stale == current.ETag {
		return nil // no older version was acknowledged, or S9 failed
	}
	applied, err := p.refused(ctx, p.report.Object, IfMatch(stale))
	if applied {
		p.fail("S2", remedyConditions, "a write was accepted under the ETag of a version that was no longer current")
	}
	return err
}

// matchMissing tries to write under an ETag to an object that does not exist. It comes
// last and uses its own name, because a faulty store creates that object.
func (p *probe) matchMissing(ctx context.Context) error {
	tag := ETag(`"0123456789abcdef0123456789abcdef"`)
	if len(p.kept) > 0 {
		tag = p.kept[0].ETag
	}
	name := p.report.Object + "-absent"
	applied, err := p.refused(ctx, name, IfMatch(tag))
	if err != nil {
		return err
	}
	_, err = p.store.Head(ctx, name)
	switch {
	case applied || err == nil:
		p.fail("S2", remedyConditions, "a write if matching created an object that did not exist; %q remains", name)
	case !errors.Is(err, ErrNotFound):
		return err
	}
	p.pass("S2", "writes under the ETag of the current version, of an old one, of none, and of an absent object")
	return nil
}

// refused writes under a condition that does not hold, and reports whether the store
// accepted the write.
func (p *probe) refused(ctx context.Context, name string, cond Condition) (applied bool, err error) {
	if !cond.Valid() {
		return false, p.noTag()
	}
	body := p.body()
	v, err := p.store.Put(ctx, name, body, cond)
	switch {
	case err == nil:
		if name == p.report.Object {
			p.keep(v, body)
		}
		return true, nil
	case errors.Is(err, ErrPreconditionFailed):
		return false, nil
	case errors.Is(err, ErrNotFound):
		p.fail("S2", remedyStore, "a write %v that does not hold was reported as not found instead of as a failed precondition", cond)
		return false, nil
	default:
		return false, err
	}
}

// race makes probeRacers writes at once under one condition that holds.
func (p *probe) race(ctx context.Context, cond Condition) error {
	type attempt struct {
		body    []byte
		version Version
		err     error
	}
	if !cond.Valid() {
		return p.noTag()
	}
	attempts := make([]attempt, probeRacers)
	start := make(chan struct{})
	var racers sync.WaitGroup
	for i := range attempts {
		attempts[i].body = p.body()
		racers.Go(func() {
			<-start
			a := &attempts[i]
			a.version, a.err = p.store.Put(ctx, p.report.Object, a.body, cond)
		})
	}
	close(start)
	racers.Wait()

	winners := 0
	var failed error
	for _, a := range attempts {
		switch {
		case a.err == nil:
			winners++
			p.keep(a.version, a.body)
		case !errors.Is(a.err, ErrPreconditionFailed):
			failed = a.err
		}
	}
	switch {
	case winners > 1:
		p.fail("S3", remedyAtomic, "of %d concurrent writes %v, %d were accepted", probeRacers, cond, winners)
	case winners == 0 && failed != nil:
		return failed
	case winners == 0 && cond.Absent():
		p.fail("S1", remedyConditions, "no write if absent was accepted on an object that does not exist")
		return errEnded
	case winners == 0:
		p.fail("S2", remedyConditions, "no write was accepted under the ETag of the current version")
	}
	return nil
}

// errEnded ends a probe that cannot continue. The report says why.
var errEnded = errors.New("probe ended")

// inconclusive reports whether an error says nothing about the store's abilities, unlike
// the errors of a store for operations that it does not support.
func inconclusive(err error) bool {
	return errors.Is(err, ErrAccessDenied) || errors.Is(err, ErrUnavailable) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// vanished is the error of a Head on the object after it was written.
func (p *probe) vanished(err error) error {
	if errors.Is(err, ErrNotFound) {
		p.fail("S14", remedyAbsence, "an object that had been written was reported as absent")
		return errEnded
	}
	return err
}

// noTag ends a probe that has no ETag for further writes.
func (p *probe) noTag() error {
	p.fail("S4", remedyStore, "a version has no ETag")
	return errEnded
}

// keep records an acknowledged write and checks the answer.
func (p *probe) keep(v Version, body []byte) {
	p.kept = append(p.kept, Object{Version: v, Body: body})
	switch {
	case v.ID == "" || v.ID == "null":
		p.fail("S4", remedyVersioning, "a write was answered with the version ID %q", v.ID)
	case v.ETag == "":
		p.fail("S4", remedyStore, "a write was answered without an ETag")
	}
}

// readBack reads all acknowledged versions.
func (p *probe) readBack(ctx context.Context) error {
	ids := make(map[VersionID]bool)
	for i, want := range p.kept {
		if ids[want.ID] {
			p.fail("S9", remedyVersioning, "two versions have the ID %q", want.ID)
		}
		ids[want.ID] = true
		if i > 0 && want.ETag == p.kept[i-1].ETag {
			p.fail("S9", remedyStore, "two successive versions with different bodies have the ETag %s", want.ETag)
		}
		got, err := p.store.GetVersion(ctx, p.report.Object, want.ID)
		switch {
		case err != nil && inconclusive(err):
			return err
		case err != nil:
			p.fail("S8", remedyVersions, "version %q was acknowledged, but cannot be read: %v", want.ID, err)
		case string(got.Body) != string(want.Body):
			p.fail("S8", remedyVersions, "version %q is read with another body than was written", want.ID)
		case got.Version != want.Version:
			p.fail("S8", remedyStore, "version %q with ETag %s is read as %q with %s", want.ID, want.ETag, got.ID, got.ETag)
		}
	}
	p.pass("S8", "%d versions read after the last of them was written", len(p.kept))
	p.pass("S9", "the IDs and ETags of %d versions", len(p.kept))
	return nil
}

// listing lists the versions in pages of two, and again starting after the newest.
func (p *probe) listing(ctx context.Context) error {
	for _, clause := range []string{"S3", "S4", "S10"} {
		if p.finding(clause).Outcome == ProbeFailed {
			// If a race has several winners, their order is not known. Without IDs,
			// versions cannot be distinguished.
			return nil
		}
	}
	var want []Version
	for _, o := range slices.Backward(p.kept) {
		want = append(want, o.Version)
	}
	for skip := range min(2, len(want)) {
		req := VersionsRequest{Limit: 2}
		if skip > 0 {
			req.After = want[skip-1].ID
		}
		got, err := p.list(ctx, req, len(want))
		if err != nil {
			return err
		}
		if !slices.Equal(got, want[skip:]) {
			p.fail("S10", remedyStore, "%d versions in pages of two were listed as %v instead of %v",
				len(want)-skip, got, want[skip:])
		}
	}
	p.pass("S10", "%d versions in pages of two, from the newest on and from the next older one on", len(want))
	return nil
}

// list collects the pages of a listing that should have at most bound versions. A page
// may be empty, so there may be more pages than versions. The probe reads at most one
// page and one empty page for each version.
func (p *probe) list(ctx context.Context, req VersionsRequest, bound int) ([]Version, error) {
	var all []Version
	for range 2*bound + 2 {
		page, err := p.store.ListVersions(ctx, p.report.Object, req)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Versions...)
		if page.Next == "" {
			break
		}
		req.Token = page.Next
	}
	return all, nil
}

// body returns a body that no other write of the probe has.
func (p *probe) body() []byte {
	p.writes++
	return fmt.Appendf(nil, `{"probe":%q,"write":%d}`, p.report.Object, p.writes)
}

// otherTag returns an ETag of the same form as the given one, which no version has.
func otherTag(tag ETag) ETag {
	b := []byte(tag)
	for i, c := range b {
		switch {
		case c >= '0' && c <= '8', c >= 'a' && c <= 'e':
			b[i] = c + 1
		case c == '9', c == 'f':
			b[i] = '0'
		}
	}
	if ETag(b) == tag {
		return tag + "0"
	}
	return ETag(b)
}

func second[T any](_ T, err error) error { return err }
