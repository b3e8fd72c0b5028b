package cli

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
)

// TestBadArguments gives set what cannot be stored. Nothing is written then.
func TestBadArguments(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		key, value, stdin string
		want              string
	}{
		"empty key":          {"", "1", "", `set "": invalid key: the key is empty`},
		"key too long":       {strings.Repeat("k", 1025), "1", "", "invalid key: the key has 1025 bytes; with this prefix, the limit is 1014"},
		"key no UTF-8":       {"k\xff", "1", "", `set "k\xff": invalid key: the key is not valid UTF-8`},
		"key with NUL":       {"a\x00b", "1", "", `set "a\x00b": invalid key: the key contains a NUL byte`},
		"key leads out":      {"../k", "1", "", `invalid key: "../k" has the path segment ".."`},
		"key leads out late": {"a/../../k", "1", "", `has the path segment ".."`},
		"value empty":        {"k", "", "", `set "k": invalid value`},
		"value no JSON":      {"k", "Bob", "", `VALUE is JSON: a string has quotes of its own`},
		"value NaN":          {"k", "NaN", "", `set "k": invalid value`},
		"value infinite":     {"k", "[-Infinity]", "", `set "k": invalid value`},
		"value overflows":    {"k", "1e400", "", `invalid value: number beyond the range of a double`},
		"value no UTF-8":     {"k", "\"\xff\"", "", `invalid value: invalid UTF-8`},
		"value lone half":    {"k", `"\ud800"`, "", `invalid value: string with a lone surrogate`},
		"value with two":     {"k", `{"a":1,"b":2,"a":3}`, "", `invalid value: object that repeats a member name`},
		"value and more":     {"k", `1 2`, "", `invalid value: data after the end`},
		"value too large":    {"k", "-", `"` + strings.Repeat("x", immukv.DefaultMaxValueBytes) + `"`, "value too large: 16777218 bytes of canonical JSON; the limit is 16777216"},
		"input too large":    {"k", "-", strings.Repeat(" ", maxValueText+1), "value too large: standard input has more than 33554432 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "store")
			check(t, os.Mkdir(dir, 0o777))
			r := runHere(t.Context(), test.stdin, "--store", fileURL(dir), "set", "--", test.key, test.value)
			if r.code != exitUsage || r.stdout != "" || !strings.Contains(r.stderr, test.want) {
				t.Errorf("exit code %d, want %d; standard output: %s\nstandard error: %s\nlacks: %s", r.code, exitUsage, r.stdout, r.stderr, test.want)
			}
			if diff := cmp.Diff(map[string]string{"./": ""}, tree(dir)); diff != "" {
				t.Errorf("something was written:\n%s", diff)
			}
		})
	}
}

// TestBadLines has load read a line that is wrong, between two that are not.
func TestBadLines(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ line, want string }{
		"no JSON":        {`key=value`, "invalid JSON after byte"},
		"no object":      {`["key","value"]`, "the line is not a JSON object"},
		"null":           {`null`, "the line is not a JSON object"},
		"cut off":        {`{"key":"k","value":`, "the JSON ends early"},
		"unclosed":       {`{"key":"k","value":1`, "the JSON ends early"},
		"two objects":    {`{"key":"k","value":1}{"key":"l","value":1}`, "there is text after the JSON object"},
		"no key":         {`{"value":1}`, "the field key is missing"},
		"no value":       {`{"key":"k"}`, "the field value is missing"},
		"unknown field":  {`{"key":"k","value":1,"sequence":1}`, `unknown field "sequence"`},
		"field in caps":  {`{"Key":"k","value":1}`, `unknown field "Key"`},
		"two keys":       {`{"key":"k","key":"k","value":1}`, "the field key occurs twice"},
		"two values":     {`{"key":"k","value":null,"value":1}`, "the field value occurs twice"},
		"key a number":   {`{"key":1,"value":1}`, "the field key is not a string"},
		"key null":       {`{"key":null,"value":1}`, "the field key is not a string"},
		"key half":       {`{"key":"\ud83d","value":1}`, "the field key: invalid value: string with a lone surrogate"},
		"key empty":      {`{"key":"","value":1}`, "invalid key: the key is empty"},
		"key NUL":        {`{"key":"a\u0000b","value":1}`, "invalid key: the key contains a NUL byte"},
		"key leads out":  {`{"key":"../b","value":1}`, "invalid key"},
		"key too long":   {`{"key":"` + strings.Repeat("k", 1025) + `","value":1}`, "invalid key: the key has 1025 bytes"},
		"no UTF-8":       {"{\"key\":\"k\xff\",\"value\":1}", "the line is not valid UTF-8"},
		"value NaN":      {`{"key":"k","value":NaN}`, "invalid JSON after byte"},
		"value with two": {`{"key":"k","value":{"a":1,"a":2}}`, "invalid value: object that repeats a member name"},
		"value half":     {`{"key":"k","value":"\udc00"}`, "invalid value: string with a lone surrogate"},
		"value too big":  {`{"key":"k","value":"` + strings.Repeat("x", immukv.DefaultMaxValueBytes) + `"}`, "value too large"},
		"too long":       {strings.Repeat(" ", maxLineBytes), "the line is longer than 33619968 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "store")
			input := "{\"key\":\"before\",\"value\":1}\n" + test.line + "\n{\"key\":\"after\",\"value\":1}\n"
			r := runHere(t.Context(), input, "--store", fileURL(dir), "load", "-")
			want := "immukv: load -: line 2: "
			if r.code != exitFailed || r.stdout != "1 set\n" || !strings.HasPrefix(r.stderr, want) || !strings.Contains(r.stderr, test.want) ||
				!strings.Contains(r.stderr, "; every line before line 2 is set, and none after it\n") {
				t.Errorf("exit code %d; standard output: %s\nstandard error: %.300s\nlacks: %s", r.code, r.stdout, r.stderr, test.want)
			}
			if log := wholeLog(t, dir); len(log) != 1 || log[0].Key != "before" {
				t.Errorf("the log has %+v", log)
			}
		})
	}
}

