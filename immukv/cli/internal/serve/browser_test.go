package serve_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/immukv/immukv-go/backend"
	_ "github.com/immukv/immukv-go/backend/blobstore"
	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/immukv/cli/internal/serve/chromium"
)

// TestBrowser visits the pages of real stores with a real browser. The pages are those
// of the command, which runs as users run it: as a process of its own.
func TestBrowser(t *testing.T) {
	b := &bench{browser: chromium.ForTest(t), command: buildCommand(t)}
	for name, test := range map[string]func(*visitor){
		"keys":        (*visitor).testKeys,
		"key":         (*visitor).testKey,
		"differences": (*visitor).testDifferences,
		"log":         (*visitor).testLog,
		"live":        (*visitor).testLive,
		"cut off":     (*visitor).testCutOff,
		"gaps":        (*visitor).testGaps,
		"ended":       (*visitor).testEnded,
		"verify":      (*visitor).testVerify,
		"tampered":    (*visitor).testTampered,
		"progress":    (*visitor).testProgress,
		"trust":       (*visitor).testTrust,
		"proof":       (*visitor).testProof,
		"hostile":     (*visitor).testHostile,
		"megabyte":    (*visitor).testMegabyte,
		"failing":     (*visitor).testFailing,
		"policy":      (*visitor).testPolicy,
		"markup":      (*visitor).testMarkup,
		"rebinding":   (*visitor).testRebinding,
		"other sites": (*visitor).testOtherSites,
		"keyboard":    (*visitor).testKeyboard,
		"rules":       (*visitor).testRules,
		"no script":   (*visitor).testNoScript,
		"empty":       (*visitor).testEmpty,
		"hidden":      (*visitor).testHidden,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(b.open(t))
		})
	}
}

// bench is what the tests share.
type bench struct {
	browser *chromium.Browser
	command string // the program
}

func buildCommand(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "immukv.exe")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, "../../../cmd/immukv").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// visitor is a person before a tab of the browser, as a test.
type visitor struct {
	*testing.T
	*bench
	tab  *chromium.Tab
	home string // where the pages are
	done bool
}

// open opens a tab. Whatever a page does wrong in it, the test fails.
func (b *bench) open(t *testing.T) *visitor {
	t.Helper()
	tab, err := b.browser.Open(context.WithoutCancel(t.Context()))
	check(t, err)
	v := &visitor{T: t, bench: b, tab: tab}
	t.Cleanup(func() {
		v.leave()
		tab.Close()
	})
	return v
}

