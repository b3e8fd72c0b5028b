package immukv

import (
	"fmt"
	"testing"

	"github.com/immukv/immukv-go/immukv/internal/wire"
)

// Gaps in the sequence numbers cost a bounded amount of memory, however many
// entries make them up.
func TestLedgerGaps(t *testing.T) {
	t.Parallel()
	l := newLedger()
	const entries = 100
	for i := range entries {
		sequence := int64(entries-i) * maxLedgerGaps
		l.record(&version{Document: &wire.Document{Sequence: sequence, Key: fmt.Sprint(i)}})
	}
	if most := maxLedgerGaps/ledgerChunkSize + 2; len(l.chunks) > most {
		t.Errorf("%d chunks for %d entries, want at most %d", len(l.chunks), entries, most)
	}
	if problem := l.claim(&version{Document: &wire.Document{Sequence: entries * maxLedgerGaps, Key: "0"}}); problem != "" {
		t.Errorf("the newest entry is not known: %s", problem)
	}
	if _, _, ok := l.at(-1); ok {
		t.Error("a negative sequence has a place")
	}
	if _, _, ok := l.at(1<<63 - 1); ok {
		t.Error("the largest sequence has a place")
	}
}

// A client remembers a bounded number of keys, and writes on beyond it.
func TestRememberedTagsBounded(t *testing.T) {
	t.Parallel()
	c := &core{}
	for i := range 3 * maxKeyStates {
		c.rememberKey(fmt.Sprint(i), keyState{keyTag: keyTag{exists: true}})
		if len(c.keyStates) > maxKeyStates {
			t.Fatalf("%d keys are remembered", len(c.keyStates))
		}
	}
}
