package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
)

// order asks a worker for a write to the store, or for a Set.
type order struct {
	Name  string       `json:"name,omitempty"` // of the object to write
	Body  []byte       `json:"body,omitempty"`
	Match backend.ETag `json:"match,omitempty"` // empty: if absent

	Key   string `json:"key,omitempty"` // to set
	Value string `json:"value,omitempty"`
}

// answerTo is the outcome of an order.
type answerTo struct {
	ID   string       `json:"id,omitempty"`
	ETag backend.ETag `json:"etag,omitempty"`

	Sequence int64       `json:"sequence,omitempty"`
	Hash     immukv.Hash `json:"hash,omitempty"`

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
	c, err := connect(ctx, s, "")
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
	var a answerTo
	var err error
	if o.Key != "" {
		var e entry
		e, err = c.Set(ctx, o.Key, o.Value)
		a = answerTo{ID: string(e.VersionID), Sequence: e.Sequence, Hash: e.Hash}
	} else {
		cond := backend.IfAbsent()
		if o.Match != "" {
			cond = backend.IfMatch(o.Match)
		}
		var v backend.Version
		v, err = s.Put(ctx, o.Name, o.Body, cond)
		a = answerTo{ID: string(v.ID), ETag: v.ETag}
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause // which says more than the context's error
	}
	if err != nil {
		a = answerTo{
			Error:   err.Error(),
			Lost:    errors.Is(err, backend.ErrPreconditionFailed),
			Unknown: errors.Is(err, backend.ErrOutcomeUnknown) || errors.Is(err, immukv.ErrOutcomeUnknown),
		}
	}
	return a
}
