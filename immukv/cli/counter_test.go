package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/immukv/immukv-go/backend"
	_ "github.com/immukv/immukv-go/backend/blobstore"
	"github.com/immukv/immukv-go/backend/s3store/s3test"
	"github.com/immukv/immukv-go/immukv"
)

// raise is a process that raises the counter of a store as often as its argument says.
func raise() {
	if err := raiseCounter(context.Background(), os.Getenv("IMMUKV_STORE"), os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func raiseCounter(ctx context.Context, url, times string) error {
	n, err := strconv.Atoi(times)
	if err != nil {
		return err
	}
	store, err := backend.Open(ctx, url)
	if err != nil {
		return err
	}
	defer store.Close()
	db, err := immukv.Open[int](ctx, store)
	if err != nil {
		return err
	}
	defer db.Close()
	for range n {
		if _, err := db.Update(ctx, "counter", func(old immukv.Entry[int], _ bool) (int, error) { return old.Value + 1, nil }); err != nil {
			return err
		}
	}
	return nil
}

// raiseInShell does the same with the command. A shell that has lost waits before it tries
// again, at random, and up to twice as long after each loss in a row: most attempts of
// shells that never wait are lost.
const raiseInShell = `
lost=0
random=$$
for i in $(seq $1); do
	wait=100
	while true; do
		entry=$(immukv --json get counter --consistent 2>/dev/null)
		case $? in
		0) set -- $(echo "$entry" | sed 's/.*"value":\([0-9]*\),"sequence":\([0-9]*\),.*/\1 \2/') ;;
		3) set -- ;;
		*) exit 1 ;;
		esac
		if [ $# = 2 ]; then
			immukv set counter $(($1 + 1)) --if-sequence $2 >/dev/null 2>error.$$
		else
			immukv set counter 1 --if-absent >/dev/null 2>error.$$
		fi
		case $? in
		0) break ;;
		5)
			lost=$((lost + 1))
			random=$(((random * 1103515245 + 12345) % 2147483648))
			ms=$((random / 65536 % wait))
			sleep $((ms / 1000)).$(printf %03d $((ms % 1000)))
			[ $wait -gt 6000 ] || wait=$((wait * 2))
			;;
		*) cat error.$$ >&2; exit 1 ;;
		esac
	done
done
echo $lost
`

// onStores runs a test on local files and on every S3 server, each of which it gives a
// store that is its own, as the environment of a process.
func onStores(t *testing.T, test func(t *testing.T, env []string)) {
	t.Run("files", func(t *testing.T) {
		t.Parallel()
		test(t, append(os.Environ(), "IMMUKV_PREFIX=", "IMMUKV_STORE="+fileURL(filepath.Join(t.TempDir(), "store"))))
	})
	for _, software := range s3test.All {
		t.Run(software.Name, func(t *testing.T) {
			t.Parallel()
			server := s3test.Start(t, software)
			test(t, append(server.Environ(), "IMMUKV_PREFIX=", "IMMUKV_STORE="+server.StoreURL(server.NewBucket(t))))
		})
	}
}

// wantCount fails unless the counter has been raised one by one as often as it says, by
// entries of the log that an audit finds nothing wrong with.
func wantCount(t *testing.T, env []string, want int) {
	t.Helper()
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "immukv", args...)
		cmd.Env = env
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("immukv %s: %v: %s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	run("audit")
	n := want
	for line := range strings.Lines(run("--json", "history", "counter")) {
		var e entryJSON
		check(t, json.Unmarshal([]byte(line), &e))
		if string(e.Value) != strconv.Itoa(n) {
			t.Fatalf("sequence %d has %s, and the one after it %d", e.Sequence, e.Value, n+1)
		}
		n--
	}
	if n != 0 {
		t.Errorf("the counter is at %d and was raised %d times", want, want-n)
	}
}

// TestSixteenCounters has processes raise one counter at the same time, through the
// library.
func TestSixteenCounters(t *testing.T) {
	t.Parallel()
	processes, each := 4, 10
	if long() {
		processes, each = 16, 50
	}
	onStores(t, func(t *testing.T, env []string) {
		start := time.Now()
		runAll(t, processes, func() *exec.Cmd { return exec.CommandContext(t.Context(), "raise", strconv.Itoa(each)) }, env)
		wantCount(t, env, processes*each)
		t.Logf("%d processes raised the counter %d times each in %.1f s", processes, each, time.Since(start).Seconds())
	})
}

// TestSixteenShells has shells raise it with get and set --if-sequence. Each attempt is two
// processes and most are lost, so that only IMMUKV_FULL has them raise it as often.
func TestSixteenShells(t *testing.T) {
	needLong(t)
	t.Parallel()
	const shells = 16
	each := 3
	if os.Getenv("IMMUKV_FULL") == "1" {
		each = 50
	}
	onStores(t, func(t *testing.T, env []string) {
		dir := t.TempDir()
		start := time.Now()
		lost := 0
		for _, out := range runAll(t, shells, func() *exec.Cmd {
			cmd := exec.CommandContext(t.Context(), "sh", "-c", raiseInShell, "sh", strconv.Itoa(each))
			cmd.Dir = dir
			return cmd
		}, env) {
			n, err := strconv.Atoi(strings.TrimSpace(out))
			check(t, err)
			lost += n
		}
		wantCount(t, env, shells*each)
		t.Logf("%d shells raised the counter %d times each in %.1f s, in %d attempts", shells, each, time.Since(start).Seconds(), shells*each+lost)
		if lost == 0 {
			t.Error("no condition failed: the test has lost its aim")
		}
	})
}

// runAll runs processes at the same time and returns what each printed.
func runAll(t *testing.T, n int, command func() *exec.Cmd, env []string) []string {
	t.Helper()
	outs := make([]string, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			cmd := command()
			cmd.Env = env
			var stderr strings.Builder
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if err != nil {
				t.Errorf("process %d: %v: %s", i, err, &stderr)
			}
			outs[i] = string(out)
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return outs
}
