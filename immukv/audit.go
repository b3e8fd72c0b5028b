package immukv

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv/internal/readahead"
	"github.com/immukv/immukv-go/immukv/internal/wire"
)

// auditor checks key objects against the log.
type auditor struct {
	*core
	report *Report
	slots  readahead.Slots

	mu     sync.Mutex // guards the fields below; key objects are read concurrently
	ledger *ledger
	read   int64 // number of versions of key objects
	query  verifyQuery

	// The newest log version when the audit began, and the tags of the key objects of its
	// entries: each the tag of the object's newest version.
	head     logVersion
	headTags map[string]keyTag
}

// audit is [Client.Audit].
func (c *core) audit(ctx context.Context, q verifyQuery) (*Report, error) {
	a := &auditor{core: c, slots: readahead.NewSlots(c.concurrency), ledger: newLedger(), query: q, headTags: make(map[string]keyTag)}
	if q.progress != nil {
		a.query.progress = func(done, total int64) { q.progress(done, 2*total) }
	}
	var err error
	a.report, err = c.verifyLog(ctx, a.query, func(v *version, _ bool) {
		if a.head == nil {
			a.head = v.among
			for _, v := range a.head {
				a.headTags[v.Key] = keyTag{}
			}
		}
		a.ledger.record(v)
	})
	if err != nil {
		return nil, err
	}
	if err := a.keyObjects(ctx); err != nil {
		return nil, err
	}
	if err := a.unclaimed(ctx); err != nil {
		return nil, err
	}
	return a.report, nil
}

// keyAudit is the audit of one key object.
type keyAudit struct {
	report *Report
	err    error
	ready  chan struct{}
}

// keyObjects audits all key objects, several at a time, and reports findings in the order
// of the objects' names.
func (a *auditor) keyObjects(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	var queue []*keyAudit
	collect := func() error {
		k := queue[0]
		queue = queue[1:]
		<-k.ready
		if k.err == nil {
			a.report.addAll(k.report)
		}
		return k.err
	}
	req := backend.NamesRequest{Prefix: a.prefix + wire.KeysDir}
	for {
		page, err := a.store.ListNames(ctx, req)
		if err != nil {
			return fmt.Errorf("list key objects: %w", err)
		}
		for _, name := range page.Names {
			key, ok := wire.KeyOf(a.prefix, name)
			if !ok {
				continue
			}
			if len(queue) == a.concurrency {
				if err := collect(); err != nil {
					return err
				}
			}
			k := &keyAudit{ready: make(chan struct{})}
			queue = append(queue, k)
			running.Go(func() {
				defer close(k.ready)
				k.report, k.err = a.keyObject(ctx, key)
			})
		}
		if page.Next == "" {
			break
		}
		req.Token = page.Next
	}
	for len(queue) > 0 {
		if err := collect(); err != nil {
			return err
		}
	}
	return nil
}

// keyObject audits the object of one key: each version must hold an entry of the log, and
// must follow the version that was current when the entry was appended.
func (a *auditor) keyObject(ctx context.Context, key string) (*Report, error) {
	k := keyObjectAudit{auditor: a, key: key, object: wire.KeyObject(a.prefix, key), own: newReport()}
	reading := a.keyReading(k.object, 0)
	reading.Slots, reading.OnMarker = a.slots, k.deleteMarker
	versions := readahead.New(ctx, reading)
	defer versions.Close()
	var listedFirst *fetched
	next := func() (*fetched, error) {
		f, err := versions.Next()
		if listedFirst == nil {
			listedFirst = f
		}
		return f, err
	}
	newest := true
	for f, err := range sortVersions(next, k.object) {
		if errors.Is(err, backend.ErrUnsupported) {
			k.found(KeyMismatch, "", -1, "its versions are not in the order of the log: "+err.Error())
			return k.own, nil
		}
		if errors.Is(err, backend.ErrInvalidName) {
			k.found(KeyMismatch, "", -1, "the store lists the object, but rejects its name: "+err.Error())
			return k.own, nil
		}
		if err == nil && f.Err != nil && !isEntryError(f.Err) && !gone(f.Err) {
			err = f.Err
		}
		if err == nil && newest && f.Err == nil && f != listedFirst {
			err = k.current(ctx, f.Value)
		}
		newest = false
		if err == nil {
			err = k.version(ctx, f)
		}
		if err != nil {
			return nil, fmt.Errorf("key object %s: %w", k.object, err)
		}
	}
	k.end()
	return k.own, nil
}

