package conformance

import (
	"bytes"
	"context"
	"fmt"

	"github.com/immukv/immukv-go/backend"
)

// S4: what a successful write returns.
var answerChecks = clause("S4",
	check{
		name: "id-and-etag", cost: cost{fixed: 60},
		title: "every successful write returns the ID and the ETag of the version it made, neither empty nor null",
		run:   checkAnswers,
	},
	check{
		name: "answer-under-race", cost: cost{perRound: 4, fixed: 60},
		title: "concurrent writes each return their own version",
		run:   checkAnswersUnderRace,
	},
)

func checkAnswers(ctx context.Context, e *env) error {
	s := e.stores[0]
	for _, name := range []string{object, "a/b/c", "z"} {
		cond := backend.IfAbsent()
		for _, body := range [][]byte{nil, []byte("x"), []byte("x"), bytes.Repeat([]byte("0123456789"), 10_000)} {
			o, err := write(ctx, s, name, body, cond)
			if err != nil {
				return err
			}
			if err := current(ctx, s, name, o); err != nil {
				return err
			}
			if err := readable(ctx, s, name, o); err != nil {
				return err
			}
			cond = backend.IfMatch(o.ETag)
		}
	}
	return nil
}

func checkAnswersUnderRace(ctx context.Context, e *env) error {
	const writers = 8
	stores := e.stores
	written := make([][]backend.Object, writers)
	err := together(writers, func(i int) error {
		name := fmt.Sprintf("%s-%d", object, i)
		var err error
		written[i], err = chain(ctx, stores[i%2], name, 1+e.rounds()/4)
		return err
	})
	if err != nil {
		return err
	}
	for i, chain := range written {
		if err := survived(ctx, stores[1-i%2], fmt.Sprintf("%s-%d", object, i), chain); err != nil {
			return err
		}
	}
	return nil
}
