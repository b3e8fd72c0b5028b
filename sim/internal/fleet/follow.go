package fleet

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
)

// The invariants of watches and copies. The watches of a client continue where the last
// one ended, also after a crash. The copies of all clients have one destination.
//
//	F1  a watch yields the entries of the log from the first on, in their order, each once
//	F2  a watch that succeeded has yielded all entries of the log when it began
//	F3  when all have ended, the next watch yields the rest
//	F4  no watch reports tampering with an honest log
//	C1  a copy writes the entries of the log in their order, as many to a version, and
//	    changes nothing but the IDs and ETags of versions
//	C2  the destination of copies keeps I1, I3, I4, I5, I6 and I9 at any time
//	C3  a copy that succeeded has copied and applied all entries of the log when it began
//	C4  a copy reports another writer of its destination only if there was one
//	C5  when all have ended, the next copy completes the destination, and an audit passes
//	C6  no copy reports tampering with an honest log

// copyDir is the prefix of the destination of copies.
const copyDir = "copy/"

// moved are the members that differ in a copied document.
var moved = []string{"previous_version_id", "previous_key_object_etag"}

// writeCopied adds an object that a copy wrote, and checks C1 and C2.
func (m *model) writeCopied(name string, body []byte, v backend.Version, by *Client) error {
	if m.copied == nil {
		m.copied = newModel()
	}
	before := len(m.copied.log)
	if err := m.copied.write(name, body, v, by); err != nil {
		return violation("C2", "%v", err)
	}
	after := len(m.copied.log)
	if before == after {
		return nil
	}
	switch {
	case after > len(m.log):
		return violation("C1", "%d entries were copied, but the log has %d", after, len(m.log))
	case !m.whole(before) || !m.whole(after) || m.log[before].id != m.log[after-1].id:
		return violation("C1", "sequences %d to %d were copied into one version, but are not those of one version", before, after-1)
	}
	for i := before; i < after; i++ {
		if copied, e := m.copied.log[i], m.log[i]; !sameButMoved(copied.document, e.document) {
			return violation("C1", "sequence %d, %s, was copied as %s", i, e.by, copied.by)
		}
	}
	return nil
}

// sameButMoved reports whether two documents differ only in the moved members.
func sameButMoved(a, b document) bool {
	names := func(d document) int {
		n := len(d.tokens)
		for _, name := range moved {
			if _, ok := d.tokens[name]; ok {
				n--
			}
		}
		return n
	}
	for name, token := range a.tokens {
		if !slices.Contains(moved, name) && !bytes.Equal(token, b.tokens[name]) {
			return false
		}
	}
	return names(a) == names(b)
}

// endedWatch checks the entries that the watches of a client have yielded.
func (o *oracle) endedWatch(c *callState, err error) error {
	if errors.Is(err, immukv.ErrVerificationFailed) || errors.Is(err, immukv.ErrLogDeleted) {
		return violation("F4", "%s failed on an honest log: %v", c.what(), err)
	}
	followed := o.processes[c.client.Name].followed
	if err == nil && len(followed) < c.floor.log {
		return violation("F2", "%s has yielded %d entries, but there were %d when it began", c.what(), len(followed), c.floor.log)
	}
	return o.followsLog(followed)
}

// followsLog checks that a watch has yielded the beginning of the log (F1).
func (o *oracle) followsLog(followed []immukv.Entry[string]) error {
	for i, e := range followed {
		if i >= len(o.model.log) || e.Sequence != int64(i) {
			return violation("F1", "a watch yielded sequence %d instead of %d, of %d entries", e.Sequence, i, len(o.model.log))
		}
		if err := o.isInLog(e); err != nil {
			return violation("F1", "%v", err)
		}
	}
	return nil
}

// endedCopy checks the result of a copy.
func (o *oracle) endedCopy(c *callState, r *result, err error) error {
	fork, forked := errors.AsType[*immukv.ForkError](err)
	switch {
	case errors.Is(err, immukv.ErrVerificationFailed):
		return violation("C6", "%s failed on an honest log: %v", c.what(), err)
	case forked && (o.copiers < 2 || fork.Sequence >= int64(len(o.model.copiedLog()))):
		return violation("C4", "%s reports an entry of another writer: %v", c.what(), err)
	case err != nil:
		return nil
	}
	n := int(r.copied.Head.Sequence) + 1
	there := o.model.copiedLog()
	switch {
	case n < c.floor.log || n > len(there):
		return violation("C3", "%s ended with sequence %d, but there were %d entries when it began, and %d are copied", c.what(), n-1, c.floor.log, len(there))
	case n > 0 && string(r.copied.Head.Hash) != there[n-1].hash:
		return violation("C3", "%s ended with %v, but %s is copied", c.what(), r.copied.Head, there[n-1].hash)
	}
	for _, e := range there[:n] {
		if !e.applied {
			return violation("C3", "%s succeeded, but sequence %d is not applied", c.what(), e.sequence)
		}
	}
	return nil
}

// copiedLog returns the entries that copies have written.
func (m *model) copiedLog() []*entry {
	if m.copied == nil {
		return nil
	}
	return m.copied.log
}

// finalWatches continues each watch (F1, F3).
func (o *oracle) finalWatches(ctx context.Context, db *immukv.Client[string]) error {
	for _, name := range slices.Sorted(maps.Keys(o.processes)) {
		p := o.processes[name]
		if !p.client.calls("watch") {
			continue
		}
		if err := o.followsLog(p.followed); err != nil {
			return err
		}
		if err := p.follow(ctx, db); err != nil || len(p.followed) != len(o.model.log) {
			return violation("F3", "after the last fault, a watch of %s has yielded %d of %d entries: %v",
				p.client.Name, len(p.followed), len(o.model.log), err)
		}
		if err := o.followsLog(p.followed); err != nil {
			return err
		}
	}
	return nil
}

// finalCopy checks that unfinished copies can be completed (C5).
func (o *oracle) finalCopy(ctx context.Context, db *immukv.Client[string]) error {
	if o.copiers == 0 {
		return nil
	}
	dst, err := immukv.Open[string](ctx, db.Store(), immukv.WithPrefix(copyDir), immukv.WithValueCodec[string](codec{final.Name}))
	if err != nil {
		return err
	}
	r, err := immukv.Copy(ctx, dst, db)
	if err != nil || len(o.model.copiedLog()) != len(o.model.log) {
		return violation("C5", "after the last fault, %d of %d entries are copied: %+v, %v", len(o.model.copiedLog()), len(o.model.log), r, err)
	}
	report, err := dst.Audit(ctx)
	if err != nil || !report.Valid() || len(report.Orphans) > 0 || report.Head() != r.Head {
		return violation("C5", "the audit of the copy that ended with %v: %+v, %v", r.Head, report, err)
	}
	return nil
}
