package s3test

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"testing"
)

// Omniwitness is a witness of transparency logs. It is in this package because it is
// installed and started like the S3 servers.
var Omniwitness = &Software{
	Name:    "omniwitness",
	Package: "github.com/transparency-dev/witness/cmd/omniwitness",
	Version: "v0.0.0-20260720115447-2e1c6971d19e",
	Binary:  "omniwitness",
}

// Programs lists all programs that the tests need.
var Programs = append(All[:len(All):len(All)], Omniwitness, FakeGCS)

// StartWitness starts a witness on a free port, in a separate process that ends with the
// test, and returns its URL. The files are those of its signing key and of the logs that
// it accepts.
func StartWitness(tb testing.TB, keyFile, logsFile string) string {
	tb.Helper()
	binary := Omniwitness.find(tb)
	home := tb.TempDir()
	for attempt := 1; ; attempt++ {
		port, err := freePort()
		if err != nil {
			tb.Fatal(err)
		}
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		cmd := exec.Command(binary, "--listen", addr, "--metrics_listen", "", "--private_key_path", keyFile, "--additional_logs", logsFile)
		cmd.Env = []string{"HOME=" + home, "TMPDIR=" + os.TempDir(), "PATH=" + os.Getenv("PATH")}
		p, err := launch(cmd, addr, func(ctx context.Context) error { return answersHTTP(ctx, addr) })
		if err == nil {
			tb.Cleanup(p.kill)
			return "http://" + addr
		}
		if attempt == portAttempts {
			tb.Fatal(err)
		}
	}
}

// answersHTTP returns nil if a server at addr answers requests in any way.
func answersHTTP(ctx context.Context, addr string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/", nil)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}
