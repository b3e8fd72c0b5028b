package cli

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/immukv/immukv-go/backend/s3store/s3test"
)

// pages is an immukv serve that runs as a process of its own.
type pages struct {
	t      *testing.T
	cmd    *exec.Cmd
	said   []string // before it served
	stderr *bufio.Reader
	home   string
	client *http.Client
}

func startPages(t *testing.T, env []string, args ...string) *pages {
	t.Helper()
	return startPagesIn(t, "", env, args...)
}

// startPagesIn starts it in a folder.
func startPagesIn(t *testing.T, folder string, env []string, args ...string) *pages {
	t.Helper()
	p := &pages{t: t, client: &http.Client{Transport: &http.Transport{}}}
	p.cmd = exec.CommandContext(t.Context(), "immukv", append([]string{"serve"}, args...)...)
	p.cmd.Env, p.cmd.Dir = env, folder
	stderr, err := p.cmd.StderrPipe()
	check(t, err)
	check(t, p.cmd.Start())
	t.Cleanup(func() {
		p.client.CloseIdleConnections()
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	})
	p.stderr = bufio.NewReader(stderr)
	for p.home == "" {
		line, err := p.stderr.ReadString('\n')
		if err != nil {
			t.Fatalf("it says %q and ends", append(p.said, line))
		}
		line = strings.TrimSuffix(line, "\n")
		if home, ok := strings.CutPrefix(line, "serving at "); ok {
			p.home = strings.TrimSuffix(home, "/")
		} else {
			p.said = append(p.said, line)
		}
	}
	return p
}

// get reads a page that there is.
func (p *pages) get(path string) string {
	p.t.Helper()
	resp, err := p.client.Get(p.home + path)
	check(p.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	check(p.t, err)
	if resp.StatusCode != http.StatusOK {
		p.t.Errorf("%s: %s\n%s", path, resp.Status, body)
	}
	return string(body)
}

// end sends a signal and returns the exit code, and what it said until then.
func (p *pages) end(signal os.Signal) (code int, said string) {
	p.t.Helper()
	check(p.t, p.cmd.Process.Signal(signal))
	rest, err := io.ReadAll(p.stderr)
	check(p.t, err)
	_ = p.cmd.Wait() // the state says more
	return p.cmd.ProcessState.ExitCode(), string(rest)
}

// runWith runs a command on the same store.
func runWith(t *testing.T, env []string, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "immukv", args...)
	cmd.Env, cmd.Stdin = env, strings.NewReader(stdin)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		t.Fatalf("immukv %s: %v: %s", strings.Join(args, " "), err, exit.Stderr)
	}
	check(t, err)
	return string(out)
}

// TestServePages shows stores of every kind that has a server here, with a live page on
// which an entry of another process arrives, a proof that the command checks, and an end
// in good order while pages are open.
func TestServePages(t *testing.T) {
	t.Parallel()
	servePages := func(t *testing.T, env []string) {
		env = append(env, "IMMUKV_PREFIX=plant-7/")
		key := filepath.Join(t.TempDir(), "key")
		verifier := strings.TrimSpace(runWith(t, env, "", "tlog", "keygen", "example.com/plant-7", "--out", key))
		runWith(t, env, "", "set", "sensor-7", `{"alpha":1}`)
		runWith(t, env, "", "set", "sensor-7", `{"alpha":2}`)
		runWith(t, env, "", "tlog", "seal", "--key", key)
		p := startPages(t, env, "--addr", "127.0.0.1:0", "--verifier", verifier, "--poll", "10ms")
		for path, want := range map[string]string{
			"/": "sensor-7", "/keys?prefix=sens": "plant-7/", "/key?key=sensor-7": `<del>1</del>`, "/log?sequence=0": "sensor-7", "/log?date=2030-01-01": "sensor-7",
			"/trust": "Its signature was checked", "/key/value?key=sensor-7&sequence=0": `{"alpha":1}`,
		} {
			if page := p.get(path); !strings.Contains(page, want) {
				t.Errorf("%s lacks %s:\n%s", path, want, page)
			}
		}
		proof := p.get("/key/proof?key=sensor-7&sequence=1")
		if out := runWith(t, env, proof, "tlog", "check", "-", "--verifier", verifier); !strings.Contains(out, `{"alpha":2}`) {
			t.Errorf("the proof proves %s", out)
		}

		resp, err := p.client.Get(p.home + "/log/events?after=1")
		check(t, err)
		defer resp.Body.Close()
		live := bufio.NewReader(resp.Body)
		runWith(t, env, "", "set", "sensor-7", `"arrives"`)
		for {
			line, err := live.ReadString('\n')
			check(t, err)
			if strings.HasPrefix(line, `data: {"sequence":2,`) {
				if !strings.Contains(line, "arrives") {
					t.Errorf("the stream has %s", line)
				}
				break
			}
		}
		post, err := p.client.PostForm(p.home+"/trust/audit", url.Values{})
		check(t, err)
		_ = post.Body.Close()
		if !strings.HasSuffix(post.Request.URL.Path, "/trust") || post.StatusCode != http.StatusOK {
			t.Errorf("an audit leads to %s: %s", post.Request.URL, post.Status)
		}
		progress, err := p.client.Get(p.home + "/trust/events")
		check(t, err)
		events, err := io.ReadAll(progress.Body) // until the audit has ended
		check(t, err)
		_ = progress.Body.Close()
		if page := p.get("/trust"); !strings.Contains(string(events), "event: done") || !strings.Contains(page, "Audit: valid") {
			t.Errorf("the audit has the events\n%s\nand the page\n%s", events, page)
		}
		// With the stream still open.
		if code, said := p.end(syscall.SIGTERM); code != exitDone || said != "" || len(p.said) > 0 {
			t.Errorf("exit code %d: it said %q, and %q", code, p.said, said)
		}
		if _, err := io.ReadAll(live); err != nil {
			t.Errorf("the stream was cut off: %v", err)
		}
	}
	t.Run("files", func(t *testing.T) {
		t.Parallel()
		servePages(t, append(os.Environ(), "IMMUKV_STORE="+fileURL(filepath.Join(t.TempDir(), "store"))))
	})
	for _, software := range s3test.All {
		t.Run(software.Name, func(t *testing.T) {
			t.Parallel()
			server := s3test.Start(t, software)
			servePages(t, append(server.Environ(), "IMMUKV_STORE="+server.StoreURL(server.NewBucket(t))))
		})
	}
}