// leave is what a visitor does last. The page stays open: servers end nevertheless, and
// what it then complains of is no problem.
func (v *visitor) leave() {
	if !v.done {
		v.done = true
		v.noProblems()
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// noProblems fails the test if the page did something wrong.
func (v *visitor) noProblems() {
	v.Helper()
	problems, err := v.tab.Problems()
	if err != nil {
		v.Error(err)
	}
	for _, p := range problems {
		v.Errorf("%s: %s", v.home, p)
	}
}

// expect takes the problems of the page so far, of which there must be some, all of the
// kinds given.
func (v *visitor) expect(kinds ...chromium.ProblemKind) {
	v.Helper()
	problems, err := v.tab.Problems()
	check(v, err)
	seen := make(map[chromium.ProblemKind]bool)
	for _, p := range problems {
		seen[p.Kind] = true
	}
	for _, kind := range kinds {
		if !seen[kind] {
			v.Errorf("no problem of kind %s was reported: %v", kind, problems)
		}
		delete(seen, kind)
	}
	if len(seen) > 0 {
		v.Errorf("problems of other kinds than %v were reported: %v", kinds, problems)
	}
}

// visit goes to a page of the server.
func (v *visitor) visit(path string) {
	v.Helper()
	if status := v.status(path); status != http.StatusOK {
		v.Fatalf("%s: status %d: %s", path, status, v.text("body"))
	}
}

// status goes to a page of the server, whatever it answers.
func (v *visitor) status(path string) int {
	v.Helper()
	status, err := v.tab.Visit(v.home + path)
	check(v, err)
	return status
}

// refused goes to a page of the server that answers with an error, as a page.
func (v *visitor) refused(path string, want int) {
	v.Helper()
	if status := v.status(path); status != want {
		v.Errorf("%s: status %d, not %d: %s", path, status, want, v.text("body"))
	}
	v.expect(chromium.Network)
}

func (v *visitor) until(expression string) {
	v.Helper()
	if err := v.tab.Until(expression); err != nil {
		v.Fatalf("%v\n%s", err, v.text("body"))
	}
}

func (v *visitor) click(selector string) {
	v.Helper()
	check(v, v.tab.Click(selector))
}

func (v *visitor) press(keys string) {
	v.Helper()
	check(v, v.tab.Press(keys))
}

func (v *visitor) show(look chromium.Look) {
	v.Helper()
	check(v, v.tab.Show(look))
}

// eval returns what an expression is on the page.
func eval[T any](v *visitor, expression string) T {
	v.Helper()
	value, err := chromium.Evaluate[T](v.tab, expression)
	if err != nil {
		v.Fatalf("%s: %v", expression, err)
	}
	return value
}

// text is what a person reads in the first element that a selector finds.
func (v *visitor) text(selector string) string {
	v.Helper()
	return eval[string](v, fmt.Sprintf(`document.querySelector(%s)?.innerText ?? "(there is none)"`, quote(selector)))
}

// texts are those of all elements that a selector finds.
func (v *visitor) texts(selector string) []string {
	v.Helper()
	return eval[[]string](v, fmt.Sprintf(`[...document.querySelectorAll(%s)].map(e => e.innerText.trim())`, quote(selector)))
}

func (v *visitor) reads(selector string, parts ...string) {
	v.Helper()
	text := v.text(selector)
	for _, part := range parts {
		if !strings.Contains(text, part) {
			v.Errorf("%s reads %q, without %q", selector, text, part)
		}
	}
}

// quote is a text in the page's language.
func quote(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string can be encoded
	}
	return string(quoted)
}

// newStore makes a store on local files and returns its URL.
func (v *visitor) newStore() string { return fileURL(v.TempDir()) }

func fileURL(dir string) string { return "file://" + filepath.ToSlash(dir) + "?create_dir=true" }

// clock is one that goes on by a minute whenever it is read.
func clock() func() time.Time {
	now := time.Date(2026, 3, 2, 8, 59, 0, 0, time.UTC)
	return func() time.Time {
		now = now.Add(time.Minute)
		return now
	}
}

// fill writes to a store, as a program of its user's would.
func (v *visitor) fill(store string, write func(*immukv.Client[json.RawMessage])) {
	v.Helper()
	opened, err := backend.Open(v.Context(), store)
	check(v, err)
	defer opened.Close()
	db, err := immukv.Open[json.RawMessage](v.Context(), opened, immukv.WithClock(clock()))
	check(v, err)
	write(db)
	check(v, db.Close())
}

// set writes a value, given as JSON.
func (v *visitor) set(db *immukv.Client[json.RawMessage], key, value string) {
	v.Helper()
	_, err := db.Set(v.Context(), key, json.RawMessage(value))
	check(v, err)
}

// run runs the command to its end, and returns what it printed.
func (v *visitor) run(args ...string) string {
	v.Helper()
	out, code := v.exit(args...)
	if code != 0 {
		v.Fatalf("immukv %q: exit code %d: %s", args, code, out)
	}
	return out
}

// exit runs the command to its end, and returns its exit code too.
func (v *visitor) exit(args ...string) (string, int) {
	v.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(v.Context(), v.command, args...)
	cmd.Env = environment()
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); cmd.ProcessState == nil {
		v.Fatal(err)
	}
	if stderr.Len() > 0 {
		v.Logf("immukv %q: %s", args, &stderr)
	}
	return stdout.String(), cmd.ProcessState.ExitCode()
}

// environment is this one without what would change the command's doing.
func environment() []string {
	var env []string
	for _, line := range os.Environ() {
		if !strings.HasPrefix(line, "IMMUKV_") && !strings.HasPrefix(line, "OTEL_") {
			env = append(env, line)
		}
	}
	return env
}

// process is an immukv serve that runs.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	addr string
	done chan error
	stop sync.Once
}

// serve starts immukv serve for a store and lets the visitor go to its pages. When the
// test ends it is interrupted, and must end well, whatever pages are open.
func (v *visitor) serve(store string, args ...string) *process {
	v.Helper()
	p := v.start(store, "127.0.0.1:0", args...)
	v.home = "http://" + p.addr
	v.Cleanup(v.leave)
	return p
}

func (v *visitor) start(store, addr string, args ...string) *process {
	v.Helper()
	args = append([]string{"--store", store, "serve", "--addr", addr, "--poll", "20ms"}, args...)
	p := &process{t: v.T, cmd: exec.Command(v.command, args...), done: make(chan error, 1)}
	p.cmd.Env = environment()
	stderr, err := p.cmd.StderrPipe()
	check(v, err)
	check(v, p.cmd.Start())
	lines := bufio.NewReader(stderr)
	var said strings.Builder
	for p.addr == "" {
		line, err := lines.ReadString('\n')
		said.WriteString(line)
		if err != nil {
			_ = p.cmd.Wait()
			v.Fatalf("immukv %q serves nothing: %s", args, said.String())
		}
		if rest, ok := strings.CutPrefix(line, "serving at http://"); ok {
			p.addr = strings.TrimSuffix(rest, "/\n")
		}
	}
	go func() {
		_, _ = io.Copy(&said, lines)
		p.done <- p.cmd.Wait()
	}()
	v.Cleanup(p.interrupt)
	return p
}

// interrupt ends the server as Ctrl-C does.
func (p *process) interrupt() {
	p.stop.Do(func() {
		_ = p.cmd.Process.Signal(syscall.SIGINT)
		if err := <-p.done; err != nil {
			p.t.Errorf("interrupted, immukv serve ends with %v", err)
		}
	})
}
