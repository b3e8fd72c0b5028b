package conformance

import (
	"errors"
	"fmt"
)

// Outcome says how a check ended.
type Outcome string

const (
	Pass Outcome = "pass"
	Fail Outcome = "fail"
	// NotApplicable is the outcome of a check that needs what the harness
	// declares to be lacking.
	NotApplicable Outcome = "n/a"
)

// Result is how one check ended.
type Result struct {
	Check    string  `json:"check"`  // "S3/32-racing-creates"
	Clause   string  `json:"clause"` // "S3"
	Title    string  `json:"title"`  // what it asks of the store
	Outcome  Outcome `json:"outcome"`
	Expected string  `json:"expected,omitempty"` // on failure, where there is more to say than the title
	Seen     string  `json:"seen,omitempty"`     // on failure
	Reason   string  `json:"reason,omitempty"`   // why not applicable
	Requests int     `json:"requests"`           // how many were made of the store
}

// Err is nil unless the check failed.
func (r Result) Err() error {
	if r.Outcome != Fail {
		return nil
	}
	if r.Expected == "" {
		return fmt.Errorf("%s: %s", r.Check, r.Seen)
	}
	return fmt.Errorf("%s: expected %s; saw %s", r.Check, r.Expected, r.Seen)
}

// mismatch is the error of a check that saw something else than the contract
// has it.
type mismatch struct {
	expected, seen string
}

func (m *mismatch) Error() string {
	return "expected " + m.expected + "; saw " + m.seen
}

// unlike makes a mismatch; the arguments are those of what was seen.
func unlike(expected, seen string, args ...any) error {
	return &mismatch{expected: expected, seen: fmt.Sprintf(seen, args...)}
}

// fill sets the outcome from the error of a check.
func (r *Result) fill(err error) {
	r.Outcome = Pass
	if err == nil {
		return
	}
	r.Outcome = Fail
	r.Seen = err.Error()
	if m, ok := errors.AsType[*mismatch](err); ok && m.Error() == err.Error() {
		r.Expected, r.Seen = m.expected, m.seen
	}
}
