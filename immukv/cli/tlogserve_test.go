package cli

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// TestTlogServe serves the tree, on loopback, and nothing else of the store.
func TestTlogServe(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	key := filepath.Join(folder, "key")
	store := []string{"--store", "file://" + filepath.ToSlash(folder) + "/store?create_dir=true"}
	for _, command := range [][]string{{"tlog", "keygen", "x", "--out", key}, {"set", "a", "1"}, {"tlog", "seal", "--key", key}} {
		if r := runHere(t.Context(), "", append(store, command...)...); r.code != 0 {
			t.Fatalf("%v: %s", command, r.stderr)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	said, stderr := io.Pipe()
	done := make(chan int, 1)
	go func() {
		done <- Run(ctx, append(store, "tlog", "serve", "--addr", "127.0.0.1:0"), strings.NewReader(""), io.Discard, stderr)
		_ = stderr.Close()
	}()
	lines := bufio.NewScanner(said)
	if !lines.Scan() {
		t.Fatal("it says nothing")
	}
	base := strings.TrimPrefix(lines.Text(), "serving at ")
	if !strings.HasPrefix(base, "http://127.0.0.1:") {
		t.Fatalf("it says %q", base)
	}
	client := &http.Client{Transport: &http.Transport{}}
	for path, want := range map[string]int{
		"checkpoint": 200, "tile/0/000.p/1": 200, "tile/entries/000.p/1": 200, "tile/0/001": 404, "": 404, "_log.json": 404,
		"keys/a.json": 404, "../_log.json": 404, "tile/../../_log.json": 404, "tile/0/..%2f..%2f_log.json": 404, "tlog/checkpoint": 404,
	} {
		resp, err := client.Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != want || bytes.Contains(body, []byte(`"value"`)) {
			t.Errorf("GET %s: %s\n%s", path, resp.Status, body)
		}
	}
	resp, err := client.Post(base+"checkpoint", "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %s", resp.Status)
	}
	client.CloseIdleConnections()
	cancel()
	for lines.Scan() {
		t.Errorf("it says %q", lines.Text())
	}
	if code := <-done; code != 0 {
		t.Errorf("exit code %d", code)
	}
}
