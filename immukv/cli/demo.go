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
		Long: `Take a guided tour of a store on local files: writes, reads, history, a writer
killed between append and apply of a write and the repair, a tampered file and how
verify names it. Every command is run for real, in a temporary directory, which is
removed in the end.`,
		Example: `  immukv demo
  immukv demo --keep`,
		Args: args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, name := range []string{"store", "prefix", "read-only", "json", "timeout"} {
				if cmd.Flags().Changed(name) {
					return usagef("--%s means nothing to demo, which has a store of its own", name)
				}
			}
			return a.demo(cmd.Context(), keep)
		},
	}
	cmd.Flags().BoolVar(&keep, "keep", false, "leave the directory behind, to look around in it")
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
			return fmt.Errorf("the tour went wrong: %w", t.err)
		}
	}
	return nil
}

// tour is a tour under way. After an error, nothing more happens.
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
		"The store is a directory. Behind each $ stands what you would type; it is run",
		"for real. First, three values are written. A value is any JSON.")
	t.typed("export IMMUKV_STORE='" + t.url + "'")
	t.do("set sensor-1 {\"alpha\":0.15,\"beta\":2.8}", exitDone)
	t.do("set sensor-2 {\"alpha\":0.4,\"beta\":1.9}", exitDone)
	t.do("set sensor-1 {\"alpha\":0.17,\"beta\":2.8}", exitDone)
}

func (t *tour) read() {
	t.heading("Reading")
	t.say("The latest entry of a key is one read away. So is its bare value.")
	t.do("get sensor-1", exitDone)
	t.do("get sensor-1 --value", exitDone)
	t.say("Nothing is ever overwritten: the key has a history, and all keys together have a log.")
	t.do("history sensor-1", exitDone)
	t.do("log", exitDone)
	t.say(
		"All of it is plain files, one for each version. Each entry stands twice: in the log,",
		"chained to the entry before by its hash, and in its key's own object, to be found.")
	t.typed("cd '" + t.dir + "' && find * -type f | sort")
	t.list()
}

func (t *tour) crash() {
	t.heading("A crash between append and apply")
	t.say(
		"So a write has two steps: the log, then the key's object. The next command runs as a",
		"process of its own, in which the tour has seen to it that it is killed, by SIGKILL,",
		"when it has appended to the log.")
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
	t.heading("A change behind the store's back")
	t.say("Somebody edits the oldest entry of the log, in its file.")
	path, original := t.oldest()
	if t.err != nil {
		return
	}
	t.typed("sed -i s/0.15/0.95/ '" + path + "'")
	t.replace(path, bytes.Replace(original, []byte("0.15"), []byte("0.95"), 1))
	t.say("Every later hash rests on that entry, and its own no longer fits.")
	t.do("verify", exitFindings)
	t.say("Taken back, all is well again. That verify and audit exit with 4 is for scripts.")
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
		"                       elsewhere, and nobody can cut off or rewrite the log unseen")
}

func (t *tour) heading(text string) {
	t.printf("\n%s\n%s\n", t.strong(text), strings.Repeat("=", len(text)))
}

func (t *tour) say(lines ...string) { t.printf("\n%s\n\n", strings.Join(lines, "\n")) }

// typed shows a command.
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

// do runs a command of this program as a person would, with arguments that have no
// blanks, and shows how it ends: with the exit code wanted.
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
	// Not the file itself, if the output is one: on a terminal, progress would show.
	out := struct{ io.Writer }{t.out}
	code := Run(t.ctx, append([]string{"--store", t.url, "--prefix", ""}, args...), strings.NewReader(""), out, out)
	switch {
	case t.ctx.Err() != nil:
		t.err = t.ctx.Err()
	case code != want:
		t.err = fmt.Errorf("%s: exit code %d, where %d was to come", shown, code, want)
	case code != exitDone:
		t.printf("(exit code %d)\n", code)
	}
}

// kill has a process of its own begin to set a key, and shows how it dies.
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
		t.err = fmt.Errorf("a process that was to be killed was not: %w: %s", errors.Join(err, t.ctx.Err()), &stderr)
		return
	}
	t.printf("(%s)\n", died.ProcessState)
}

// list shows the files of the store.
func (t *tour) list() {
	t.walk(func(path string, _ []byte) {
		if relative, err := filepath.Rel(t.dir, path); err == nil {
			t.printf("%s\n", relative)
		}
	})
}

// oldest finds the file of the log's first entry, by what it says.
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
