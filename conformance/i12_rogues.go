package conformance

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
)

// I12: the audit reports what was written outside the protocol.
var rogueChecks = clause("I12",
	check{
		name: "rogue-versions", cost: cost{fixed: 1000},
		title: "the audit finds a version that was written outside the protocol, and names its object",
		run:   checkRogueVersions,
	},
)

func checkRogueVersions(ctx context.Context, e *env) error {
	s := e.stores[0]
	rogues := []struct {
		name, object string
		body         func(current []byte) []byte
	}{
		{"a repeated version of a key object", "keys/a.json", func(b []byte) []byte { return b }},
		{"something else in a key object", "keys/a.json", func([]byte) []byte { return []byte(`{"key":"a"}`) }},
		{"no JSON in a key object", "keys/b.json", func([]byte) []byte { return []byte("rogue") }},
		{"a repeated version of the log", "_log.json", func(b []byte) []byte { return b }},
		{"something else in the log", "_log.json", func([]byte) []byte { return []byte(`{}`) }},
		{"a key object without an entry", "keys/never-set.json", nil},
		{"a batch without its last entry", "_log.json", func(b []byte) []byte { return b[:bytes.LastIndexByte(b, '\n')] }},
		{"a batch with its entries in another order", "_log.json", func(b []byte) []byte {
			lines := bytes.Split(b, []byte("\n"))
			slices.Reverse(lines)
			return bytes.Join(lines, []byte("\n"))
		}},
		{"another entry of a batch in its key object", "keys/c.json", func(b []byte) []byte {
			return bytes.ReplaceAll(b, []byte(`"c"`), []byte(`"b"`))
		}},
	}
	for i, rogue := range rogues {
		prefix := fmt.Sprintf("%d/", i)
		c, err := connect(ctx, s, prefix)
		if err != nil {
			return err
		}
		l := &ledger{}
		for n, key := range []string{"a", "b", "a"} {
			if err := l.set(ctx, c, key, fmt.Sprintf("%swrite %d", prefix, n)); err != nil {
				return err
			}
		}
		if err := l.setAll(ctx, c, writesOf(prefix+"batch", "b", "a", "c")); err != nil {
			return err
		}
		if err := c.Close(); err != nil {
			return err
		}
		if _, err := audited(ctx, s, prefix); err != nil {
			return err
		}
		if err := intrude(ctx, s, prefix+rogue.object, rogue.body); err != nil {
			return err
		}
		report, err := audit(ctx, s, prefix)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(report.Findings, func(f immukv.Finding) bool { return f.Object == prefix+rogue.object }) {
			return unlike(fmt.Sprintf("the audit to find %s in %q", rogue.name, prefix+rogue.object), "findings %v", report.Findings)
		}
	}
	return nil
}

// intrude writes to an object outside the protocol.
func intrude(ctx context.Context, s backend.VersionedStore, name string, body func([]byte) []byte) error {
	if body == nil {
		_, err := write(ctx, s, name, []byte(`{}`), backend.IfAbsent())
		return err
	}
	o, err := s.Get(ctx, name)
	if err != nil {
		return err
	}
	_, err = write(ctx, s, name, body(o.Body), backend.IfMatch(o.ETag))
	return err
}