// TestBadStores runs commands on stores that somebody reached into.
func TestBadStores(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		spoil func(*memstore.State)
		// What each command says. All exit with 4.
		want map[string]string
	}{
		"log deleted": {
			func(s *memstore.State) {
				s.Objects[0].Versions = append(s.Objects[0].Versions, memstore.Version{ID: "gone", DeleteMarker: true})
			},
			map[string]string{
				"set a 4": "log was deleted", "repair": "log was deleted", "log": "log was deleted",
				"verify": "verification failed: 1 finding", "audit": "verification failed",
			},
		},
		"head malformed": {
			func(s *memstore.State) { spoilBody(s, 0, 2, `"sequence":2`, `"sequence":2.0`) },
			map[string]string{
				"set a 4": "malformed entry: field sequence", "repair": "malformed entry", "log": "malformed entry",
				"verify": "verification failed", "audit": "verification failed",
			},
		},
		"head with two": {
			func(s *memstore.State) { spoilBody(s, 0, 2, `"value":3`, `"value":3,"value":4`) },
			map[string]string{"set a 4": "malformed entry", "log": "malformed entry", "audit": "verification failed"},
		},
		"key object malformed": {
			func(s *memstore.State) { spoilBody(s, 1, 1, `{`, `[`) },
			map[string]string{"get a": "keys/a.json version", "history a": "1 entry was not printed", "audit": "verification failed"},
		},
		"first version gone": {
			func(s *memstore.State) { s.Objects[0].Versions = s.Objects[0].Versions[1:] },
			map[string]string{"log": "not found", "verify": "verification failed", "audit": "verification failed"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, held := holdStore(t)
			for _, args := range [][]string{{"set", "a", "1"}, {"set", "b", "2"}, {"set", "a", "3"}} {
				if r := runHere(t.Context(), "", append([]string{"--store", url}, args...)...); r.code != exitDone {
					t.Fatal(r.stderr)
				}
			}
			state := held.store.Dump()
			test.spoil(&state)
			spoiled, err := memstore.Load(state)
			check(t, err)
			held.store = spoiled
			for command, want := range test.want {
				r := runHere(t.Context(), "", append([]string{"--store", url}, strings.Fields(command)...)...)
				if r.code != exitFindings || !strings.Contains(r.stderr, want) {
					t.Errorf("%s: exit code %d, standard error: %s\nlacks: %s", command, r.code, r.stderr, want)
				}
			}
			if diff := cmp.Diff(state, spoiled.Dump()); diff != "" {
				t.Errorf("something was written:\n%s", diff)
			}
		})
	}
}

// spoilBody replaces text in the body of a version.
func spoilBody(s *memstore.State, object, version int, old, new string) {
	v := &s.Objects[object].Versions[version]
	v.Body = strings.Replace(v.Body, old, new, 1)
}

// TestUnwritableDirectory runs commands on a store without the right to write there.
func TestUnwritableDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	if r := runHere(t.Context(), "", "--store", fileURL(dir), "set", "k", "1"); r.code != exitDone {
		t.Fatal(r.stderr)
	}
	before := tree(dir)
	restrict := unprivileged(t, dir)
	for command, want := range map[string]result{
		"set k 2":       {exitFailed, "", "access denied"},
		"set other 2":   {exitFailed, "", "access denied"},
		"load -":        {exitFailed, "0 set\n", "access denied"},
		"doctor":        {exitFailed, "not reached", "access denied"},
		"repair":        {exitDone, "nothing to repair", ""},
		"get --value k": {exitDone, "1\n", ""},
		"audit":         {exitDone, "valid", ""},
	} {
		cmd := exec.CommandContext(t.Context(), "immukv", append([]string{"--store", "file://" + dir}, strings.Fields(command)...)...)
		cmd.Stdin = strings.NewReader(`{"key":"k","value":2}`)
		var stdout, stderr strings.Builder
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		restrict(cmd)
		check(t, cmd.Start())
		_ = cmd.Wait() // the state says more
		got := result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
		if got.code != want.code || !strings.Contains(got.stdout, want.stdout) || !strings.Contains(got.stderr, want.stderr) {
			t.Errorf("%s: exit code %d, want %d; standard output: %s\nstandard error: %s", command, got.code, want.code, got.stdout, got.stderr)
		}
	}
	if diff := cmp.Diff(before, tree(dir)); diff != "" {
		t.Errorf("something was written:\n%s", diff)
	}
}

// TestFullDisk sets a value that the file system has no room for.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script := fmt.Sprintf(`
		export IMMUKV_STORE='file://%s/store?create_dir=true'
		immukv set small '"before"' || exit 101
		immukv set large @%s && exit 102
		test $? = 1 || exit 103
		immukv --json audit || exit 104
		immukv set small '"after"' || exit 105
		immukv --json log || exit 106
	`, dir, largeValue(t))
	r := onSmallDisk(t, dir, script)
	if r.code != exitDone || !strings.Contains(r.stderr, "no space left on device") || strings.Count(r.stdout, `"sequence":`) != 2 ||
		!strings.Contains(r.stdout, `"valid":true,"entries":1,`) {
		t.Errorf("exit code %d\n%s\n%s", r.code, r.stdout, r.stderr)
	}
}

// largeValue is a file with a value of a megabyte.
func largeValue(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "large.json")
	check(t, os.WriteFile(path, append(append([]byte{'"'}, bytes.Repeat([]byte("x"), 1<<20)...), '"'), 0o666))
	return path
}
