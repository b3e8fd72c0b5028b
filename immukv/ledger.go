package immukv

import "hash/maphash"

// ledger is what an audit keeps of each entry of the log while it reads the key objects:
// fingerprints of 33 bytes an entry, so that a million entries need little memory. Each
// audit uses a new seed, so nobody can prepare two entries with the same fingerprint.
type ledger struct {
	seed   maphash.Seed
	head   int64 // the newest sequence; places count down from it
	chunks []*ledgerChunk
	places int64
	gaps   int64 // of the places
}

const ledgerChunkSize = 256

type ledgerChunk struct {
	key, entry, writer, tag [ledgerChunkSize]uint64
	state                   [ledgerChunkSize]ledgerState
}

type ledgerState uint8

const (
	notRecorded ledgerState = iota // a gap in the log
	recorded
	claimed // a key object version holds it
)

// maxLedgerGaps bounds how many places may be in gaps between the sequence numbers, and
// so the memory that forged numbers can claim. Numbers beyond it have no place in the
// ledger.
const maxLedgerGaps = 1 << 20

func newLedger() *ledger { return &ledger{seed: maphash.MakeSeed()} }

// record adds an entry of the log. Entries come newest first.
func (l *ledger) record(v *version) {
	if l.places == 0 {
		l.head = v.Sequence
	}
	place := l.head - v.Sequence
	gap := place - l.places
	if gap < 0 || gap > maxLedgerGaps-l.gaps {
		return
	}
	l.gaps += gap
	for int64(len(l.chunks))*ledgerChunkSize <= place {
		l.chunks = append(l.chunks, new(ledgerChunk))
	}
	l.places = place + 1
	c, i := l.chunks[place/ledgerChunkSize], place%ledgerChunkSize
	c.key[i] = l.print(v.Key)
	c.entry[i] = l.print(string(v.Hash) + "\x00" + string(v.log))
	c.writer[i] = l.print(v.WriteID)
	c.tag[i] = l.tagPrint(v.expectedTag())
	c.state[i] = recorded
}

func (l *ledger) print(s string) uint64 { return maphash.String(l.seed, s) }

func (l *ledger) tagPrint(t keyTag) uint64 {
	if !t.exists {
		return 0
	}
	return l.print(string(t.etag)) | 1
}

// at returns the place of a sequence number, if the ledger has one.
func (l *ledger) at(sequence int64) (c *ledgerChunk, i int64, ok bool) {
	place := l.head - sequence
	if sequence < 0 || place < 0 || place >= l.places {
		return nil, 0, false
	}
	return l.chunks[place/ledgerChunkSize], place % ledgerChunkSize, true
}

// claim records that a version of a key object holds an entry, and returns the problem
// with that, if any. The first version that claims an entry has it.
func (l *ledger) claim(v *version) (problem string) {
	c, i, ok := l.at(v.Sequence)
	switch {
	case !ok || c.state[i] == notRecorded:
		return ""
	case c.key[i] != l.print(v.Key) || c.entry[i] != l.print(string(v.Hash)+"\x00"+string(v.log)):
		return "it differs from the entry that the log has at that sequence"
	case v.WriteID != "" && c.writer[i] != l.print(v.WriteID):
		// The other clients omit the write ID when they repair.
		return "its write_id differs from the one in the log"
	case c.state[i] == claimed:
		return "another version of a key object holds the same entry"
	}
	c.state[i] = claimed
	return ""
}

// expects reports whether the entry of a sequence was appended when its key object had
// this tag. It reports true if the ledger does not have the entry.
func (l *ledger) expects(sequence int64, tag keyTag) bool {
	c, i, ok := l.at(sequence)
	return !ok || c.state[i] == notRecorded || c.tag[i] == l.tagPrint(tag)
}

// unclaimed yields the sequences that no key object version holds, newest first.
func (l *ledger) unclaimed(yield func(sequence int64) bool) {
	for place := range l.places {
		if l.chunks[place/ledgerChunkSize].state[place%ledgerChunkSize] == recorded && !yield(l.head-place) {
			return
		}
	}
}
