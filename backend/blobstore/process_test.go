package blobstore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/blobstore"
	"github.com/immukv/immukv-go/conformance"
)

// roles are what the test binary does, in a process of its own, if told so by
// the environment. Each gets the directory of a store.
var roles = map[string]func(dir string) error{
	"contend": contend,
	"hold":    hold,
	"write":   writeForever,
	"conform": func(dir string) error {
		s, err := blobstore.OpenDir(dir)
		if err != nil {
			return err
		}
		return conformance.Work(context.Background(), s)
	},
}

const (
	roleVar = "BLOBSTORE_TEST_ROLE"
	dirVar  = "BLOBSTORE_TEST_DIR"
)

func TestMain(m *testing.M) {
	if role, ok := roles[os.Getenv(roleVar)]; ok {
		if err := role(os.Getenv(dirVar)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// child is a process that plays a role.
type child struct {
	*exec.Cmd
	out *bufio.Scanner
}

func start(t *testing.T, role, dir string) *child {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVar+"="+role, dirVar+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return &child{cmd, bufio.NewScanner(out)}
}

// kill ends the process as power failures and kill -9 do, with no last word.
func (c *child) kill(t *testing.T) {
	t.Helper()
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
}

// contenders and contentions are how many processes write how many versions each.
const contenders, contentions = 4, 25

// contend writes versions of object o against other processes, each upon the
// newest that it sees, and prints those that were acknowledged.
func contend(dir string) error {
	ctx := context.Background()
	s, err := blobstore.OpenDir(dir)
	if err != nil {
		return err
	}
	for wrote := 0; wrote < contentions; {
		cond := backend.IfAbsent()
		if head, err := s.Head(ctx, "o"); err == nil {
			cond = backend.IfMatch(head.ETag)
		} else if !errors.Is(err, backend.ErrNotFound) {
			return err
		}
		body := fmt.Sprintf("%d of process %d", wrote, os.Getpid())
		v, err := s.Put(ctx, "o", []byte(body), cond)
		switch {
		case err == nil:
			fmt.Printf("%s %s\n", v.ID, body)
			wrote++
		case !errors.Is(err, backend.ErrPreconditionFailed):
			return err
		}
	}
	return nil
}

// TestProcessesContend is S3 between processes.
func TestProcessesContend(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var children []*child
	for range contenders {
		children = append(children, start(t, "contend", dir))
	}
	acknowledged := make(map[string]string)
	for _, c := range children {
		for c.out.Scan() {
			id, body, _ := strings.Cut(c.out.Text(), " ")
			if other, taken := acknowledged[id]; taken {
				t.Errorf("%s was acknowledged for %q and for %q", id, other, body)
			}
			acknowledged[id] = body
		}
		if err := c.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	mustHold(t, dir, acknowledged)
	if len(acknowledged) != contenders*contentions {
		t.Errorf("%d writes were acknowledged", len(acknowledged))
	}
}

// mustHold checks that object o of a store has the versions that were
// acknowledged, with their bodies, and contiguous numbers. It returns the newest,
// which may be one that was not.
func mustHold(t *testing.T, dir string, acknowledged map[string]string) backend.Version {
	t.Helper()
	s, err := blobstore.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	page, err := s.ListVersions(t.Context(), "o", backend.VersionsRequest{})
	if err != nil || page.Next != "" {
		t.Fatal("the test is for one page of versions", err)
	}
	held := make(map[string]string)
	for _, v := range page.Versions {
		o, err := s.GetVersion(t.Context(), "o", v.ID)
		if err != nil {
			t.Fatal(err)
		}
		held[string(v.ID)] = string(o.Body)
	}
	for id, body := range acknowledged {
		if held[id] != body {
			t.Errorf("%s: %.40q of %d bytes was acknowledged, and there is %.40q of %d", id, body, len(body), held[id], len(held[id]))
		}
	}
	if len(page.Versions) == 0 {
		t.Fatal("there is no version")
	}
	return page.Versions[0]
}

// hold takes the lock of the store, says so, and keeps it.
func hold(dir string) error {
	if err := flock.New(filepath.Join(dir, "_lock")).Lock(); err != nil {
		return err
	}
	fmt.Println("held")
	_, err := io.Copy(io.Discard, os.Stdin) // until it is killed
	if err == nil {
		select {}
	}
	return err
}

// TestKilledHolder: a lock goes with the process that holds it.
func TestKilledHolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	holder := start(t, "hold", dir)
	if !holder.out.Scan() {
		t.Fatal("the lock was not taken", holder.out.Err())
	}
	s, err := blobstore.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.Put(ctx, "o", nil, backend.IfAbsent()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a write against a lock held elsewhere: %v", err)
	}
	waiting := make(chan error)
	go func() {
		_, err := s.Put(t.Context(), "o", nil, backend.IfAbsent())
		waiting <- err
	}()
	holder.kill(t)
	if err := <-waiting; err != nil {
		t.Errorf("a write after the holder was killed: %v", err)
	}
}

// killedBody is large enough for a writer to be killed in the middle of it.
func killedBody(id string) string { return strings.Repeat(id+" ", 100_000) }

// writeForever writes versions of object o, large ones, and prints those that
// were acknowledged.
func writeForever(dir string) error {
	ctx := context.Background()
	s, err := blobstore.OpenDir(dir)
	if err != nil {
		return err
	}
	cond, number := backend.IfAbsent(), 1
	if head, err := s.Head(ctx, "o"); err == nil {
		cond = backend.IfMatch(head.ETag)
		last, err := strconv.Atoi(strings.TrimPrefix(string(head.ID), "v"))
		if err != nil {
			return err
		}
		number = last + 1
	} else if !errors.Is(err, backend.ErrNotFound) {
		return err
	}
	for ; ; number++ {
		v, err := s.Put(ctx, "o", []byte(killedBody(fmt.Sprint("v", number))), cond)
		if err != nil {
			return err
		}
		fmt.Println(v.ID)
		cond = backend.IfMatch(v.ETag)
	}
}

// TestKilledWriters kills writers at any moment (S5, S6): after each, all that was
// acknowledged is there, nothing is there in part, and the next can write.
func TestKilledWriters(t *testing.T) {
	t.Parallel()
	rounds := 12
	if os.Getenv("IMMUKV_LONG") == "1" {
		rounds = 100
	}
	dir := t.TempDir()
	acknowledged := make(map[string]string)
	interrupted := 0
	for round := range rounds {
		writer := start(t, "write", dir)
		for range 1 + round%3 {
			if !writer.out.Scan() {
				t.Fatal("a writer gave up")
			}
			acknowledged[writer.out.Text()] = killedBody(writer.out.Text())
		}
		// It is some way into the next write now. How far differs by round.
		time.Sleep(time.Duration(round*7%31) * 200 * time.Microsecond)
		writer.kill(t)
		for writer.out.Scan() { // what it had still said
			acknowledged[writer.out.Text()] = killedBody(writer.out.Text())
		}
		if left := temporary(t, dir); len(left) > 0 {
			interrupted++
		}
		newest := mustHold(t, dir, acknowledged)
		s, err := blobstore.OpenDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		o, err := s.Get(t.Context(), "o")
		if err != nil || o.Version != newest || string(o.Body) != killedBody(string(newest.ID)) {
			t.Fatalf("round %d: the newest version is %+v of %d bytes, %v", round, o.Version, len(o.Body), err)
		}
	}
	t.Logf("%d writers killed, %d of them in the middle of a write; %d versions acknowledged", rounds, interrupted, len(acknowledged))
	if interrupted == 0 && rounds >= 100 {
		t.Error("no writer was killed in the middle of a write: this tested nothing")
	}
	mustBeSwept(t, dir)
}

// mustBeSwept writes one more version, and checks that nothing is left of those
// before.
func mustBeSwept(t *testing.T, dir string) {
	t.Helper()
	s, err := blobstore.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	head, err := s.Head(t.Context(), "o")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), "o", nil, backend.IfMatch(head.ETag)); err != nil {
		t.Fatal(err)
	}
	if left := temporary(t, dir); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// temporary lists the files of incomplete writes.
func temporary(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "*", "*.tmp"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}
