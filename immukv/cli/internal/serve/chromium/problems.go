package chromium

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"sync"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/inspector"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
)

// Problem is a fault of a page.
type Problem struct {
	Kind ProblemKind
	Text string
}

func (p Problem) String() string { return string(p.Kind) + ": " + p.Text }

// ProblemKind says what a [Problem] is about.
type ProblemKind string

// The kinds of problems.
const (
	Console   ProblemKind = "console"   // a warning or an error that a script wrote
	Exception ProblemKind = "exception" // one that no script caught
	Network   ProblemKind = "network"   // a request that failed, or was answered by an error
	Security  ProblemKind = "security"  // a violation of the Content-Security-Policy, or the like
	Issue     ProblemKind = "issue"     // a finding of the browser's own audit, such as a field without a label
	Foreign   ProblemKind = "foreign"   // a request to another host than those of the pages visited
	Crash     ProblemKind = "crash"     // the page's process ended
)

// problems collects the problems of a tab. The goroutine that reads events from the
// browser calls it.
type problems struct {
	mu   sync.Mutex
	home map[string]bool // hosts and ports of the pages visited
	list []Problem
}

func (p *problems) visit(home string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.home[home] = true
}

// take returns the problems so far, and forgets them.
func (p *problems) take() []Problem {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.list
	p.list = nil
	return list
}

func (p *problems) add(kind ProblemKind, format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = append(p.list, Problem{kind, fmt.Sprintf(format, args...)})
}

// observe handles every event of the tab.
func (p *problems) observe(event any) {
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning || e.Type == runtime.ConsoleAPICalledTypeAssert {
			p.add(Console, "%s: %s", e.Type, arguments(e.Args))
		}
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if thrown := e.ExceptionDetails.Exception; thrown != nil {
			text += " " + argument(thrown)
		}
		p.add(Exception, "%s", text)
	case *log.EventEntryAdded:
		p.logged(e.Entry)
	case *audits.EventIssueAdded:
		details, _ := json.Marshal(e.Issue.Details)
		p.add(Issue, "%s: %s", e.Issue.Code, details)
	case *inspector.EventTargetCrashed:
		p.add(Crash, "the page's process ended")
	case *network.EventRequestWillBeSent:
		p.requested(e.Request.URL)
	}
}

func (p *problems) logged(e *log.Entry) {
	if e.Level != log.EntryLevelError && e.Level != log.EntryLevelWarning {
		return
	}
	kind := Console
	switch e.Source {
	case log.EntrySourceSecurity:
		kind = Security
	case log.EntrySourceNetwork:
		kind = Network
	}
	p.add(kind, "%s (%s)", e.Text, e.URL)
}

func (p *problems) requested(address string) {
	u, err := url.Parse(address)
	p.mu.Lock()
	home := err == nil && p.home[u.Host]
	p.mu.Unlock()
	if err != nil || !home && u.Scheme != "data" && u.Scheme != "about" {
		p.add(Foreign, "%s", address)
	}
}

func arguments(args []*runtime.RemoteObject) string {
	texts := make([]string, len(args))
	for i, arg := range args {
		texts[i] = argument(arg)
	}
	return strings.Join(texts, " ")
}

func argument(arg *runtime.RemoteObject) string {
	if arg.Value != nil {
		return string(arg.Value)
	}
	return arg.Description
}
