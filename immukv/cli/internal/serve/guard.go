package serve

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
)

// guard decides which requests are answered. A browser carries the requests of every
// page that its user has open, also to servers on loopback. So a request must be meant
// for this server by name (a name that an attacker's DNS lets point here is another), and
// must not be made by the page of another site.
type guard struct {
	names map[string]bool // as Host headers have them, in lower case and without port
	// anyIP: the server listens on all addresses, whatever they are. A Host that is an IP
	// address needs no DNS, which therefore cannot lie about it.
	anyIP bool
}

// ErrInvalidHost means that a name of Config.Hosts is not the name of a host.
var ErrInvalidHost = errors.New("invalid host")

var validName = regexp.MustCompile(`^[a-z0-9_-]+(\.[a-z0-9_-]+)*$`)

// newGuard makes a guard for a server that listens on an address.
func newGuard(addr string, hosts []string) (*guard, error) {
	g := &guard{names: map[string]bool{"localhost": true}}
	for _, host := range hosts {
		name := hostName(host)
		if _, err := netip.ParseAddr(name); err != nil && !validName.MatchString(name) || strings.Contains(host, "/") {
			return nil, fmt.Errorf("%w: %q is not the name of a host", ErrInvalidHost, host)
		}
		g.names[name] = true
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = addr
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case addr == "":
	case host == "", err == nil && ip.IsUnspecified():
		g.anyIP = true
	default:
		g.names[hostName(host)] = true
	}
	return g, nil
}

// Loopback reports whether only this machine can reach the address of a listener.
func Loopback(addr net.Addr) bool {
	at, err := netip.ParseAddrPort(addr.String())
	return err == nil && at.Addr().Unmap().IsLoopback()
}

// hostName is the name in a Host header, without its port.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

func (g *guard) knows(host string) bool {
	name := hostName(host)
	if g.names[name] {
		return true
	}
	ip, err := netip.ParseAddr(name)
	return err == nil && (g.anyIP || ip.Unmap().IsLoopback())
}

// contentPolicy is what a page may load and do: nothing but what this server has.
// The script makes no markup out of text, and the browser holds it to that.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// check sets the headers that every answer has, and returns why a request is not
// answered, or nil.
func (g *guard) check(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	h.Set("Content-Security-Policy", contentPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Embedder-Policy", "require-corp")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	h.Set("Cache-Control", "no-store")
	switch {
	case !g.knows(r.Host):
		return &problem{http.StatusMisdirectedRequest, "This server does not answer to that name", "The request names a host that is not a name of this server. If it should be one, start the server with --host."}
	case !allowed(r):
		h.Set("Allow", "GET, HEAD")
		return &problem{http.StatusMethodNotAllowed, "Method not allowed", "This server is read only."}
	case !fromHere(r):
		return &problem{http.StatusForbidden, "The request came from another site", "Pages of other sites may only link to this server."}
	}
	return nil
}

// allowed reports whether a request has a method that this server answers. The only POST
// starts and stops verifications.
func allowed(r *http.Request) bool {
	return r.Method == http.MethodGet || r.Method == http.MethodHead ||
		r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, "/trust/")
}

// fromHere reports whether a request was made by a page of this server or by its user. A
// page of another site may only link to this server.
//
// Browsers send Sec-Fetch-Site over HTTPS and to loopback, and no script can set it. It
// says what the browser saw, also behind a proxy that changes Host. A name that an
// attacker's DNS lets point here is of its own origin for the browser; but it is no
// loopback name and has no certificate, so that the header is absent. Then Origin decides:
// browsers send it with every POST, and with every GET whose answer a page wants to read.
// A program sends neither.
func fromHere(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "":
	case "same-origin", "none":
		return true
	default:
		return r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document" &&
			!strings.HasSuffix(r.URL.Path, "/events")
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	_, host, ok := strings.Cut(origin, "://")
	return ok && strings.EqualFold(host, r.Host)
}
