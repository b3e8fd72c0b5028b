package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

func newDemoCommand(a *app) *cobra.Command {
	var keep bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Take a guided tour, in a temporary directory",
		Long: `Take a guided tour of a store on local files: writes, reads, history, a writer that is
killed between append and apply, the repair, and a tampered file that verify detects.
Every command is really run, in a temporary directory, which is removed at the end.`,
		Example: `  immukv demo
  immukv demo --keep`,
		Args: args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, name := range []string{"store", "prefix", "read-only", "json", "timeout"} {
				if cmd.Flags().Changed(name) {
					return usagef("demo does not use --%s: it has its own store", name)
				}
			}
			return a.demo(cmd.Context(), keep)
		},
	}
	cmd.Flags().BoolVar(&keep, "keep", false, "keep the directory")
	return cmd
}

func (a *app) demo(ctx context.Context, keep bool) (err error) {
	dir, err := os.MkdirTemp("", "immukv-demo-")
	if err != nil {
		return err
	}
	t := &tour{ctx: ctx, out: a.stdout, dir: filepath.Join(dir, "store"), bold: isTerminal(a.stdout)}
	t.url = (&url.URL{Scheme: "file", Path: "/" + strings.TrimPrefix(filepath.ToSlash(t.dir), "/"), RawQuery: "create_dir=true"}).String()
	defer func() {
		if keep {
			t.say("The store is still there, in", "  "+t.dir)
			return
		}
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	for _, part := range []func(*tour){(*tour).write, (*tour).read, (*tour).crash, (*tour).tamper, (*tour).end} {
		if part(t); t.err != nil {
			return fmt.Errorf("the tour failed: %w", t.err)
		}
	}
	return nil
}

// tour is the state of a tour. After an error, it does nothing more.
type tour struct {
	ctx  context.Context
	out  io.Writer
	dir  string
	url  string
	bold bool
	err  error
}

func (t *tour) write() {
	t.heading("A store on local files")
	t.say(
		"The store is a directory. Each line with a $ is a command that you could type. It is run",
		"for real. First, three values are written. A value is any JSON.")
	t.typed("export IMMUKV_STORE='" + t.url + "'")
	t.do("set sensor-1 {\"alpha\":0.15,\"beta\":2.8}", exitDone)
	t.do("set sensor-2 {\"alpha\":0.4,\"beta\":1.9}", exitDone)
	t.do("set sensor-1 {\"alpha\":0.17,\"beta\":2.8}", exitDone)
}

func (t *tour) read() {
	t.heading("Reading")
	t.say("One read returns the latest entry of a key, or just its value.")
	t.do("get sensor-1", exitDone)
	t.do("get sensor-1 --value", exitDone)
	t.say("Nothing is ever overwritten: the key has a history, and all keys together have a log.")
	t.do("history sensor-1", exitDone)
	t.do("log", exitDone)
	t.say(
		"All of it is plain files, one for each version. Each entry is stored twice: in the log,",
		"chained to the entry before by its hash, and in its key's own object, for fast reads.")
	t.typed("cd '" + t.dir + "' && find * -type f | sort")
	t.list()
}

func (t *tour) crash() {
	t.heading("A crash between append and apply")
	t.say(
		"So a write has two steps: append to the log, then apply to the key's object. The next",
		"command runs in a separate process, which the tour kills with SIGKILL after the append.")
	t.typed("immukv set sensor-2 '{\"alpha\":0.41,\"beta\":1.9}'")
	t.kill("sensor-2", `{"alpha":0.41,"beta":1.9}`)
	t.say("The entry is in the log, durably, but not in its key's object: it is an orphan.")
	t.do("audit", exitDone)
	t.say("That is no damage. The next write repairs it, as does the next read, or this:")
	t.do("repair", exitDone)
	t.do("get sensor-2 --value", exitDone)
	t.do("audit", exitDone)
}

func (t *tour) tamper() {
	t.heading("A change by other means")
	t.say("Somebody edits the oldest entry of the log, in its file.")
	path, original := t.oldest()
	if t.err != nil {
		return
	}
	t.typed("sed -i s/0.15/0.95/ '" + path + "'")
	t.replace(path, bytes.Replace(original, []byte("0.15"), []byte("0.95"), 1))
	t.say("Every later hash depends on that entry, and its own hash no longer matches.")
	t.do("verify", exitFindings)
	t.say("When the edit is undone, the log is valid again. Scripts can test for exit code 4.")
	t.typed("sed -i s/0.95/0.15/ '" + path + "'")
	t.replace(path, original)
	t.do("verify", exitDone)
}

func (t *tour) end() {
	t.heading("From here")
	t.say(
		"immukv help            all commands, stores and exit codes",
		"immukv load --help     to load a file of JSON lines",
		"immukv doctor --help   to find out whether a store can be trusted",
		"immukv audit --help    what --trusted-head adds: keep the head that is printed",
		"                       in another place, and nobody can cut off or rewrite the log undetected")
}

func (t *tour) heading(text string) {
	t.printf("\n%s\n%s\n", t.strong(text), strings.Repeat("=", len(text)))
}

func (t *tour) say(lines ...string) { t.printf("\n%s\n\n", strings.Join(lines, "\n")) }

// typed prints a command.
func (t *tour) typed(command string) { t.printf("%s\n", t.strong("$ "+command)) }

func (t *tour) strong(text string) string {
	if !t.bold {
		return text
	}
	return "\x1b[1m" + text + "\x1b[0m"
}

func (t *tour) printf(format string, args ...any) {
	if t.err == nil {
		_, t.err = fmt.Fprintf(t.out, format, args...)
	}
}

// do runs a command of this program as a person would, with arguments without spaces, and
// prints its exit code, which must be the given one.
func (t *tour) do(command string, want int) {
	if t.err != nil {
		return
	}
	args := strings.Fields(command)
	shown := "immukv"
	for _, arg := range args {
		if strings.HasPrefix(arg, "{") {
			arg = "'" + arg + "'"
		}
		shown += " " + arg
	}
	t.typed(shown)
	// A wrapped output is not a terminal, so no progress bar is printed.
	out := struct{ io.Writer }{t.out}
	code := Run(t.ctx, append([]string{"--store", t.url, "--prefix", ""}, args...), strings.NewReader(""), out, out)
	switch {
	case t.ctx.Err() != nil:
		t.err = t.ctx.Err()
	case code != want:
		t.err = fmt.Errorf("%s: exit code %d instead of %d", shown, code, want)
	case code != exitDone:
		t.printf("(exit code %d)\n", code)
	}
}

// kill runs a process that is killed while it sets a key, and prints how it ended.
func (t *tour) kill(key, value string) {
	if t.err != nil {
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.err = fmt.Errorf("find this program, to run it as another process: %w", err)
		return
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.ctx, self, "--store", t.url, "--prefix", "", "demo-crash", key, value)
	cmd.Stderr = &stderr
	err = cmd.Run()
	var died *exec.ExitError
	if !errors.As(err, &died) || stderr.Len() > 0 {
		t.err = fmt.Errorf("the process was not killed: %w: %s", errors.Join(err, t.ctx.Err()), &stderr)
		return
	}
	t.printf("(%s)\n", died.ProcessState)
}

// list prints the files of the store.
func (t *tour) list() {
	t.walk(func(path string, _ []byte) {
		if relative, err := filepath.Rel(t.dir, path); err == nil {
			t.printf("%s\n", relative)
		}
	})
}

// oldest returns the file of the log's first entry, which it finds by its content.
func (t *tour) oldest() (path string, body []byte) {
	t.walk(func(at string, text []byte) {
		if bytes.Contains(text, []byte(`"sequence":0,`)) && !bytes.Contains(text, []byte(`"log_version_id"`)) {
			path, body = at, text
		}
	})
	if path == "" && t.err == nil {
		t.err = errors.New("the store has no file for the first entry of the log")
	}
	return path, body
}

// walk visits the files of the store.
func (t *tour) walk(visit func(path string, body []byte)) {
	if t.err != nil {
		return
	}
	t.err = filepath.WalkDir(t.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := os.ReadFile(path)
		if err == nil {
			visit(path, body)
		}
		return err
	})
}

func (t *tour) replace(path string, body []byte) {
	if t.err == nil {
		t.err = os.WriteFile(path, body, 0o666)
	}
}
