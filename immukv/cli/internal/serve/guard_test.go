package serve

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

// TestHosts answers requests that name this server, and no others: a name that an
// attacker owns may lead here, and its pages could read the answers.
func TestHosts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		addr     string
		hosts    []string
		yes, not []string
	}{
		{"127.0.0.1:8080", nil,
			[]string{"127.0.0.1:8080", "127.0.0.1", "localhost:8080", "LocalHost", "localhost.", "[::1]:8080", "[::1]", "127.9.9.9:1", "[::ffff:127.0.0.1]:8080"},
			[]string{"", "rebound.example", "rebound.example:8080", "127.0.0.1.nip.io", "localhost.rebound.example", "xlocalhost", "10.0.0.7", "0.0.0.0:8080", "[2001:db8::1]:8080", "127.0.0.1:8080:9", "a b"}},
		{"localhost:0", nil, []string{"localhost", "127.0.0.1"}, []string{"rebound.example", "10.0.0.7"}},
		{"", nil, []string{"localhost"}, []string{"10.0.0.7", "rebound.example"}},
		{"10.0.0.7:80", nil, []string{"10.0.0.7", "10.0.0.7:80", "localhost:8080"}, []string{"10.0.0.8", "rebound.example"}},
		{"calibration.example:80", nil, []string{"calibration.example", "Calibration.Example.:80"}, []string{"rebound.example", "10.0.0.7"}},
		{":8080", nil, []string{"10.0.0.7:8080", "[2001:db8::1]:8080", "localhost"}, []string{"rebound.example", "calibration.example"}},
		{"0.0.0.0:8080", []string{"Calibration.example", "proxy:443"}, []string{"10.0.0.7", "calibration.example:8080", "proxy"}, []string{"rebound.example"}},
		{"[::]:8080", nil, []string{"10.0.0.7", "[2001:db8::1]"}, []string{"rebound.example"}},
	} {
		b := newBench(t, func(config *Config) { config.Name, config.Addr, config.Hosts = "file:///secret", c.addr, c.hosts })
		b.set("k", `"secret"`)
		for _, host := range c.yes {
			if a := b.do("GET", "/keys", "Host", host); a.status != http.StatusOK {
				t.Errorf("listening on %q, Host %q: %d", c.addr, host, a.status)
			}
		}
		for _, host := range c.not {
			for _, path := range everyPath {
				a := b.do("GET", path, "Host", host)
				if a.status != http.StatusMisdirectedRequest || strings.Contains(string(a.body), "secret") {
					t.Errorf("listening on %q, Host %q, %s: %d", c.addr, host, path, a.status)
				}
			}
		}
	}
	for _, hosts := range [][]string{{""}, {":80"}, {"http://calibration.example"}, {"a b"}, {"*"}, {"a..b"}} {
		if _, err := newGuard("127.0.0.1:8080", hosts); err == nil {
			t.Errorf("a guard for %q", hosts)
		}
	}
}

