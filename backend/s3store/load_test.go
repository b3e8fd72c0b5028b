package s3store_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/immukv/immukv-go/backend/s3store/s3test"
)

// The server is killed in the middle of a load and started again: nothing that
// was acknowledged is lost, the rest can be loaded, and the audit is clean.
func TestLoadThroughCrash(t *testing.T) {
	if !long() {
		t.Log("left out: it builds the command and waits for it to give up; set IMMUKV_LONG=1")
		return
	}
	command := buildCommand(t)
	for _, sw := range s3test.All {
		t.Run(sw.Name, func(t *testing.T) {
			t.Parallel()
			testLoadThroughCrash(t, sw, command)
		})
	}
}

func testLoadThroughCrash(t *testing.T, sw *s3test.Software, command string) {
	const lines, before = 300, 100
	server := s3test.Start(t, sw)
	bucket := server.NewBucket(t)
	var all [][]byte
	for i := range lines {
		all = append(all, fmt.Appendf(nil, `{"key":"key-%d","value":"line %d"}`, i%7, i))
	}

	acknowledged := load(t, server, bucket, command, all, func(n int) {
		if n == before {
			server.Kill()
		}
	})
	if len(acknowledged) < before || len(acknowledged) >= lines {
		t.Fatalf("%d lines were acknowledged, of %d with a server killed after %d", len(acknowledged), lines, before)
	}
	server.Restart(t)

	s := open(t, server, bucket)
	log := audited(t, s)
	missing := map[string]bool{string(value(fmt.Sprint("line ", len(acknowledged)))): true} // the one whose outcome was unknown
	checkLog(t, log, acknowledged, missing)

	rest := load(t, server, bucket, command, all[len(acknowledged):], func(int) {})
	if len(acknowledged)+len(rest) != lines {
		t.Fatalf("%d and then %d lines were loaded, of %d", len(acknowledged), len(rest), lines)
	}
	times := make(map[string]int)
	for _, v := range audited(t, s) {
		times[v]++
	}
	for i := range lines {
		v := string(value(fmt.Sprint("line ", i)))
		if n := times[v]; n != 1 && (n != 2 || !missing[v]) {
			t.Errorf("%s is in the log %d times", v, n)
		}
	}
}

// load runs immukv load, calls each for each line that it acknowledges with how
// many there are by then, and returns the values.
func load(t *testing.T, server *s3test.Server, bucket, command string, lines [][]byte, each func(int)) map[string]bool {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), command, "--store", server.StoreURL(bucket), "--json", "load", "-")
	cmd.Env = server.Environ()
	cmd.Stdin = bytes.NewReader(bytes.Join(lines, []byte("\n")))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	acknowledged := make(map[string]bool)
	scan := bufio.NewScanner(out)
	for scan.Scan() {
		var entry struct {
			Value json.RawMessage `json:"value"`
		}
		if err := json.Unmarshal(scan.Bytes(), &entry); err != nil || entry.Value == nil {
			continue // the count at the end
		}
		acknowledged[string(entry.Value)] = true
		each(len(acknowledged))
	}
	_ = cmd.Wait() // it fails when the server is killed; what it acknowledged is what counts
	return acknowledged
}
