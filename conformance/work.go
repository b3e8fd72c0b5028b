package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
)

// order asks a worker for a write to the store, or for a Set.
type order struct {
	Name  string       `json:"name,omitempty"` // of the object to write
	Body  []byte       `json:"body,omitempty"`
	Match backend.ETag `json:"match,omitempty"` // empty: if absent

	Set []keyValue `json:"set,omitempty"` // keys to set, at once
	// Atomic asks for a SetAll, instead of a Set of each.
	Atomic bool `json:"atomic,omitempty"`
}

type keyValue struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// String says what is asked for.
func (o order) String() string {
	if len(o.Set) > 0 {
		return fmt.Sprintf("set %d keys, %s among them", len(o.Set), show(o.Set[0].Key))
	}
	return "write " + show(o.Name)
}

// answerTo is the outcome of an order.
type answerTo struct {
	ID   string       `json:"id,omitempty"`
	ETag backend.ETag `json:"etag,omitempty"`

	Sequence int64       `json:"sequence,omitempty"`
	Hash     immukv.Hash `json:"hash,omitempty"`

	Set []answerTo `json:"set,omitempty"` // of each key that was to be set

	Error string `json:"error,omitempty"`
	// Lost means that its precondition failed, Unknown that it may have
	// applied.
	Lost    bool `json:"lost,omitempty"`
	Unknown bool `json:"unknown,omitempty"`

	// Unavailable counts the requests repeated because the store was
	// unavailable.
	Unavailable int64 `json:"unavailable,omitempty"`
}

// version is the version that a write to the store made.
func (a answerTo) version() backend.Version {
	return backend.Version{ID: backend.VersionID(a.ID), ETag: a.ETag}
}

// Work performs, in a process of its own, what the suite asks for on its
// standard input, until the input ends. The command that [Store.Worker] returns
// calls it with a handle on the store. In the test of a backend the command is
// the test binary:
//
//	func TestMain(m *testing.M) {
//		if dir := os.Getenv("CONFORMANCE_WORKER"); dir != "" {
//			if err := conformance.Work(context.Background(), open(dir)); err != nil {
//				log.Fatal(err)
//			}
//			return
//		}
//		os.Exit(m.Run())
//	}
func Work(ctx context.Context, s backend.VersionedStore) error {
	return work(ctx, s, os.Stdin, os.Stdout)
}

func work(ctx context.Context, store backend.VersionedStore, in io.Reader, out io.Writer) error {
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	w := &watch{giveUp: giveUp}
	s := &watchedStore{store: store, watch: w}
	// A lone Set is written the same by a client that batches.
	c, err := connect(ctx, s, "", batching(0)...)
	if err != nil {
		return err
	}
	orders, answers := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var o order
		if err := orders.Decode(&o); errors.Is(err, io.EOF) {
			return c.Close()
		} else if err != nil {
			return fmt.Errorf("read an order: %w", err)
		}
		a := o.carryOut(ctx, s, c)
		a.Unavailable = w.unavailable.Swap(0)
		if err := answers.Encode(a); err != nil {
			return fmt.Errorf("answer an order: %w", err)
		}
	}
}

func (o order) carryOut(ctx context.Context, s backend.VersionedStore, c *client) answerTo {
	if len(o.Set) > 0 {
		return answerTo{Set: o.set(ctx, c)}
	}
	cond := backend.IfAbsent()
	if o.Match != "" {
		cond = backend.IfMatch(o.Match)
	}
	v, err := s.Put(ctx, o.Name, o.Body, cond)
	if err != nil {
		return answerFailed(ctx, err)
	}
	return answerTo{ID: string(v.ID), ETag: v.ETag}
}

// set sets the keys, by one SetAll or by Sets that are under way at once.
func (o order) set(ctx context.Context, c *client) []answerTo {
	answers := make([]answerTo, len(o.Set))
	answer := func(i int, e entry, err error) {
		answers[i] = answerTo{ID: string(e.VersionID), Sequence: e.Sequence, Hash: e.Hash}
		if err != nil {
			answers[i] = answerFailed(ctx, err)
		}
	}
	if !o.Atomic {
		err := together(len(o.Set), func(i int) error {
			e, err := c.Set(ctx, o.Set[i].Key, o.Set[i].Value)
			answer(i, e, err)
			return nil
		})
		if err != nil { // a panic
			return slices.Repeat([]answerTo{answerFailed(ctx, err)}, len(o.Set))
		}
		return answers
	}
	writes := make([]immukv.Write[string], len(o.Set))
	for i, kv := range o.Set {
		writes[i] = immukv.Write[string]{Key: kv.Key, Value: kv.Value}
	}
	entries, err := c.SetAll(ctx, writes...)
	for i := range writes {
		var e entry
		if err == nil {
			e = entries[i]
		}
		answer(i, e, err)
	}
	return answers
}

// answerFailed describes the error of a call.
func answerFailed(ctx context.Context, err error) answerTo {
	if cause := context.Cause(ctx); cause != nil {
		err = cause // which says more than the context's error
	}
	return answerTo{
		Error:   err.Error(),
		Lost:    errors.Is(err, backend.ErrPreconditionFailed),
		Unknown: errors.Is(err, backend.ErrOutcomeUnknown) || errors.Is(err, immukv.ErrOutcomeUnknown),
	}
}
