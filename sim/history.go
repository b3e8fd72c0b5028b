package sim

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"

	"github.com/immukv/immukv-go/backend"
)

// EventKind is the kind of an [Event].
type EventKind uint8

const (
	// Began and Ended are the two ends of a [Process.Do].
	Began EventKind = iota
	Ended
	// Stepped: a request took effect, or was answered, or both.
	Stepped
	// Arrived: a write took effect after its caller was answered.
	Arrived
	// Restarted: a process that crashed began its next life.
	Restarted
	// Paused: time passed.
	Paused
	// Jumped: the clock of a process changed.
	Jumped
)

var eventKindNames = [...]string{"began", "ended", "stepped", "arrived", "restarted", "paused", "jumped"}

// String returns the kind as one word.
func (k EventKind) String() string { return eventKindNames[k] }

// Event is one thing that happened. Observers must not change or keep it.
type Event struct {
	Kind    EventKind
	At      time.Duration // since the history began, in virtual time
	Process string        // empty for Paused
	Life    int

	// Of Began and Ended, and of a Stepped within them.
	What   string
	Detail any
	Err    error

	// Of Stepped and Arrived.
	Request *Request
	Twin    int // how many equal requests of the process waited before it
	Fault   Fault
	Effect  *Reply // the store's answer; nil if the request did not reach it
	Told    *Reply // the caller's answer; nil if there is none yet, or no caller

	By time.Duration // of Paused and Jumped
}

// Wrote reports whether the event put a new version into the store.
func (e *Event) Wrote() bool {
	return e.Effect != nil && e.Request.Writes() && e.Effect.Err == nil
}

// History is the list of events, from beginning to end.
type History struct {
	// Schedule has the choices of the source. A replay of it yields an equal history.
	Schedule Schedule
	// Skipped counts choices that were not possible when they came.
	Skipped int
	Events  []*Event
	// Err is why the history ended early: the error of an observer, or of the scheduler,
	// for example because a process neither makes a request nor ends.
	Err error

	digest hash.Hash
	buf    []byte
}

func newHistory() *History { return &History{digest: sha256.New()} }

// Hash is a digest of all events. Equal plans have equal hashes.
func (h *History) Hash() [sha256.Size]byte {
	var sum [sha256.Size]byte
	h.digest.Sum(sum[:0])
	return sum
}

// record appends an event and adds its repeatable part to the digest.
func (h *History) record(e *Event) {
	h.Events = append(h.Events, e)
	b := append(h.buf[:0], byte(e.Kind), byte(e.Life), byte(e.Fault.Effect), byte(e.Fault.Answer), byte(e.Twin))
	b = binary.LittleEndian.AppendUint64(b, uint64(e.At))
	b = binary.LittleEndian.AppendUint64(b, uint64(e.By))
	b = append(append(append(b, e.Process...), 0), e.What...)
	if e.Kind == Ended {
		b = fmt.Append(append(b, 0), e.Detail)
	}
	b = append(append(b, 0), errorWord(e.Err)...)
	if r := e.Request; r != nil {
		b = append(b, 0, byte(r.Op))
		b = append(append(b, r.Name...), 0)
		b = append(append(b, r.Version...), 0)
		b = append(append(b, r.Cond.ETag()...), 0)
		b = append(append(b, r.Body...), 0)
		b = e.Effect.append(append(b, 1))
		b = e.Told.append(append(b, 2))
	}
	h.buf = b
	h.digest.Write(b)
}

func (r *Reply) append(b []byte) []byte {
	if r == nil {
		return b
	}
	b = append(append(b, errorWord(r.Err)...), 0)
	b = append(append(b, r.Object.ID...), 0)
	b = append(append(b, r.Version.ID...), 0)
	for _, v := range r.Versions.Versions {
		b = append(append(b, v.ID...), 0)
	}
	for _, name := range r.Names.Names {
		b = append(append(b, name...), 0)
	}
	return b
}

