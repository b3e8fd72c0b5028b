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
	// Step continues a waiting request or a held answer.
	Step Move = iota
	// Arrive lets a write take effect after its caller was answered: a [Later] or
	// [Again], or one whose caller stopped waiting.
	Arrive
	// Pause lets time pass for all processes, while requests wait.
	Pause
	// Jump changes the clock of a process.
	Jump
)

// Choice is one decision of the scheduler.
type Choice struct {
	Move    Move
	Process string // empty for a Pause
	// Nth is the number of the process's request, from 0, in their order.
	Nth   int
	Fault Fault         // of a Step
	By    time.Duration // of a Pause or Jump
}

// String returns the choice as schedules print it.
//
//	a              the first waiting request of a continues, without a fault
//	a.2            its second waiting request
//	a:later/lost   the same, meeting a fault
//	a~ and a~2     a late write of a takes effect
//	pause=6m0s     time passes
//	a@-1h0m0s      the clock of a is set back by an hour
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

// ParseChoice parses the output of [Choice.String].
func ParseChoice(s string) (Choice, error) {
	m := choiceText.FindStringSubmatch(s)
	if m == nil {
		return Choice{}, fmt.Errorf("%q is not a choice", s)
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
			return Choice{}, fmt.Errorf("%q is not a choice", s)
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
		return Choice{}, fmt.Errorf("%q is not a choice: %w", s, err)
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

// Schedule is a sequence of choices. After its end, processes continue without faults,
// one after another.
type Schedule []Choice

// String returns the choices, separated by spaces.
func (s Schedule) String() string {
	words := make([]string, len(s))
	for i, c := range s {
		words[i] = c.String()
	}
	return strings.Join(words, " ")
}

// ParseSchedule parses the output of [Schedule.String], with any white space.
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
