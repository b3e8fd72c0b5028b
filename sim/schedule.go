package sim

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Move is the kind of a [Choice].
type Move uint8

const (
	// Step takes a request that waits, or an answer that is held.
	Step Move = iota
	// Arrive lets a write take effect that was answered before: a [Later] or
	// [Again], or one whose caller no longer waited.
	Arrive
	// Pause lets time pass for everybody, with whatever waits waiting.
	Pause
	// Jump changes the clock of a process.
	Jump
)

// Choice is one decision of the scheduler.
type Choice struct {
	Move    Move
	Process string // empty for a Pause
	// Nth is which of the process's requests is meant, from 0, in their order.
	Nth   int
	Fault Fault         // of a Step
	By    time.Duration // of a Pause or Jump
}

// String is the choice as schedules print it.
//
//	a              what process a waits for first goes on, without a fault
//	a.2            what it waits for second
//	a:later/lost   the same, meeting a fault
//	a~ and a~2     a write of a that was answered long ago takes effect
//	pause=6m0s     time passes
//	a@-1h0m0s      the clock of a goes back an hour
func (c Choice) String() string {
	nth := ""
	if c.Nth > 0 {
		nth = strconv.Itoa(c.Nth + 1)
	}
	switch {
	case c.Move == Pause:
		return "pause=" + c.By.String()
	case c.Move == Jump:
		return c.Process + "@" + c.By.String()
	case c.Move == Arrive:
		return c.Process + "~" + nth
	}
	if nth != "" {
		nth = "." + nth
	}
	if c.Fault == (Fault{}) {
		return c.Process + nth
	}
	return c.Process + nth + ":" + c.Fault.String()
}

var choiceText = regexp.MustCompile(`^([a-z][a-z0-9_-]*)(?:~(\d*)|@(\S+)|=(\S+)|(?:\.(\d+))?(?::(\S+))?)$`)

// ParseChoice reads what [Choice.String] prints.
func ParseChoice(s string) (Choice, error) {
	m := choiceText.FindStringSubmatch(s)
	if m == nil {
		return Choice{}, fmt.Errorf("%q is no choice", s)
	}
	c := Choice{Process: m[1]}
	var err error
	switch rest := s[len(m[1]):]; {
	case strings.HasPrefix(rest, "~"):
		c.Move = Arrive
		c.Nth, err = parseNth(m[2])
	case strings.HasPrefix(rest, "@"):
		c.Move = Jump
		c.By, err = time.ParseDuration(m[3])
	case strings.HasPrefix(rest, "="):
		if c.Process != "pause" {
			return Choice{}, fmt.Errorf("%q is no choice", s)
		}
		c.Move, c.Process = Pause, ""
		c.By, err = time.ParseDuration(m[4])
	default:
		c.Nth, err = parseNth(m[5])
		if err == nil && m[6] != "" {
			c.Fault, err = ParseFault(m[6])
		}
	}
	if err != nil {
		return Choice{}, fmt.Errorf("%q is no choice: %w", s, err)
	}
	return c, nil
}

func parseNth(s string) (int, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 2 {
		return 0, fmt.Errorf("want a number from 2, not %q", s)
	}
	return n - 1, nil
}

// Schedule is a sequence of choices. What it leaves open goes on without
// faults, one process after the other.
type Schedule []Choice

// String prints the choices with a space between.
func (s Schedule) String() string {
	words := make([]string, len(s))
	for i, c := range s {
		words[i] = c.String()
	}
	return strings.Join(words, " ")
}

// ParseSchedule reads what [Schedule.String] prints; any white space separates.
func ParseSchedule(text string) (Schedule, error) {
	var s Schedule
	for word := range strings.FieldsSeq(text) {
		c, err := ParseChoice(word)
		if err != nil {
			return nil, err
		}
		s = append(s, c)
	}
	return s, nil
}
