package tlog_test

import (
	"os/exec"
	"strings"
	"testing"
)

// TestImports holds that the package links no store and nothing that only tests need.
func TestImports(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range strings.Lines(string(out)) {
		for _, unwanted := range []string{"testing\n", "github.com/aws/", "gocloud.dev/", "github.com/transparency-dev/tessera", "k8s.io/", "go.opentelemetry.io/"} {
			if strings.HasPrefix(pkg, unwanted) {
				t.Errorf("it links %s", pkg)
			}
		}
	}
	if !strings.Contains(string(out), "golang.org/x/mod/sumdb/tlog\n") {
		t.Errorf("go list does not name what it certainly links:\n%s", out)
	}
}