type keyObjectAudit struct {
	*auditor
	key    string
	object string
	own    *Report  // of this key object
	newer  *version // the entry of the version read last, if it is in the log
	any    bool     // a version has been checked
}

func (k *keyObjectAudit) found(kind FindingKind, id backend.VersionID, sequence int64, detail string) {
	k.own.add(Finding{Kind: kind, Object: k.object, VersionID: id, Sequence: sequence, Detail: detail})
}

func (k *keyObjectAudit) deleteMarker(v backend.Version) {
	k.found(DeleteMarker, v.ID, -1, "the key object was deleted")
}

// version audits one version. Newer versions have been audited before.
func (k *keyObjectAudit) version(ctx context.Context, f *fetched) error {
	k.mu.Lock()
	k.read++
	if p := k.query.progress; p != nil && k.read%progressEvery == 0 {
		p(k.report.Entries+min(k.read, k.report.Entries), k.report.Entries)
	}
	k.mu.Unlock()

	v := f.Value
	if v != nil && f.Err == nil && (k.head == nil || v.Sequence > k.head.newest().Sequence) {
		return k.afterSnapshot(ctx, v)
	}
	k.link(keyTag{etag: f.ETag, exists: true})
	k.newer = nil
	switch {
	case gone(f.Err):
		k.found(MissingVersion, f.ID, -1, "the version is listed but cannot be read")
		return nil
	case v == nil:
		k.found(MalformedVersion, f.ID, -1, f.Err.Error())
		return nil
	case v.matched == 0:
		k.found(HashMismatch, f.ID, v.Sequence, "the hash matches the entry in neither dialect: the entry was changed")
		return nil
	case v.Key != k.key:
		k.found(KeyMismatch, f.ID, v.Sequence, fmt.Sprintf("it holds an entry of key %q", v.Key))
		return nil
	case v.damaged:
		k.found(HashMismatch, f.ID, v.Sequence, "the copy is damaged: its hash matches in neither dialect; readers get the entry from the log")
	case !v.IsCanonical():
		k.found(NotCanonical, f.ID, v.Sequence, "its bytes are not those that a client writes for this entry")
	}
	k.mu.Lock()
	problem := k.ledger.claim(v)
	k.mu.Unlock()
	if problem != "" {
		k.found(KeyMismatch, f.ID, v.Sequence, problem)
		return nil
	}
	k.newer = v
	return nil
}

// current checks that the current version is not older than the newest one. It is called
// if the version listed first is not the newest. The order of a listing is only a hint,
// but the current version never becomes older.
func (k *keyObjectAudit) current(ctx context.Context, newest *version) error {
	obj, err := k.store.Get(ctx, k.object)
	if gone(err) || isEntryError(err) {
		return nil // reported for the version
	}
	if err != nil {
		return err
	}
	v, err := k.readKeyVersion(ctx, k.object, obj.ID, obj.Body)
	if err == nil && v.Sequence < newest.Sequence {
		k.found(KeyMismatch, v.id, v.Sequence, fmt.Sprintf("the key object was rolled back: this is its current version, but sequence %d is newer", newest.Sequence))
	}
	return nil
}

// link checks that the version read last was appended after the version with this tag.
func (k *keyObjectAudit) link(tag keyTag) {
	if !k.any {
		k.mu.Lock()
		if _, ok := k.headTags[k.key]; ok {
			k.headTags[k.key] = tag
		}
		k.mu.Unlock()
	}
	k.any = true
	if k.newer != nil && !k.expects(k.newer, tag) {
		k.found(KeyMismatch, k.newer.id, k.newer.Sequence, "the version before it is not the one that the log records")
	}
}

// expects reports whether, according to the log, the key object had this tag when the
// entry was appended.
func (k *keyObjectAudit) expects(v *version, tag keyTag) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.ledger.expects(v.Sequence, tag)
}

// end checks that the oldest version was the first, unless only a later part of the log
// is verified.
func (k *keyObjectAudit) end() {
	if k.newer != nil && k.report.FirstSequence == 0 && !k.expects(k.newer, keyTag{}) {
		k.found(KeyMismatch, k.newer.id, k.newer.Sequence, "the log records an older version of the object, which does not exist")
	}
}