// TestOtherSites answers requests that a page of another site made only if they lead the
// user to a page here.
func TestOtherSites(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.set("k", `1`)
	b.set("k", `2`)
	b.seal()
	for _, c := range []struct {
		name   string
		header []string
		get    bool // pages are answered
		stream bool
		post   bool
	}{
		{"a program", nil, true, true, true},
		{"the user", []string{"Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, true, true, true},
		{"a page here", []string{"Sec-Fetch-Site", "same-origin", "Origin", "http://127.0.0.1:8080"}, true, true, true},
		{"a page here, by way of a proxy that changes Host", []string{"Sec-Fetch-Site", "same-origin", "Origin", "https://calibration.example"}, true, true, true},
		{"a page elsewhere, by way of such a proxy", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty", "Origin", "http://127.0.0.1:8080"}, false, false, false},
		{"a page here, as a browser of old", []string{"Origin", "http://127.0.0.1:8080"}, true, true, true},
		{"a link elsewhere", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, true, false, false},
		{"a form elsewhere", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Origin", "http://elsewhere.example"}, true, false, false},
		{"a frame elsewhere", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}, false, false, false},
		{"an image elsewhere", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"}, false, false, false},
		{"a script elsewhere", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty", "Origin", "http://elsewhere.example"}, false, false, false},
		{"a script on another port", []string{"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty", "Origin", "http://127.0.0.1:9090"}, false, false, false},
		{"a script elsewhere, as a browser of old", []string{"Origin", "http://elsewhere.example"}, false, false, false},
		{"a script on another port, as a browser of old", []string{"Origin", "http://127.0.0.1:9090"}, false, false, false},
		{"a page in a sandbox", []string{"Origin", "null"}, false, false, false},
	} {
		answered := func(method, path string, want bool) {
			t.Helper()
			a := b.do(method, path, c.header...)
			if got := a.status < 400; got != want || !want && a.status != http.StatusForbidden {
				t.Errorf("%s, %s %s: %d", c.name, method, path, a.status)
			}
		}
		for _, path := range everyPath {
			answered("GET", path, c.get)
		}
		answered("GET", "/trust/events", c.stream)
		answered("HEAD", "/log/events?after=0", c.stream)
		for _, path := range []string{"/trust/verify", "/trust/audit", "/trust/stop"} {
			before := b.server.jobs.newest()
			answered("POST", path, c.post)
			if begun := b.server.jobs.newest() != before; begun && !c.post {
				t.Errorf("%s: a verification began", c.name)
			}
		}
	}
}

// TestHeaders finds what holds a browser to the rules on every answer, errors among them.
func TestHeaders(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.set("k", `1`)
	b.set("k", `2`)
	b.seal()
	answers := []*answer{
		b.do("GET", "/"), b.do("GET", "/nothing"), b.do("GET", "/key?key=nothing"), b.do("GET", "/keys", "Host", "rebound.example"),
		b.do("GET", "/keys", "Origin", "http://elsewhere.example"), b.do("PUT", "/keys"), b.do("POST", "/trust/verify"), b.do("HEAD", "/log/events?after=0"),
		b.do("GET", "/log/events"), b.do("GET", "/static/nothing"), b.do("GET", "/static/"), b.do("GET", "//elsewhere.example/%2e%2e"), b.do("GET", "/trust/events"),
	}
	for _, path := range everyPath {
		answers = append(answers, b.do("GET", path), b.do("HEAD", path))
	}
	for _, a := range answers {
		policy := a.header.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'", "require-trusted-types-for 'script'"} {
			if !strings.Contains(policy, part) {
				t.Errorf("%s: the content policy lacks %s", a.path, part)
			}
		}
		if strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") || strings.Contains(policy, "*") || strings.Contains(policy, "data:") {
			t.Errorf("%s: the content policy is %s", a.path, policy)
		}
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
			"X-Frame-Options": "DENY", "Cache-Control": "no-store", "Access-Control-Allow-Origin": "", "Set-Cookie": "", "Refresh": "",
		} {
			if got := a.header.Get(name); got != want {
				t.Errorf("%s: %s is %q", a.path, name, got)
			}
		}
		want := "no-referrer"
		if strings.HasSuffix(a.path, " /trust") {
			want = "same-origin"
		}
		if got := a.header.Get("Referrer-Policy"); got != want {
			t.Errorf("%s: Referrer-Policy is %q", a.path, got)
		}
		if got := a.header.Get("Content-Type"); got == "" && a.status != http.StatusSeeOther || strings.HasPrefix(got, "text/") && !strings.Contains(got, "charset=utf-8") {
			t.Errorf("%s: its type is %q", a.path, got)
		}
	}
}

// TestMethods answers GET and HEAD, and POST where it starts or stops a verification.
func TestMethods(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.set("k", `1`)
	for _, path := range everyPath {
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"} {
			if a := b.do(method, path); a.status != http.StatusMethodNotAllowed {
				t.Errorf("%s: %d", a.path, a.status)
			}
		}
	}
	for _, path := range []string{"/trust/verify", "/trust/audit", "/trust/stop"} {
		for _, method := range []string{"GET", "HEAD", "PUT", "DELETE"} {
			if a := b.do(method, path); a.status < 400 {
				t.Errorf("%s: %d", a.path, a.status)
			}
		}
	}
	for path, want := range map[string]int{"/": 303, "/nothing": 404, "/keys/": 404, "/static/../server.go": 307, "/static/style.css/": 404, "/tlog/checkpoint": 404, "/_log.json": 404} {
		if a := b.do("GET", path); a.status != want {
			t.Errorf("%s: %d, want %d", path, a.status, want)
		}
	}
}

func TestLoopback(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]bool{
		"127.0.0.1:80": true, "[::1]:80": true, "127.1.2.3:80": true, "[::ffff:127.0.0.1]:80": true,
		"0.0.0.0:80": false, "[::]:80": false, "10.0.0.7:80": false, "[fe80::1%eth0]:80": false,
	} {
		tcp := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr))
		if got := Loopback(tcp); got != want {
			t.Errorf("%v: %t", tcp, got)
		}
	}
	if Loopback(&net.UnixAddr{Name: "/run/serve", Net: "unix"}) {
		t.Error("a file is loopback")
	}
}
