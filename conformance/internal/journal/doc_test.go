package journal_test

import (
	"os"
	"strings"
	"testing"
)

// TestDocument holds docs/backends.md to the code that it shows: its blocks of
// Go, one after another, are the two files of this package.
func TestDocument(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../../docs/backends.md")
	if err != nil {
		t.Fatal(err)
	}
	var shown strings.Builder
	chapter, _, found := strings.Cut(string(doc), "\n## A command for it\n") // whose program is not of this package
	if !found {
		t.Fatal("docs/backends.md does not go on with a command for the store")
	}
	for i, block := range strings.Split(chapter, "```go\n") {
		if i == 0 {
			continue
		}
		code, _, ended := strings.Cut(block, "```\n")
		if !ended {
			t.Fatalf("block %d has no end", i)
		}
		shown.WriteString(code)
	}
	var real strings.Builder
	for _, name := range []string{"journal.go", "journal_test.go"} {
		code, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		real.Write(code)
	}
	// Between two blocks there is a blank line in the file.
	compact := func(s string) string { return strings.ReplaceAll(s, "\n\n", "\n") }
	if compact(shown.String()) != compact(real.String()) {
		t.Error("the code in docs/backends.md is not that of this package")
	}
}
