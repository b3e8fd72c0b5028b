package fleet

import (
	"slices"
	"time"

	"github.com/immukv/immukv-go/sim"
)

// Random draws a plan, and the source that draws its schedule: two to five clients of all
// kinds with any calls, on one or several keys, with rare or frequent faults. Draw
// returns a number from 0 to n-1; smaller numbers give a simpler plan. Clients of package
// immukv may also make calls of the other verbs, which are watch and copy.
func Random(draw func(n int) int, others ...string) (Plan, sim.Source) {
	var plan Plan
	keys := pick(draw, keySets)
	for i := range 2 + draw(4) {
		plan.Clients = append(plan.Clients, randomClient(draw, string(rune('a'+i)), keys, others))
	}
	return plan, &sim.Drawn{
		Draw:   draw,
		Steps:  400,
		OneIn:  pick(draw, []int{0, 40, 15, 5, 2}),
		Faults: plan.faults,
	}
}

// faults returns the faults that a request may meet. A client with the existing algorithm
// takes a failed precondition of its blind repair as proof that no repair is needed. That
// is right only if the store reports failed preconditions truthfully, so a conflict is
// reported to it as another error.
func (p Plan) faults(at sim.Pending) []sim.Fault {
	all := at.Faults()
	i := slices.IndexFunc(p.Clients, func(c Client) bool { return c.Name == at.Process })
	if !p.Clients[i].Legacy {
		return all
	}
	return slices.DeleteFunc(all, func(f sim.Fault) bool {
		return f == sim.Fault{Effect: sim.Never, Answer: sim.Precondition}
	})
}

// keySets are the keys that the clients of a plan use. The order of names differs from
// that of keys if one key is a prefix of another.
var keySets = [][]string{
	{"k"},
	{"k", "j"},
	{"k", "k-1", "k.1", "k/1", "k0"},
}

func pick[T any](draw func(n int) int, from []T) T { return from[draw(len(from))] }

func randomClient(draw func(n int) int, name string, keys, others []string) Client {
	c := Client{Name: name}
	switch draw(10) {
	case 7, 8:
		c.Legacy = true
	case 9:
		c.ReadOnly = true
	}
	c.TypeScript = draw(4) == 3
	c.Deferred = !c.Legacy && draw(4) == 3
	c.Batching = !c.Legacy && draw(3) == 2
	c.Impatient = !c.Legacy && draw(6) == 5
	c.Always = !c.Legacy && draw(2) == 1
	c.Clock = pick(draw, []time.Duration{0, 0, time.Hour, -time.Hour, -20 * 365 * 24 * time.Hour})
	for range 1 + draw(5) {
		group := []Call{randomCall(draw, c, keys, others)}
		if !c.Legacy && draw(6) == 5 {
			for range 1 + draw(3) {
				if call := randomCall(draw, c, keys, others); call.Verb != "watch" {
					group = append(group, call)
				}
			}
		}
		c.Script = append(c.Script, group)
		if group[0].sets() && !c.Legacy && draw(3) > 0 {
			c.Script = append(c.Script, []Call{{Verb: "settle"}})
		}
	}
	return c
}

func randomCall(draw func(n int) int, c Client, keys, others []string) Call {
	verbs := []string{"set", "set", "set", "set", "get", "get", "settle", "repair", "history", "log", "keys", "verify", "audit", "update", "setall", "setall", "getall"}
	switch {
	case c.Legacy:
		verbs = []string{"set", "set", "set", "set", "get", "get", "history", "log", "keys", "verify"}
	case c.ReadOnly:
		verbs = []string{"get", "getall", "history", "log", "keys", "verify", "audit"}
	}
	if !c.Legacy {
		verbs = append(verbs, others...)
	}
	call := Call{Verb: pick(draw, verbs)}
	if slices.Contains(keyedVerbs, call.Verb) {
		call.Key = pick(draw, keys)
	}
	if slices.Contains(widerVerbs, call.Verb) {
		call.Keys = randomKeys(draw, keys)
	}
	switch {
	case c.Legacy:
	case call.Verb == "get":
		call.Consistent = draw(2) == 1
	case call.Verb == "set":
		// A sequence that the key probably has by then.
		call.If = pick(draw, []string{"", "", "", "", "absent", "0", "1", "2"})
	}
	return call
}

// randomKeys returns one to three distinct keys, in any order.
func randomKeys(draw func(n int) int, keys []string) []string {
	left := slices.Clone(keys)
	var some []string
	for range 1 + draw(min(3, len(keys))) {
		i := draw(len(left))
		some = append(some, left[i])
		left = slices.Delete(left, i, i+1)
	}
	return some
}
