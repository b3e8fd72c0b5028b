package serve

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
)

// TestUntil ends a server while two answers are running. One ends within the grace, and
// is delivered. The other would go on for ever: its connection is closed.
func TestUntil(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		ending := make(chan struct{})
		stuck := make(chan struct{})
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/stuck" {
				<-r.Context().Done() // when its connection is closed
				close(stuck)
				return
			}
			<-ending
			w.WriteHeader(http.StatusTeapot)
		})
		listener := &pipes{make(chan net.Conn), make(chan struct{})}
		served := make(chan error, 1)
		go func() {
			served <- Until(ctx, listener, NewHTTPServer(handler, slog.New(slog.DiscardHandler)), func() { close(ending) })
		}()
		status := func(path string) <-chan int {
			conn := listener.dial()
			got := make(chan int, 1)
			go func() {
				defer conn.Close()
				_, _ = io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n")
				resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					got <- 0
					return
				}
				got <- resp.StatusCode
			}()
			return got
		}
		ends, hangs := status("/"), status("/stuck")
		synctest.Wait()
		cancel()
		if err := <-served; err != nil {
			t.Errorf("it ends with %v", err)
		}
		<-stuck
		if got := <-ends; got != http.StatusTeapot {
			t.Errorf("an answer that ends within the grace has the status %d", got)
		}
		if got := <-hangs; got != 0 {
			t.Errorf("an answer that does not end has the status %d", got)
		}
	})
}
