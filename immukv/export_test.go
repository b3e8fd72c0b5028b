package immukv_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/sim"
)

func exported(t testing.TB, store backend.VersionedStore, opts ...immukv.ExportOption) (string, immukv.ExportReport) {
	t.Helper()
	var out bytes.Buffer
	r, err := open[int](t, store).Export(t.Context(), &out, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), r
}

func verifyText(t testing.TB, text string, opts ...immukv.VerifyOption) *immukv.Report {
	t.Helper()
	r, err := immukv.VerifyExport(t.Context(), strings.NewReader(text), opts...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func importTo(ctx context.Context, dst backend.VersionedStore, r io.Reader) (immukv.CopyReport, error) {
	to, err := immukv.Open[int](ctx, dst)
	if err != nil {
		return immukv.CopyReport{}, err
	}
	return immukv.Import(ctx, to, r)
}

// An export is the documents as they are stored; it verifies as the log does, and imported
// it is the log, version by version.
func TestExport(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 2, 60} {
		src := mixed(t, n)
		var want strings.Builder
		for _, v := range versionsOf(src.Dump(), logObject) {
			want.WriteString(v.Body + "\n")
		}
		text, r := exported(t, src)
		report, err := open[int](t, src).VerifyLog(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if text != want.String() || r.Entries != report.Entries || r.Head != report.Head() {
			t.Errorf("exported %+v:\n%s\nwant %+v:\n%s", r, text, report.Head(), want.String())
		}
		if diff := cmp.Diff(report, verifyText(t, text, immukv.TrustedHead(r.Head))); diff != "" {
			t.Errorf("verified (-log +export):\n%s", diff)
		}
		dst := memstore.New()
		copied, err := importTo(t.Context(), dst, strings.NewReader(text))
		if err != nil || copied.Copied != r.Entries || copied.Head != r.Head {
			t.Errorf("imported %+v, %v", copied, err)
		}
		if n := sameLog(t, src.Dump(), dst.Dump(), logObject, logObject); int64(n) != r.Entries {
			t.Errorf("%d entries imported", n)
		}
		audit(t, dst)
		if copied, err := importTo(t.Context(), dst, strings.NewReader(text)); err != nil || copied.Copied != 0 {
			t.Errorf("imported again: %+v, %v", copied, err)
		}
	}
}

// An export may begin behind any entry, and is verified and imported behind it.
func TestExportAfter(t *testing.T) {
	t.Parallel()
	src := mixed(t, 9)
	whole, head := exported(t, src)
	lines := slices.Collect(strings.Lines(whole))
	for i, e := range all(t, open[any](t, src).Log(t.Context(), immukv.OldestFirst())) {
		at := e.Checkpoint()
		text, r := exported(t, src, immukv.After(at))
		if want := strings.Join(lines[i+1:], ""); text != want || r.Head != head.Head || r.Entries != head.Entries-int64(i)-1 {
			t.Errorf("after %d: %+v\n%s", i, r, text)
		}
		if r := verifyText(t, text, immukv.TrustedStart(at), immukv.TrustedHead(head.Head)); !r.Valid() || !r.Complete {
			t.Errorf("after %d: %v", i, r.Err())
		}
		if r := verifyText(t, text); text != "" && (r.Valid() || r.Findings[0].Kind != immukv.MissingBeginning) {
			t.Errorf("after %d, without the start: %v", i, r.Findings)
		}
		for _, there := range []int{i, i + 1, len(lines)} {
			dst := memstore.New()
			if _, err := importTo(t.Context(), dst, strings.NewReader(strings.Join(lines[:there], ""))); err != nil {
				t.Fatal(err)
			}
			copied, err := importTo(t.Context(), dst, strings.NewReader(text))
			var fork *immukv.ForkError
			switch {
			case text == "":
			case there == i && (!errors.As(err, &fork) || fork.Sequence != int64(i)):
				t.Errorf("imported behind a gap: %+v, %v", copied, err)
			case there > i && (err != nil || copied.Copied != int64(len(lines)-there) || copied.Head != head.Head):
				t.Errorf("%d lines, and behind line %d those of the export: %+v, %v", there, i+1, copied, err)
			}
			audit(t, dst)
		}
	}
	entries := all(t, open[any](t, src).Log(t.Context(), immukv.OldestFirst()))
	for start := range len(entries) - 1 {
		text := strings.Join(lines[start+1:], "")
		for trusted := range start + 1 {
			head := entries[trusted].Checkpoint()
			r := verifyText(t, text, immukv.TrustedStart(entries[start].Checkpoint()), immukv.TrustedHead(head))
			if r.Valid() != (trusted == start) || trusted < start && r.Findings[0].Kind != immukv.NotExtended {
				t.Errorf("after %d, with the trusted head %d: %v", start, trusted, r.Findings)
			}
			head.Hash = immukv.GenesisHash
			if r := verifyText(t, text, immukv.TrustedStart(entries[start].Checkpoint()), immukv.TrustedHead(head)); r.Valid() {
				t.Errorf("after %d, with another trusted head %d: valid", start, trusted)
			}
		}
	}
	if _, err := open[int](t, src).Export(t.Context(), io.Discard, immukv.After(immukv.Checkpoint{Sequence: 3, Hash: immukv.GenesisHash})); !errors.Is(err, immukv.ErrVerificationFailed) {
		t.Errorf("exported behind a checkpoint of another log: %v", err)
	}
}

// Whatever is done to an export is found: the report has it, and an import stops before
// that line. An export that was cut off at the end of a line is like an older export: only
// a trusted head makes the difference.
func TestExportTampered(t *testing.T) {
	t.Parallel()
	src := mixed(t, 5)
	whole, head := exported(t, src)
	lines := slices.Collect(strings.Lines(whole))
	begins := func(line string) bool {
		return strings.Contains(line, `"previous_version_id"`) || strings.Contains(line, `"sequence":0,`)
	}
	// start is the first line of the version that line i stands in.
	start := func(i int) int {
		for i > 0 && !begins(lines[i]) {
			i--
		}
		return i
	}
	// good is how many entries are imported if line i is a bad one: those of the version
	// before are, unless the line belongs to it, or may.
	good := func(i int, bad string) int {
		switch {
		case i == 0:
			return 0
		case bad == "" && i-start(i-1) > 1, bad != "" && !begins(bad):
			return start(i - 1)
		}
		return i
	}
	check := func(what, text string, good int) {
		t.Helper()
		if r := verifyText(t, text); r.Valid() || !errors.Is(r.Err(), immukv.ErrVerificationFailed) {
			t.Errorf("%s: nothing was found", what)
		}
		dst := memstore.New()
		copied, err := importTo(t.Context(), dst, strings.NewReader(text))
		if !errors.Is(err, immukv.ErrVerificationFailed) && !errors.Is(err, immukv.ErrMalformedEntry) && !errors.Is(err, immukv.ErrDiverged) || copied.Copied != int64(good) {
			t.Errorf("%s: imported %+v, %v, want %d entries", what, copied, err, good)
		}
		for i, e := range all(t, open[any](t, dst).Log(t.Context(), immukv.OldestFirst())) {
			if !strings.Contains(lines[i], string(e.Hash)) {
				t.Errorf("%s: imported another entry as sequence %d", what, i)
			}
		}
		audit(t, dst)
	}
	for i, line := range lines {
		but := func(instead ...string) string {
			return strings.Join(slices.Replace(slices.Clone(lines), i, i+1, instead...), "")
		}
		if i < len(lines)-1 {
			check(fmt.Sprint("without line ", i+1), but(), good(i, lines[i+1]))
		}
		twice := i + 1
		if !begins(line) {
			twice = start(i)
		}
		check(fmt.Sprint("line twice ", i+1), but(line, line), twice)
		check(fmt.Sprint("blank line before ", i+1), but("\n", line), good(i, ""))
		check(fmt.Sprint("line edited ", i+1), but(replaced(line, `"timestamp_ms":1`, `"timestamp_ms":2`)), good(i, line))
		check(fmt.Sprint("line reformatted ", i+1), but(replaced(line, `"value":`, `"value": `)), start(i))
		if i > 0 {
			check(fmt.Sprint("line of the one before ", i+1), but(lines[i-1]), good(i, lines[i-1]))
		}
		for cut := 1; cut < len(line)-1; cut += 7 {
			check(fmt.Sprint("cut in line ", i+1), strings.Join(lines[:i], "")+line[:cut], good(i, ""))
		}
		cut := strings.Join(lines[:i], "") + strings.TrimSuffix(line, "\n")
		if r := verifyText(t, cut); !r.Valid() {
			t.Errorf("cut behind line %d: %v", i+1, r.Err())
		}
		if r := verifyText(t, cut, immukv.TrustedHead(head.Head)); r.Valid() != (i == len(lines)-1) {
			t.Errorf("cut behind line %d, with the trusted head: %v", i+1, r.Err())
		}
	}
	other, _ := exported(t, filled(t, len(lines), 3))
	check("the end of another's", lines[0]+strings.Join(slices.Collect(strings.Lines(other))[1:], ""), 1)
	check("an object", `{"key":"k","value":1}`+"\n", 0)
	check("not JSON", "a,b,c\n", 0)
}

// An import into a store that has other entries fails, and the error names the first of
// them if the export can be read twice.
func TestImportUponAnotherHistory(t *testing.T) {
	t.Parallel()
	const n = 30
	src := filled(t, n, 3)
	text, _ := exported(t, src)
	lines := slices.Collect(strings.Lines(text))
	for _, c := range []struct{ same, own int }{{0, 1}, {1, 1}, {17, 1}, {17, 10}, {17, 30}, {n, 1}, {n, 7}} {
		dst := memstore.New()
		if _, err := importTo(t.Context(), dst, strings.NewReader(strings.Join(lines[:c.same], ""))); err != nil {
			t.Fatal(err)
		}
		for i := range c.own {
			set(t, open[string](t, dst), fmt.Sprint("k", i%3), "mine")
		}
		before := dst.Dump()
		var fork *immukv.ForkError
		if _, err := importTo(t.Context(), dst, strings.NewReader(text)); !errors.As(err, &fork) || fork.Sequence != int64(c.same) {
			t.Errorf("%d the same and %d of its own: %v", c.same, c.own, err)
		}
		if _, err := importTo(t.Context(), dst, onlyReader{strings.NewReader(text)}); !errors.As(err, &fork) || fork.Sequence < int64(c.same) {
			t.Errorf("%d the same and %d of its own, read once: %v", c.same, c.own, err)
		}
		if cmp.Diff(before, dst.Dump()) != "" {
			t.Errorf("%d the same and %d of its own: something was written", c.same, c.own)
		}
	}
}

type onlyReader struct{ io.Reader }

// Wherever an import dies, the next one completes it.
func TestImportDiesAnywhere(t *testing.T) {
	t.Parallel()
	src := mixed(t, 6)
	text, head := exported(t, src)
	for crash := range sim.Crashes() {
		dst := memstore.New()
		_ = crash.Run(t.Context(), dst, func(ctx context.Context, store backend.VersionedStore) error {
			_, err := importTo(ctx, store, strings.NewReader(text))
			return err
		})
		left := audit(t, dst)
		r, err := importTo(t.Context(), dst, strings.NewReader(text))
		if err != nil || r.Head != head.Head || r.Copied != head.Head.Sequence-left.LastSequence || r.Repaired != (len(left.Orphans) > 0) {
			t.Errorf("%v: %+v, %v", crash, r, err)
		}
		sameLog(t, src.Dump(), dst.Dump(), logObject, logObject)
		if r := audit(t, dst); len(r.Orphans) > 0 {
			t.Errorf("%v: an orphan is left", crash)
		}
	}
}

// failing is a reader, or writer, that fails behind some bytes.
type failing struct {
	left int
	from io.Reader
}

var errDisk = errors.New("disk failed")

func (f *failing) Read(p []byte) (int, error) {
	if f.left <= 0 {
		return 0, errDisk
	}
	n, err := f.from.Read(p[:min(len(p), f.left)])
	f.left -= n
	return n, err
}

func (f *failing) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errDisk
	}
	return len(p), nil
}