// afterSnapshot checks a version whose entry is newer than the head of the audit: a
// writer appended it during the audit, or it is forged.
func (k *keyObjectAudit) afterSnapshot(ctx context.Context, v *version) error {
	obj, err := k.store.GetVersion(ctx, k.prefix+wire.LogName, backend.VersionID(v.log))
	if gone(err) {
		k.found(KeyMismatch, v.id, v.Sequence, "the log version that it names does not exist")
		return nil
	}
	if err != nil && !isEntryError(err) {
		return err
	}
	var inLog *version
	if err == nil {
		if l, err := k.readLogVersion(obj.ID, obj.Body); err == nil {
			inLog = l.ofKey(v.Key)
		}
	}
	if inLog == nil || inLog.matched == 0 || inLog.Hash != v.Hash || inLog.Sequence != v.Sequence {
		k.found(KeyMismatch, v.id, v.Sequence, "it differs from the entry in the log version that it names")
	}
	return nil
}

// unclaimed reports entries that no version of a key object holds. Entries of the newest
// log version may be orphans.
func (a *auditor) unclaimed(ctx context.Context) error {
	missing := make(map[int64]bool)
	for sequence := range a.ledger.unclaimed {
		if v := a.orphanAt(sequence); v != nil {
			a.report.Orphans = append([]Orphan{newOrphan(v)}, a.report.Orphans...)
			if v.HasPreviousKeyETag {
				continue
			}
			// The object of a new key does not exist before the apply, and also not after
			// somebody has deleted it.
			if err := a.deletedObject(ctx, wire.KeyObject(a.prefix, v.Key)); err != nil {
				return err
			}
			continue
		}
		if missing[sequence] = true; len(missing) >= maxFindings {
			break
		}
	}
	if len(missing) == 0 {
		return nil
	}
	// The ledger has no keys: read the log again to name the objects.
	var lost []*version
	again := a.query
	again.progress, again.each = nil, nil
	if _, err := a.verifyLog(ctx, again, func(v *version, _ bool) {
		if missing[v.Sequence] {
			delete(missing, v.Sequence)
			lost = append(lost, v)
		}
	}); err != nil {
		return err
	}
	looked := make(map[string]bool)
	for _, v := range lost {
		unlisted, err := a.unlisted(ctx, v)
		if err != nil {
			return err
		}
		if unlisted {
			continue
		}
		object := wire.KeyObject(a.prefix, v.Key)
		if !looked[object] {
			looked[object] = true
			if err := a.deletedObject(ctx, object); err != nil {
				return err
			}
		}
		a.report.add(Finding{Kind: MissingVersion, Object: object, Sequence: v.Sequence, Detail: "the entry is in the log, but in no version of the key object"})
	}
	for _, sequence := range slices.Sorted(maps.Keys(missing)) { // not found again: the log has changed
		a.report.add(Finding{Kind: MissingVersion, Object: a.prefix + wire.KeysDir, Sequence: sequence, Detail: "the entry is in the log, but in no version of a key object"})
	}
	return nil
}

// unlisted reports whether an entry that no listed version of a key object holds may be
// in a version that the server does not list: the server does not list that name, and the
// object holds the entry or a later one.
func (a *auditor) unlisted(ctx context.Context, v *version) (bool, error) {
	object := wire.KeyObject(a.prefix, v.Key)
	if !a.namesUnlisted(object) {
		return false, nil
	}
	obj, err := a.store.Get(ctx, object)
	if gone(err) || isEntryError(err) || errors.Is(err, backend.ErrInvalidName) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	current, err := a.readKeyVersion(ctx, object, obj.ID, obj.Body)
	if isEntryError(err) {
		return false, nil
	}
	return err == nil && current.Key == v.Key && current.Sequence >= v.Sequence, err
}

// orphanAt returns the entry of a sequence if it is in the newest log version and its key
// object has not changed since the append; otherwise nil.
func (a *auditor) orphanAt(sequence int64) *version {
	for _, v := range a.head {
		if v.Sequence == sequence && a.headTags[v.Key] == v.expectedTag() {
			return v
		}
	}
	return nil
}

// deletedObject reports the delete marker of an object that has no current version and is
// therefore not listed by name.
func (a *auditor) deletedObject(ctx context.Context, object string) error {
	if _, err := a.store.Head(ctx, object); !errors.Is(err, backend.ErrNotFound) {
		return nil
	}
	var req backend.VersionsRequest
	for {
		page, err := a.store.ListVersions(ctx, object, req)
		if err != nil {
			return err
		}
		for _, v := range page.Versions {
			if v.DeleteMarker {
				a.report.add(Finding{Kind: DeleteMarker, Object: object, VersionID: v.ID, Sequence: -1, Detail: "the key object was deleted"})
			}
		}
		if page.Next == "" {
			return nil
		}
		req.Token = page.Next
	}
}