// TestServeElsewhere says what it means to listen on other addresses than loopback, and
// answers to the names that it was told.
func TestServeElsewhere(t *testing.T) {
	t.Parallel()
	env := append(os.Environ(), "IMMUKV_PREFIX=", "IMMUKV_STORE=mem://")
	p := startPages(t, env, "--addr", ":0", "--host", "calibration.example")
	if said := strings.Join(p.said, "\n"); !strings.Contains(said, "other machines can reach") || !strings.Contains(said, "every key and value") || !strings.Contains(said, "127.0.0.1:8080") {
		t.Errorf("it says %q", said)
	}
	_, port, ok := strings.Cut(strings.TrimPrefix(p.home, "http://[::]"), ":")
	if !ok {
		t.Fatalf("it serves at %s", p.home)
	}
	p.home = "http://127.0.0.1:" + port
	for host, want := range map[string]int{"127.0.0.1:" + port: 200, "10.0.0.7": 200, "calibration.example": 200, "rebound.example": 421} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.home+"/keys", nil)
		check(t, err)
		r.Host = host
		resp, err := p.client.Do(r)
		check(t, err)
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("Host %s: %s", host, resp.Status)
		}
	}
	if code, _ := p.end(os.Interrupt); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

// TestServeUsage refuses command lines that make no sense, before it listens.
func TestServeUsage(t *testing.T) {
	t.Parallel()
	taken := startPages(t, append(os.Environ(), "IMMUKV_PREFIX=", "IMMUKV_STORE=mem://"), "--addr", "127.0.0.1:0")
	for _, c := range []struct {
		code int
		want string
		args []string
	}{
		{exitUsage, "unexpected argument", []string{"x"}},
		{exitUsage, "not positive", []string{"--read-timeout", "0s"}},
		{exitUsage, "not positive", []string{"--poll", "-1s"}},
		{exitUsage, "--verifier KEY is missing", []string{"--state", "x"}},
		{exitUsage, "verifier key", []string{"--verifier", "x"}},
		{exitUsage, "invalid host", []string{"--host", ""}},
		{exitUsage, "invalid host", []string{"--host", "https://calibration.example"}},
		{exitFailed, "listen", []string{"--addr", "nowhere"}},
		{exitFailed, "address already in use", []string{"--addr", strings.TrimPrefix(taken.home, "http://")}},
	} {
		r := runHere(t.Context(), "", append([]string{"--store", "mem://", "serve"}, c.args...)...)
		if r.code != c.code || !strings.Contains(r.stderr, c.want) {
			t.Errorf("serve %q: exit code %d: %s", c.args, r.code, r.stderr)
		}
	}
	if code, _ := taken.end(syscall.SIGTERM); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}
