// Package fleet simulates the clients of one ImmuKV store: those of package immukv, and
// clients with the simpler algorithm of the existing ones. A small reference model, which
// shares no code with package immukv, has the protocol's invariants. Every step of a
// history is compared with it.
package fleet

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/immukv/immukv-go/sim"
)

// Plan is a history that can be made again: the clients, their calls, and the choices of
// the scheduler.
//
//	client a: set k; get k; set k & set j
//	client b readonly always clock=-1h0m0s: log; history k
//	client c legacy typescript: set k
//	client d batching: set k & set j & set i; setall k j
//	schedule a a b:never/lost c
//
// Calls joined with & are made at the same time. A set may have a condition, "set k if
// absent" or "set k if 3", and a get may be consistent, "get k consistent"; a getall
// always is. A watch continues after the last one of its client, up to the end of the log,
// so that there can be no two at the same time. All copies have one destination.
type Plan struct {
	Clients  []Client
	Schedule sim.Schedule
}

// Client is one client process and its calls, one group after another. After a crash, the
// client continues with the next group.
type Client struct {
	Name       string
	Legacy     bool          // has the existing clients' algorithm
	TypeScript bool          // writes that dialect
	Odd        bool          // a legacy one: writes NaN or, in TypeScript, loses a part of a value in a repair
	ReadOnly   bool          // opened with WithReadOnly
	Deferred   bool          // opened with WithDeferredApply
	Batching   bool          // opened with WithBatching
	Impatient  bool          // opened with WithMaxAttempts(1)
	Always     bool          // checks for an orphan at every read
	Clock      time.Duration // the error of its clock
	Script     [][]Call
}

// Call is one call of a client: set, setall, update, get, getall, history, log, keys,
// repair, settle, verify, audit, seal, watch, copy. orphan and orphanall are sets without
// their apply.
type Call struct {
	Verb       string
	Key        string // of set, update, orphan, get and history
	If         string // of set: its condition, "absent" or a sequence
	Consistent bool   // of get

	Keys []string // of setall, orphanall and getall
}

func (c Call) sets() bool {
	return c.Verb == "update" || c.Verb == "set" || c.Verb == "setall" || c.Verb == "orphan" || c.Verb == "orphanall"
}

// calls reports whether the client makes calls of a verb.
func (c Client) calls(verb string) bool {
	return slices.ContainsFunc(c.Script, func(group []Call) bool {
		return slices.ContainsFunc(group, func(call Call) bool { return call.Verb == verb })
	})
}

// keys returns the keys of a write, in the order of its entries.
func (c Call) keys() []string {
	if c.Keys != nil {
		return c.Keys
	}
	return []string{c.Key}
}

// noEntry means that a key has no entry.
const noEntry = -1

// wants returns the sequence that the condition of a set requires, if it has one.
func (c Call) wants() (sequence int64, conditional bool) {
	if c.If == "absent" {
		return noEntry, true
	}
	n, err := strconv.ParseInt(c.If, 10, 64)
	return n, err == nil
}

// String returns the call as plans print it.
func (c Call) String() string {
	words := []string{c.Verb}
	if c.Key != "" {
		words = append(words, c.Key)
	}
	words = append(words, c.Keys...)
	if c.If != "" {
		words = append(words, "if", c.If)
	}
	if c.Consistent {
		words = append(words, "consistent")
	}
	return strings.Join(words, " ")
}

var (
	keyedVerbs    = []string{"set", "update", "orphan", "get", "history"}
	widerVerbs    = []string{"setall", "orphanall", "getall"}
	bareVerbs     = []string{"log", "keys", "repair", "settle", "verify", "audit", "seal", "watch", "copy"}
	nameText      = regexp.MustCompile(`^[a-z][a-z0-9_-]*$`)
	conditionText = regexp.MustCompile(`^(absent|0|[1-9][0-9]{0,17})$`)
)

func parseCall(text string) (Call, error) {
	words := strings.Fields(text)
	switch {
	case len(words) == 2 && slices.Contains(keyedVerbs, words[0]):
		return Call{Verb: words[0], Key: words[1]}, nil
	case len(words) > 1 && slices.Contains(widerVerbs, words[0]):
		return Call{Verb: words[0], Keys: words[1:]}, nil
	case len(words) == 1 && slices.Contains(bareVerbs, words[0]):
		return Call{Verb: words[0]}, nil
	case len(words) == 4 && words[0] == "set" && words[2] == "if" && conditionText.MatchString(words[3]):
		return Call{Verb: words[0], Key: words[1], If: words[3]}, nil
	case len(words) == 3 && words[0] == "get" && words[2] == "consistent":
		return Call{Verb: words[0], Key: words[1], Consistent: true}, nil
	}
	return Call{}, fmt.Errorf("%q is not a call", text)
}

