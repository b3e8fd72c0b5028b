package conformance_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// The checks of a clause are in the file that its number names, s03_races.go for
// S3, and those of the store's clauses know nothing of the protocol.
func TestChecksAreWhereTheirNumberSays(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]int)
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if f, ok := call.Fun.(*ast.Ident); !ok || f.Name != "clause" {
				return true
			}
			clause, err := strconv.Unquote(call.Args[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			number, _ := strconv.Atoi(clause[1:])
			if prefix := fmt.Sprintf("%s%02d_", strings.ToLower(clause[:1]), number); !strings.HasPrefix(name, prefix) {
				t.Errorf("the checks of %s are in %s, which does not begin with %s", clause, name, prefix)
			}
			found[clause]++
			return true
		})
		if name[0] != 's' || name[3] != '_' {
			continue
		}
		for _, spec := range file.Imports {
			if path, _ := strconv.Unquote(spec.Path.Value); strings.HasSuffix(path, "/immukv-go/immukv") || strings.HasSuffix(path, "/immukv-go/sim") {
				t.Errorf("%s checks the store, and imports %s", name, path)
			}
		}
	}
	for letter, last := range map[string]int{"S": 20, "I": 18} {
		for n := 1; n <= last; n++ {
			if clause := letter + strconv.Itoa(n); found[clause] != 1 {
				t.Errorf("%d lists of checks for %s", found[clause], clause)
			}
		}
	}
}
