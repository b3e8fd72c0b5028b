package immukv_test

import (
	"os/exec"
	"strings"
	"testing"
)

// TestImports holds that a program with a store in memory links neither the AWS SDK
// nor gocloud, nor what only tests need.
func TestImports(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".", "../backend/memstore").Output()
	if err != nil {
		t.Fatal(err)
	}
	const module = "github.com/immukv/immukv-go/"
	allowed := map[string]bool{
		module + "immukv": true, module + "immukv/internal/wire": true, module + "immukv/internal/readahead": true,
		module + "backend": true, module + "backend/memstore": true,
		"github.com/hashicorp/go-multierror": true, "github.com/hashicorp/errwrap": true,
	}
	seen := 0
	for pkg := range strings.Lines(string(out)) {
		pkg = strings.TrimSuffix(pkg, "\n")
		if pkg == "testing" || strings.Contains(strings.SplitN(pkg, "/", 2)[0], ".") && !allowed[pkg] {
			t.Errorf("it links %s", pkg)
		}
		if allowed[pkg] {
			seen++
		}
	}
	if seen != len(allowed) {
		t.Errorf("go list names %d of the %d packages that are sure to be linked:\n%s", seen, len(allowed), out)
	}
}