// String returns the client's line of a plan.
func (c Client) String() string {
	var b strings.Builder
	b.WriteString("client " + c.Name)
	for _, attr := range []struct {
		set  bool
		text string
	}{
		{c.Legacy, "legacy"},
		{c.TypeScript, "typescript"},
		{c.Odd, "odd"},
		{c.ReadOnly, "readonly"},
		{c.Deferred, "deferred"},
		{c.Batching, "batching"},
		{c.Impatient, "impatient"},
		{c.Always, "always"},
		{c.Clock != 0, "clock=" + c.Clock.String()},
	} {
		if attr.set {
			b.WriteString(" " + attr.text)
		}
	}
	b.WriteByte(':')
	for i, group := range c.Script {
		if i > 0 {
			b.WriteByte(';')
		}
		for j, call := range group {
			if j > 0 {
				b.WriteString(" &")
			}
			b.WriteString(" " + call.String())
		}
	}
	return b.String()
}

func parseClient(text string) (Client, error) {
	head, script, ok := strings.Cut(text, ":")
	words := strings.Fields(head)
	if !ok || len(words) < 2 || !nameText.MatchString(words[1]) {
		return Client{}, fmt.Errorf("%q is not a client: want client NAME ATTRIBUTES: CALL; CALL", text)
	}
	c := Client{Name: words[1]}
	for _, attr := range words[2:] {
		if err := c.setAttribute(attr); err != nil {
			return Client{}, err
		}
	}
	if strings.TrimSpace(script) == "" {
		return c, nil
	}
	for group := range strings.SplitSeq(script, ";") {
		var calls []Call
		for text := range strings.SplitSeq(group, "&") {
			call, err := parseCall(text)
			if err != nil {
				return Client{}, fmt.Errorf("client %s: %w", c.Name, err)
			}
			calls = append(calls, call)
		}
		if watches := slices.DeleteFunc(slices.Clone(calls), func(c Call) bool { return c.Verb != "watch" }); len(watches) > 1 {
			return Client{}, fmt.Errorf("client %s: two watches at the same time", c.Name)
		}
		c.Script = append(c.Script, calls)
	}
	return c, nil
}

func (c *Client) setAttribute(attr string) error {
	switch attr {
	case "legacy":
		c.Legacy = true
	case "typescript":
		c.TypeScript = true
	case "odd":
		c.Odd = true
	case "readonly":
		c.ReadOnly = true
	case "deferred":
		c.Deferred = true
	case "batching":
		c.Batching = true
	case "impatient":
		c.Impatient = true
	case "always":
		c.Always = true
	default:
		value, ok := strings.CutPrefix(attr, "clock=")
		d, err := time.ParseDuration(value)
		if !ok || err != nil {
			return fmt.Errorf("client %s: unknown attribute %q", c.Name, attr)
		}
		c.Clock = d
	}
	return nil
}

// lines returns the lines of the plan.
func (p Plan) lines() []string {
	var lines []string
	for _, c := range p.Clients {
		lines = append(lines, c.String())
	}
	return append(lines, strings.TrimRight("schedule "+p.Schedule.String(), " "))
}

// String returns the plan as a few lines of text.
func (p Plan) String() string { return strings.Join(p.lines(), "\n") + "\n" }

// Line returns the plan in one line.
func (p Plan) Line() string { return strings.Join(p.lines(), " | ") }

// ParsePlan parses the output of String and Line. Empty lines and lines that begin with #
// are ignored.
func ParsePlan(text string) (Plan, error) {
	var p Plan
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '|' })
	for _, line := range lines {
		line = strings.TrimSpace(line)
		word, rest, _ := strings.Cut(line, " ")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case word == "client":
			c, err := parseClient(line)
			if err != nil {
				return Plan{}, err
			}
			if slices.ContainsFunc(p.Clients, func(d Client) bool { return d.Name == c.Name }) {
				return Plan{}, fmt.Errorf("client %s appears twice", c.Name)
			}
			p.Clients = append(p.Clients, c)
		case word == "schedule":
			s, err := sim.ParseSchedule(rest)
			if err != nil {
				return Plan{}, err
			}
			p.Schedule = append(p.Schedule, s...)
		default:
			return Plan{}, fmt.Errorf("%q is not a line of a plan: it must begin with client or schedule", line)
		}
	}
	return p, nil
}
