package immukv_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
)

// arrival is a copy during which a write of an earlier one arrives.
type arrival struct {
	written int   // versions that the earlier copy wrote before
	at      int64 // the request of the copy before which the write arrives
	dst     *memstore.Store
	late    error // of the write
	report  immukv.CopyReport
	err     error
}

func (a arrival) String() string {
	return fmt.Sprintf("write %d arrives before request %d, %v", a.written, a.at, a.late)
}

// lateWrites interrupts a copy of first after it has written some versions to a store
// that begins as start makes it. Then a copy of second to the same store begins, and
// before one of its requests, the next write of the first copy arrives. lateWrites does
// so for each of these requests, and calls check after each copy.
func lateWrites(t *testing.T, start func() *memstore.Store, first, second *memstore.Store, written int, check func(arrival)) {
	t.Helper()
	arrived := 0
	for at := int64(1); ; at++ {
		dst := start()
		var late func() (backend.Version, error)
		writes := 0
		interrupted := &tapped{store: dst, put: func(r request, send func() (backend.Version, error)) (backend.Version, error) {
			if r.name == logObject {
				writes++
			}
			if writes <= written {
				return send()
			}
			late = send
			return backend.Version{}, storeError(backend.ErrAccessDenied)
		}}
		if r, err := copyTo(t.Context(), interrupted, first, immukv.WithMaxAttempts(1)); !errors.Is(err, backend.ErrAccessDenied) {
			t.Fatalf("%+v, %v", r, err)
		}
		a := arrival{written: written, at: at, dst: dst}
		var requests atomic.Int64
		again := &tapped{store: dst, before: func(context.Context, request) error {
			if requests.Add(1) == at {
				_, a.late = late()
			}
			return nil
		}}
		a.report, a.err = copyTo(t.Context(), again, second)
		check(a)
		if requests.Load() < at {
			break
		}
		if a.late == nil {
			arrived++
		}
	}
	if arrived == 0 {
		t.Errorf("write %d never arrived", written)
	}
}

// A write of a copy that was interrupted may arrive during the next copy, which continues
// after it.
func TestCopyMeetsItsOwnLateWrite(t *testing.T) {
	t.Parallel()
	src := mixed(t, 6)
	for written := range 5 { // versions, the last but one of several entries
		lateWrites(t, func() *memstore.Store { return elsewhere(t) }, src, src, written, func(a arrival) {
			if a.err != nil || a.report.Head != headOf(t, src) {
				t.Errorf("%v: %+v, %v", a, a.report, a.err)
			}
			if n := sameLog(t, src.Dump(), a.dst.Dump(), logObject, logObject); int64(n) != a.report.Head.Sequence+1 {
				t.Errorf("%v: %d entries in the end", a, n)
			}
			if r := audit(t, a.dst); len(r.Orphans) > 0 {
				t.Errorf("%v: an orphan is left", a)
			}
		})
	}
}

// divided is a log with the same entries as src, whose versions have at most n of them.
func divided(t *testing.T, src *memstore.Store, n int) *memstore.Store {
	t.Helper()
	var lines []string
	for _, v := range versionsOf(src.Dump(), logObject) {
		for i, line := range strings.Split(v.Body, "\n") {
			if i > 0 && i%n == 0 {
				line = replaced(line, `,"sequence":`, `,"previous_version_id":"another","sequence":`)
			}
			lines = append(lines, line)
		}
	}
	dst := memstore.New()
	if _, err := immukv.Import(t.Context(), open[int](t, dst), strings.NewReader(strings.Join(lines, "\n"))); err != nil {
		t.Fatal(err)
	}
	if headOf(t, dst) != headOf(t, src) {
		t.Fatal("the divided log has another head")
	}
	return dst
}

