package provision

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"
)

// Policy is a policy document, of IAM or of a bucket.
type Policy struct {
	Version   string
	Statement []Statement
}

// policyVersion is the version of the policy language.
const policyVersion = "2012-10-17"

// Statement is one statement of a policy.
type Statement struct {
	Sid       string     `json:",omitempty"`
	Effect    string     // "Allow" or "Deny"
	Principal any        `json:",omitempty"` // in bucket policies and trust policies
	Action    []string   `json:",omitempty"`
	Resource  []string   `json:",omitempty"`
	Condition Conditions `json:",omitempty"`
}

// Conditions are the conditions of a statement: by operator and condition key, the
// allowed values. All conditions must hold.
type Conditions map[string]map[string][]string

// JSON returns the policy as indented JSON.
func (p Policy) JSON() string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(p); err != nil {
		panic(err) // strings marshal
	}
	return strings.TrimSuffix(b.String(), "\n")
}

const (
	allow = "Allow"
	deny  = "Deny"
)

// looseStatement is a statement in any valid form: with single values in place of lists,
// and members that Statement does not have.
type looseStatement map[string]any

// parsePolicy parses a policy that others may have written.
func parsePolicy(text string) ([]looseStatement, error) {
	var p struct{ Statement json.RawMessage }
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return nil, fmt.Errorf("read the bucket policy: %w", err)
	}
	var list []looseStatement
	if err := json.Unmarshal(p.Statement, &list); err != nil {
		var one looseStatement
		if json.Unmarshal(p.Statement, &one) != nil {
			return nil, fmt.Errorf("read the bucket policy: %w", err)
		}
		list = []looseStatement{one}
	}
	return list, nil
}

// loose returns a statement in the form of parsePolicy.
func (s Statement) loose() looseStatement {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // strings marshal
	}
	var l looseStatement
	if err := json.Unmarshal(text, &l); err != nil {
		panic(err)
	}
	return l
}

func (l looseStatement) sid() string { s, _ := l["Sid"].(string); return s }

// values returns the strings of a member that is a string or a list.
func (l looseStatement) values(member string) []string { return texts(l[member]) }

func texts(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case bool:
		return []string{fmt.Sprint(v)}
	case []any:
		var all []string
		for _, item := range v {
			all = append(all, texts(item)...)
		}
		sort.Strings(all)
		return all
	}
	return nil
}

// normal returns a text that is equal for two statements with the same meaning: servers
// return policies in another order, and single values without their list.
func (l looseStatement) normal() string {
	var b strings.Builder
	var write func(v any)
	write = func(v any) {
		if m, ok := v.(map[string]any); ok {
			names := make([]string, 0, len(m))
			for name := range m {
				names = append(names, name)
			}
			sort.Strings(names)
			b.WriteByte('{')
			for _, name := range names {
				fmt.Fprintf(&b, "%q:", name)
				write(m[name])
			}
			b.WriteByte('}')
			return
		}
		fmt.Fprintf(&b, "%q", texts(v))
	}
	whole := map[string]any(l)
	if texts(l["Principal"]) == nil {
		if p, ok := l["Principal"].(map[string]any); ok && len(p) == 1 && slices.Equal(texts(p["AWS"]), []string{"*"}) {
			whole = make(map[string]any, len(l))
			for name, v := range l {
				whole[name] = v
			}
			whole["Principal"] = "*"
		}
	}
	write(whole)
	return b.String()
}

// public reports whether the statement is for everybody.
func (l looseStatement) public() bool {
	everybody := func(v any) bool { return slices.Contains(texts(v), "*") }
	if p, ok := l["Principal"].(map[string]any); ok {
		return everybody(p["AWS"])
	}
	return everybody(l["Principal"]) || l["NotPrincipal"] != nil
}

// covers reports whether the statement's actions include the given one.
func (l looseStatement) covers(action string) bool {
	if not := l.values("NotAction"); not != nil {
		return !slices.ContainsFunc(not, func(pattern string) bool { return matches(pattern, action) })
	}
	return slices.ContainsFunc(l.values("Action"), func(pattern string) bool { return matches(pattern, action) })
}

// matches reports whether a pattern of a policy, with * and ?, matches an action.
// Actions are compared without regard to case.
func matches(pattern, action string) bool {
	pattern, action = strings.ToLower(pattern), strings.ToLower(action)
	for pattern != "" {
		switch c := pattern[0]; {
		case c == '*':
			for i := 0; i <= len(action); i++ {
				if matches(pattern[1:], action[i:]) {
					return true
				}
			}
			return false
		case action == "", c != '?' && c != action[0]:
			return false
		}
		pattern, action = pattern[1:], action[1:]
	}
	return action == ""
}

// joined returns the policy of those statements.
func joined(statements []looseStatement) string {
	text, err := json.Marshal(struct {
		Version   string
		Statement []looseStatement
	}{policyVersion, statements})
	if err != nil {
		panic(err) // it came from JSON
	}
	return string(text)
}
