package serve

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener whose connections are in memory, where time is virtual.
type pipes struct {
	dialled chan net.Conn
	closed  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.dialled:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080} }

func (p *pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	p.dialled <- theirs
	return ours
}

// TestSlowClients opens connections that send or read next to nothing. The server closes
// each, while others are answered.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.set("k", `1`)
		listener := &pipes{make(chan net.Conn), make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- b.server.Serve(ctx, listener) }()
		const head = "GET /log/events?after=0 HTTP/1.1\r\nHost: 127.0.0.1\r\n"
		ends := make(map[string]chan time.Duration)
		open := func(name string, do func(net.Conn)) {
			conn := listener.dial()
			end := make(chan time.Duration, 1)
			ends[name] = end
			began := time.Now()
			go func() {
				do(conn)
				_, _ = io.Copy(io.Discard, conn) // until the server closes it
				end <- time.Since(began)
				_ = conn.Close()
			}()
		}
		open("sends nothing", func(net.Conn) {})
		open("sends half a header", func(conn net.Conn) { _, _ = io.WriteString(conn, head) })
		open("sends a header that grows", func(conn net.Conn) {
			_, _ = io.WriteString(conn, head)
			for i := 0; ; i++ {
				if _, err := io.WriteString(conn, "X-More: and more\r\n"); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		})
		open("sends a body that never ends", func(conn net.Conn) {
			_, _ = io.WriteString(conn, "POST /trust/stop HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n")
			go func() {
				for {
					if _, err := io.WriteString(conn, "1\r\nx\r\n"); err != nil {
						return
					}
					time.Sleep(time.Second)
				}
			}()
		})
		open("asks once, and no more", func(conn net.Conn) {
			_, _ = io.WriteString(conn, "GET /keys HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
		})
		// A reader who reads the beginning of a stream, and nothing of what comes then.
		stuck := listener.dial()
		_, err := io.WriteString(stuck, head+"\r\n")
		b.check(err)
		resp, err := http.ReadResponse(bufio.NewReaderSize(stuck, 16), nil)
		b.check(err)
		if resp.StatusCode != http.StatusOK {
			t.Errorf("a stream: %s", resp.Status)
		}
		// One who reads has the stream for as long as it likes.
		live := listener.dial()
		_, err = io.WriteString(live, head+"\r\n")
		b.check(err)
		came := make(chan int, 1)
		go func() {
			n := 0
			for lines := bufio.NewScanner(live); lines.Scan(); {
				if lines.Text() == "event: entry" {
					n++
				}
			}
			came <- n
		}()
		for range 5 {
			b.set("k", string(compact(strings.Repeat("x", 1000))))
			pass(10 * time.Second)
		}
		if n := b.server.streams.Load(); n != 1 {
			t.Errorf("%d streams are open, and one reader reads", n)
		}
		_ = stuck.Close()

		conn := listener.dial()
		_, err = io.WriteString(conn, "GET /keys HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
		b.check(err)
		page, err := io.ReadAll(conn)
		b.check(err)
		if !strings.Contains(string(page), `id="keys"`) {
			t.Errorf("the page is %s", page)
		}
		pass(10 * time.Minute)
		for name, end := range ends {
			select {
			case took := <-end:
				t.Logf("%s: closed after %v", name, took)
			default:
				t.Errorf("a connection that %s stays open", name)
			}
		}
		// Headers have a limit.
		conn = listener.dial()
		go func() {
			_, _ = io.WriteString(conn, head+"X-Large: "+strings.Repeat("x", 64<<10)+"\r\n\r\n")
		}()
		resp, err = http.ReadResponse(bufio.NewReader(conn), nil)
		b.check(err)
		if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("large headers: %s", resp.Status)
		}
		_ = conn.Close()
		b.set("k", `"the last"`)
		pass(5 * time.Second)
		cancel()
		if n := <-came; n != 6 {
			t.Errorf("%d entries came to the reader who reads", n)
		}
		if err := <-served; err != nil && !errors.Is(err, net.ErrClosed) {
			t.Errorf("serve: %v", err)
		}
	})
}

// TestSlowReaders has many clients ask for pages and read nothing of the answers. Others
// are answered meanwhile: a page that is being sent is no page that is being read. This
// holds up to a number of bytes, so that slow readers cannot fill the memory.
func TestSlowReaders(t *testing.T) {
	t.Parallel()
	for _, full := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, nil)
			for i := range keysPerPage {
				b.set(fmt.Sprint("k", i), `1`)
			}
			listener := &pipes{make(chan net.Conn), make(chan struct{})}
			ctx, cancel := context.WithCancel(t.Context())
			served := make(chan error, 1)
			go func() { served <- b.server.Serve(ctx, listener) }()
			if full {
				b.server.sending.Store(maxSending)
			}
			for range 2 * maxPages {
				conn := listener.dial()
				defer conn.Close()
				_, err := io.WriteString(conn, "GET /keys HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
				b.check(err)
			}
			synctest.Wait()
			a := b.do("GET", "/keys")
			if full {
				if a.status != http.StatusServiceUnavailable {
					t.Errorf("slow readers have all the memory that there is for them, and a page has the status %d", a.status)
				}
			} else if a.status != http.StatusOK {
				t.Errorf("beside slow readers, a page has the status %d", a.status)
			}
			pass(5 * time.Minute) // until they had their time
			want := int64(0)
			if full {
				want = maxSending
			}
			if n := b.server.sending.Load(); n != want {
				t.Errorf("%d bytes are being sent to nobody", n-want)
			}
			b.get("/keys").reads("#keys", "k0")
			cancel()
			if err := <-served; err != nil && !errors.Is(err, net.ErrClosed) {
				t.Errorf("serve: %v", err)
			}
		})
	}
}