// The late write may come from another copy of the source, which divides the same entries
// into other versions. If it holds only the first entries of a version, the copy continues
// after them. If it holds more than the version, the next copy does.
func TestCopyMeetsALateWriteOfOtherEntries(t *testing.T) {
	t.Parallel()
	src := memstore.New()
	db := open[int](t, src)
	for i := range 2 {
		var writes []immukv.Write[int]
		for k := range 6 {
			writes = append(writes, immukv.Write[int]{Key: fmt.Sprint("k", k), Value: i})
		}
		if _, err := db.SetAll(t.Context(), writes...); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		first, second int
		within        bool // no version of the first ends after the version of the second that it begins in
	}{{1, 6, true}, {2, 6, true}, {4, 6, true}, {6, 1, false}, {6, 4, false}, {3, 4, false}} {
		synctest.Test(t, func(t *testing.T) { // time is virtual: a copy waits before its lookup
			first, second := divided(t, src, c.first), divided(t, src, c.second)
			for written := range len(versionsOf(first.Dump(), logObject)) {
				lateWrites(t, func() *memstore.Store { return elsewhere(t) }, first, second, written, func(a arrival) {
					if a.err != nil && (c.within || !errors.Is(a.err, immukv.ErrDiverged)) {
						t.Errorf("%d, then %d entries: %v: %+v, %v", c.first, c.second, a, a.report, a.err)
					}
					if a.err == nil && a.report.Head != headOf(t, a.dst) {
						t.Errorf("%v: %+v", a, a.report)
					}
					audit(t, a.dst)
					if r, err := copyTo(t.Context(), a.dst, second); err != nil || r.Head != headOf(t, src) {
						t.Errorf("%v, and then: %+v, %v", a, r, err)
					}
					if r := audit(t, a.dst); len(r.Orphans) > 0 {
						t.Errorf("%v: an orphan is left", a)
					}
				})
			}
		})
	}
}

// tooLarge is a log whose second version has four entries and as many bytes as a version
// may have, and a beginning of it that the second version does not fit behind: the version
// ID of its first is longer.
func tooLarge(t *testing.T) (src, dst *memstore.Store) {
	t.Helper()
	src = memstore.New()
	db := open[string](t, src)
	first := set(t, db, "first", "")
	writes := make([]immukv.Write[string], 4)
	for i := range writes {
		writes[i] = immukv.Write[string]{Key: fmt.Sprint("k", i), Value: strings.Repeat("x", 2<<20-500)}
	}
	if _, err := db.SetAll(t.Context(), writes...); err != nil {
		t.Fatal(err)
	}
	body := versionsOf(src.Dump(), logObject)[1].Body
	id := string(first.VersionID)
	id += strings.Repeat("-", 8<<20-len(body)+1)
	state := src.Dump()
	state.Objects = slices.DeleteFunc(state.Objects, func(o memstore.Object) bool { return o.Name != logObject && o.Name != "keys/first.json" })
	for i, o := range state.Objects {
		o.Versions = o.Versions[:1]
		if o.Name == logObject {
			o.Versions[0].ID = backend.VersionID(id)
		} else {
			o.Versions[0].Body = replaced(o.Versions[0].Body, string(first.VersionID), id)
		}
		state.Objects[i] = o
	}
	dst = load(t, state)
	audit(t, dst)
	return src, dst
}

// A version that is too large for the destination is divided, and the write of a part may
// arrive late, too.
func TestCopyDividesAVersion(t *testing.T) {
	t.Parallel()
	src, begun := tooLarge(t)
	for written := range 2 {
		lateWrites(t, func() *memstore.Store { return load(t, begun.Dump()) }, src, src, written, func(a arrival) {
			if a.err != nil || a.report.Head != headOf(t, src) {
				t.Errorf("%v: %+v, %v", a, a.report, a.err)
			}
			if n := len(versionsOf(a.dst.Dump(), logObject)); n != 3 {
				t.Errorf("%v: %d versions", a, n)
			}
			if r := audit(t, a.dst); len(r.Orphans) > 0 {
				t.Errorf("%v: an orphan is left", a)
			}
		})
	}
}
