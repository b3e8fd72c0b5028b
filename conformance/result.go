package conformance

import (
	"errors"
	"fmt"
)

// Outcome says how a check ended.
type Outcome string

const (
	// Pass means that the store is as the title of the check says. Fail means
	// that it is not, or that the check could not be completed.
	Pass Outcome = "pass"
	Fail Outcome = "fail"
	// NotApplicable means that the check needs a facility that the harness
	// declares to be lacking, or tests a feature that its stores do not have.
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
	// Unavailable is how many requests the suite repeated because the store
	// was unavailable. Requests does not count the repetitions.
	Unavailable int `json:"unavailable,omitempty"`
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

// mismatch is the error of a check that saw something other than what it
// expected.
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

// inapplicable is the error of a check that does not apply to the store. It
// holds the reason.
type inapplicable string

func (i inapplicable) Error() string { return string(i) }

// fill sets the outcome from the error of a check.
func (r *Result) fill(err error) {
	r.Expected, r.Seen, r.Reason = "", "", ""
	if err == nil {
		r.Outcome = Pass
		return
	}
	if reason, ok := errors.AsType[inapplicable](err); ok {
		r.Outcome, r.Reason = NotApplicable, string(reason)
		return
	}
	r.Outcome = Fail
	r.Seen = err.Error()
	if m, ok := errors.AsType[*mismatch](err); ok && m.Error() == err.Error() {
		r.Expected, r.Seen = m.expected, m.seen
	}
}

// Summary counts results.
type Summary struct {
	Checks        int `json:"checks"`
	Passed        int `json:"passed"`
	Failed        int `json:"failed"`
	NotApplicable int `json:"not_applicable"`
	Requests      int `json:"requests"`
	Unavailable   int `json:"unavailable,omitempty"`
}

// Summarize counts the results.
func Summarize(results []Result) Summary {
	s := Summary{Checks: len(results)}
	for _, r := range results {
		switch r.Outcome {
		case Pass:
			s.Passed++
		case Fail:
			s.Failed++
		case NotApplicable:
			s.NotApplicable++
		}
		s.Requests += r.Requests
		s.Unavailable += r.Unavailable
	}
	return s
}

func (s Summary) String() string {
	text := fmt.Sprintf("%d checks: %d passed, %d failed, %d not applicable; %d requests",
		s.Checks, s.Passed, s.Failed, s.NotApplicable, s.Requests)
	if s.Unavailable > 0 {
		text += fmt.Sprintf(", and %d made again because the store was unavailable", s.Unavailable)
	}
	return text
}
