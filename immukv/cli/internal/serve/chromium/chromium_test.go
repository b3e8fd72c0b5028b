package chromium

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// pages are what the tests visit.
var pages = map[string]string{
	"/good":      `<h1>Good</h1><a href=/next>next</a><script src=/ok.js></script>`,
	"/next":      `<h1>Next</h1>`,
	"/console":   `<script src=/console.js></script>`,
	"/exception": `<script src=/exception.js></script>`,
	"/promise":   `<script src=/promise.js></script>`,
	"/missing":   `<img alt="" src=/nothing.png>`,
	"/inline":    `<script>document.title = "ran"</script>`,
	"/attribute": `<p style="color:red">styled</p>`,
	"/handler":   `<img alt="" src=/nothing.png onerror="document.title = 'ran'">`,
	"/form":      `<input type=text>`,
	"/elsewhere": `<img alt="" src="http://elsewhere.example/x.png">`,
	"/file":      `<a href=/a.txt download>file</a>`,
	"/late":      `<p id=p>early</p><script src=/late.js></script>`,
}

var scripts = map[string]string{
	"/ok.js":        `console.log("nothing to report")`,
	"/console.js":   `console.error("broken", 7)`,
	"/exception.js": `throw new Error("thrown")`,
	"/promise.js":   `Promise.reject(new Error("rejected"))`,
	"/late.js":      `setTimeout(() => { p.textContent = "late" }, 30)`,
}

func serve(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src * data:")
		if script, ok := scripts[r.URL.Path]; ok {
			w.Header().Set("Content-Type", "text/javascript")
			w.Write([]byte(script))
			return
		}
		switch page, ok := pages[r.URL.Path]; {
		case ok:
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Write([]byte("<!doctype html><html lang=en><link rel=icon href=data:,><title>" + r.URL.Path + "</title>" + page))
		case r.URL.Path == "/a.txt":
			w.Header().Set("Content-Disposition", `attachment; filename="a-b.txt"`)
			w.Write([]byte("contents\n"))
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestProblems holds that whatever a page does wrong is seen, and nothing else.
func TestProblems(t *testing.T) {
	b := ForTest(t)
	home := serve(t)
	for _, c := range []struct {
		page string
		want []string // of each problem a part
	}{
		{"/good", nil},
		{"/console", []string{`console: error: "broken" 7`}},
		{"/exception", []string{"exception: ", "thrown"}},
		{"/promise", []string{"exception: ", "rejected"}},
		{"/missing", []string{"network: ", "404", "/nothing.png"}},
		{"/inline", []string{"security: ", "issue: ContentSecurityPolicyIssue"}},
		{"/attribute", []string{"security: ", "issue: ContentSecurityPolicyIssue"}},
		{"/handler", []string{"network: ", "security: ", "issue: ContentSecurityPolicyIssue"}},
		{"/form", []string{"issue: "}},
		{"/elsewhere", []string{"foreign: http://elsewhere.example/x.png"}},
	} {
		t.Run(strings.TrimPrefix(c.page, "/"), func(t *testing.T) {
			t.Parallel()
			tab, err := b.Open(t.Context())
			check(t, err)
			defer tab.Close()
			status, err := tab.Visit(home + c.page)
			check(t, err)
			if status != http.StatusOK {
				t.Errorf("status %d", status)
			}
			problems, err := tab.Problems()
			check(t, err)
			var text strings.Builder
			for _, p := range problems {
				text.WriteString(p.String() + "\n")
			}
			for _, want := range c.want {
				if !strings.Contains(text.String(), want) {
					t.Errorf("no problem is %q:\n%s", want, text.String())
				}
			}
			if c.want == nil && len(problems) > 0 {
				t.Errorf("problems of a good page:\n%s", text.String())
			}
			title, err := Evaluate[string](tab, "document.title")
			check(t, err)
			if title != c.page {
				t.Errorf("the title is %q: a script ran that the policy forbids", title)
			}
			if again, _ := tab.Problems(); len(again) > 0 {
				t.Errorf("they are reported twice: %v", again)
			}
		})
	}
}

// TestTab does what the tests of pages do: it waits, clicks, downloads, and looks.
func TestTab(t *testing.T) {
	b := ForTest(t)
	home := serve(t)
	tab, err := b.Open(t.Context())
	check(t, err)
	defer tab.Close()
	visit := func(path string) int {
		t.Helper()
		status, err := tab.Visit(path)
		check(t, err)
		return status
	}
	t.Run("wait", func(t *testing.T) {
		visit(home + "/late")
		check(t, tab.Until(`p.textContent === "late"`))
	})
	t.Run("follow", func(t *testing.T) {
		visit(home + "/good")
		check(t, tab.Click("a"))
		check(t, tab.Until(`document.title === "/next"`))
		address, err := tab.Address()
		check(t, err)
		if address != home+"/next" {
			t.Errorf("at %s", address)
		}
	})
	t.Run("download", func(t *testing.T) {
		visit(home + "/file")
		name, body, err := tab.Download("a")
		check(t, err)
		if name != "a-b.txt" || string(body) != "contents\n" {
			t.Errorf("downloaded %s: %q", name, body)
		}
	})
	t.Run("status", func(t *testing.T) {
		if status := visit(home + "/none"); status != http.StatusNotFound {
			t.Errorf("status %d", status)
		}
	})
	t.Run("look", func(t *testing.T) {
		check(t, tab.Show(Look{Width: 400, Height: 300, Dark: true, NoScript: true}))
		defer tab.Show(Look{})
		visit(home + "/late")
		sees, err := Evaluate[[]any](tab, `[innerWidth, matchMedia("(prefers-color-scheme: dark)").matches, p.textContent]`)
		check(t, err)
		if want := []any{400.0, true, "early"}; !slices.Equal(sees, want) {
			t.Errorf("the page sees %v, not %v", sees, want)
		}
		picture, err := tab.Picture()
		check(t, err)
		if !strings.HasPrefix(string(picture), "\x89PNG") {
			t.Error("the picture is no PNG")
		}
	})
	t.Run("rebound", func(t *testing.T) {
		foreign := strings.Replace(home, "127.0.0.1", ForeignName, 1)
		if status := visit(foreign + "/good"); status != http.StatusOK {
			t.Errorf("status %d", status)
		}
		if _, err := tab.Visit(strings.Replace(home, "127.0.0.1", "elsewhere.example", 1)); err == nil {
			t.Error("the browser reaches another name")
		}
	})
}

// TestFind looks for the browser where the environment says, then on the path.
func TestFind(t *testing.T) {
	dir := t.TempDir()
	chrome := filepath.Join(dir, "google-chrome")
	check(t, os.WriteFile(chrome, []byte("#!/bin/sh\n"), 0o755))
	find := func(path, named string) (string, error) {
		t.Setenv("PATH", path)
		t.Setenv(PathEnv, named)
		return Find()
	}
	if got, err := find(dir, ""); got != chrome || err != nil {
		t.Errorf("on the path it finds %q, %v", got, err)
	}
	if got, err := find("", chrome); got != chrome || err != nil {
		t.Errorf("as the environment says it finds %q, %v", got, err)
	}
	if _, err := find(dir, filepath.Join(dir, "none")); err == nil || errors.Is(err, ErrNotFound) {
		t.Errorf("what the environment names is not there: %v", err)
	}
	if _, err := os.Stat(programs[len(programs)-1]); err == nil {
		return // this is a Mac that has one where they have it
	}
	if _, err := find(t.TempDir(), ""); !errors.Is(err, ErrNotFound) || strings.Contains(err.Error(), "\n") {
		t.Errorf("with no browser at all: %v", err)
	}
}