var errorWords = []struct {
	err  error
	word string
}{
	{ErrCrashed, "crashed"},
	{backend.ErrOutcomeUnknown, "outcome unknown"},
	{backend.ErrNotFound, "not found"},
	{backend.ErrPreconditionFailed, "precondition failed"},
	{backend.ErrAccessDenied, "access denied"},
	{backend.ErrUnavailable, "unavailable"},
	{backend.ErrUnsupported, "unsupported"},
	{backend.ErrInvalidName, "invalid name"},
	{backend.ErrTooLarge, "too large"},
	{backend.ErrDamaged, "damaged"},
}

// errorWord returns the kind of an error of the store in one or two words.
func errorWord(err error) string {
	if err == nil {
		return ""
	}
	for _, k := range errorWords {
		if errors.Is(err, k.err) {
			return k.word
		}
	}
	return "failed"
}

// Faults returns how often each fault was met.
func (h *History) Faults() map[Fault]int {
	met := make(map[Fault]int)
	for _, e := range h.Events {
		if e.Fault != (Fault{}) {
			met[e.Fault]++
		}
	}
	return met
}

// Tell writes the history for a person: a line for each event and, if note is not nil,
// the note of the event below it.
func (h *History) Tell(w io.Writer, note func(*Event) string) {
	for i, e := range h.Events {
		fmt.Fprintf(w, "%4d %9v  %v\n", i+1, e.At.Truncate(time.Millisecond), e)
		if note == nil {
			continue
		}
		if text := note(e); text != "" {
			fmt.Fprintf(w, "%26s%s\n", "", text)
		}
	}
}

// String returns the event as a line of the history.
func (e *Event) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-7s ", e.who())
	switch e.Kind {
	case Began:
		fmt.Fprintf(&b, "begins: %s", e.What)
	case Ended:
		fmt.Fprintf(&b, "ends:   %s", e.What)
		if e.Detail != nil {
			fmt.Fprintf(&b, " = %v", e.Detail)
		}
		if e.Err != nil {
			fmt.Fprintf(&b, ": %v", e.Err)
		}
	case Stepped, Arrived:
		fmt.Fprintf(&b, "  %v", e.Request)
		if e.Twin > 0 {
			fmt.Fprintf(&b, " (twin %d)", e.Twin+1)
		}
		e.appendOutcome(&b)
	case Restarted:
		b.WriteString("starts again")
	case Paused:
		fmt.Fprintf(&b, "%v pass", e.By)
	case Jumped:
		fmt.Fprintf(&b, "clock jumps by %v", e.By)
	}
	return b.String()
}

func (e *Event) who() string {
	if e.Life > 0 {
		return fmt.Sprintf("%s(%d)", e.Process, e.Life+1)
	}
	return e.Process
}

func (e *Event) appendOutcome(b *strings.Builder) {
	if e.Kind == Arrived {
		b.WriteString(" arrives late")
	}
	if e.Effect != nil {
		fmt.Fprintf(b, " -> %s", e.Effect.word(e.Request))
	}
	switch {
	case e.Fault.Answer == Crashed:
		fmt.Fprintf(b, " [%v] CRASH", e.Fault)
	case e.Fault != Fault{}:
		fmt.Fprintf(b, " [%v]", e.Fault)
		if e.Told != nil && e.Told.Err != nil {
			fmt.Fprintf(b, " told: %s", e.Told.word(e.Request))
		}
	case e.Effect == nil && e.Told != nil:
		fmt.Fprintf(b, " answered: %s", e.Told.word(e.Request))
	}
}

// word returns a reply in one or two words.
func (r *Reply) word(req *Request) string {
	if r.Err != nil {
		return errorWord(r.Err)
	}
	switch req.Op {
	case OpGet, OpGetVersion:
		return string(r.Object.ID)
	case OpHead, OpPut:
		return string(r.Version.ID)
	case OpListVersions:
		return fmt.Sprintf("%d versions%s", len(r.Versions.Versions), more(r.Versions.Next))
	default:
		return fmt.Sprintf("%d names%s", len(r.Names.Names), more(r.Names.Next))
	}
}

func more(next backend.PageToken) string {
	if next == "" {
		return ""
	}
	return " and more"
}