func TestExportFails(t *testing.T) {
	t.Parallel()
	src := filled(t, 40, 2)
	text, _ := exported(t, src)
	for _, n := range []int{0, 100, 5000, len(text) - 1} {
		if _, err := open[int](t, src).Export(t.Context(), &failing{left: n}); !errors.Is(err, errDisk) {
			t.Errorf("export to what fails behind %d bytes: %v", n, err)
		}
		if _, err := immukv.VerifyExport(t.Context(), &failing{n, strings.NewReader(text)}); !errors.Is(err, errDisk) {
			t.Errorf("verify what fails behind %d bytes: %v", n, err)
		}
		dst := memstore.New()
		if _, err := importTo(t.Context(), dst, &failing{n, strings.NewReader(text)}); !errors.Is(err, errDisk) {
			t.Errorf("import of what fails behind %d bytes: %v", n, err)
		}
		audit(t, dst)
	}
	tampered := edit(t, load(t, src.Dump()), logObject, func(v []memstore.Version) []memstore.Version {
		v[17].Body = replaced(v[17].Body, `"value":`, `"value":1`)
		return v
	})
	var out bytes.Buffer
	r, err := open[int](t, tampered).Export(t.Context(), &out)
	if !errors.Is(err, immukv.ErrVerificationFailed) || r.Entries != 17 || out.String() != strings.Join(slices.Collect(strings.Lines(text))[:17], "") {
		t.Errorf("export of a tampered log: %+v, %v", r, err)
	}
	if _, err := immukv.VerifyExport(t.Context(), strings.NewReader(text), immukv.Limit(3)); !errors.Is(err, immukv.ErrInvalidOption) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := immukv.VerifyExport(ctx, strings.NewReader(text)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// An export of any length is verified and imported in constant memory.
func TestMemoryOfExports(t *testing.T) {
	n := many(0.2)
	g := generate(t, n, 100, 100)
	r, w := io.Pipe()
	go func() {
		_, err := open[string](t, g, immukv.WithReadOnly()).Export(t.Context(), w)
		_ = w.CloseWithError(err)
	}()
	before, reachable, lines := inUse(), int64(0), 0
	report, err := immukv.VerifyExport(t.Context(), r, immukv.Progress(func(int64, int64) {
		if lines++; lines%(n/64/10) == 0 {
			reachable = max(reachable, inUse()-before)
		}
	}))
	if err != nil || report.Err() != nil || report.Entries != int64(n) {
		t.Fatal(report, err)
	}
	t.Logf("%d entries exported and verified: %.2f MiB in use", n, float64(reachable)/mib)
	const each = 4 + len("v1000000") // of the exporting side
	if most := 2*mib + int64(each*n); reachable > most {
		t.Errorf("%d bytes in use, want at most %d", reachable, most)
	}
}
