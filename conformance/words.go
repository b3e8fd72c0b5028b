package conformance

import (
	"fmt"
	"strings"

	"github.com/immukv/immukv-go/backend"
)

// The words of reports. Each is part of a line, and therefore short.

// outcome describes the error of a call.
func outcome(err error) string {
	if err == nil {
		return "success"
	}
	return err.Error()
}

// show quotes a name. It shortens a long name to its ends.
func show(name string) string {
	if len(name) > 80 {
		return fmt.Sprintf("%q…%q (%d bytes)", name[:30], name[len(name)-30:], len(name))
	}
	return fmt.Sprintf("%q", name)
}

// showBody describes a body in one line.
func showBody(body []byte) string {
	if len(body) > 60 {
		return fmt.Sprintf("%d bytes beginning with %q", len(body), body[:40])
	}
	return fmt.Sprintf("%q", body)
}

// versionsAsked describes a request for versions.
func versionsAsked(req backend.VersionsRequest) string {
	if req.After == "" {
		return inPages(req.Limit)
	}
	return fmt.Sprintf(" after %q%s", req.After, inPages(req.Limit))
}

// namesAsked describes a request for names.
func namesAsked(req backend.NamesRequest) string {
	asked := inPages(req.Limit)
	if req.After != "" {
		asked = " after " + show(req.After) + asked
	}
	if req.Prefix != "" {
		asked = " with prefix " + show(req.Prefix) + asked
	}
	return asked
}

func inPages(limit int) string {
	if limit == 0 {
		return ", in pages of the store's size"
	}
	return fmt.Sprintf(", in pages of %d", limit)
}

// showNames describes a list of names, from the place where it differs from
// another.
func showNames(names, other []string) string {
	i := 0
	for i < len(names) && i < len(other) && names[i] == other[i] {
		i++
	}
	if i == len(names) {
		return fmt.Sprintf("%d names, and no more", len(names))
	}
	end := min(len(names), i+4)
	shown := make([]string, 0, end-i)
	for _, name := range names[i:end] {
		shown = append(shown, show(name))
	}
	return fmt.Sprintf("%d names, from place %d on %s", len(names), i, strings.Join(shown, " "))
}
