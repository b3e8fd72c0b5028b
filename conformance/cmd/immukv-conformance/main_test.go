package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	// A target's worker processes are this program once more, whichever it is:
	// without this, each would run all tests, and start workers of its own.
	if len(os.Args) > 1 && os.Args[1] == "work" {
		main()
		return
	}
	testscript.Main(m, map[string]func(){"immukv-conformance": main})
}

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{Dir: "testdata/script"})
}
