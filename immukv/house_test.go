package immukv_test

import (
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// folders calls f with each folder of the module that has Go files, as a path below the
// module's root.
func folders(t *testing.T, f func(dir string)) {
	t.Helper()
	seen := make(map[string]bool)
	err := fs.WalkDir(os.DirFS(".."), ".", func(path string, d fs.DirEntry, err error) error {
		switch name := d.Name(); {
		case err != nil:
			return err
		case d.IsDir() && (name == "testdata" || strings.HasPrefix(name, ".") && path != "."):
			return fs.SkipDir
		case strings.HasSuffix(name, ".go"):
			seen[filepath.ToSlash(filepath.Dir(path))] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	dirs := make([]string, 0, len(seen))
	for dir := range seen {
		dirs = append(dirs, dir)
	}
	slices.Sort(dirs)
	for _, dir := range dirs {
		f(dir)
	}
}

// returnsOption reports whether a function returns a type named Option or SomeOption, or
// an interface made of some.
func returnsOption(f *ast.FuncDecl) bool {
	isOption := func(e ast.Expr) bool {
		name, ok := e.(*ast.Ident)
		return ok && name.IsExported() && strings.HasSuffix(name.Name, "Option")
	}
	if f.Recv != nil || !f.Name.IsExported() || f.Type.Results == nil {
		return false
	}
	for _, result := range f.Type.Results.List {
		if isOption(result.Type) {
			return true
		}
		if i, ok := result.Type.(*ast.InterfaceType); ok {
			for _, m := range i.Methods.List {
				if isOption(m.Type) {
					return true
				}
			}
		}
	}
	return false
}

// Every exported option has an Example that is run, and every exported struct of options
// stands in one.
func TestOptionsHaveExamples(t *testing.T) {
	t.Parallel()
	options := 0
	folders(t, func(dir string) {
		if strings.Contains(dir+"/", "internal/") {
			return
		}
		files := token.NewFileSet()
		var tests []*ast.File
		var wanted, structs []string
		names, err := filepath.Glob(filepath.Join("..", dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			file, err := parser.ParseFile(files, name, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(name, "_test.go") {
				tests = append(tests, file)
				continue
			}
			for _, d := range file.Decls {
				switch d := d.(type) {
				case *ast.FuncDecl:
					if returnsOption(d) {
						wanted = append(wanted, d.Name.Name)
					}
				case *ast.GenDecl:
					for _, s := range d.Specs {
						if s, ok := s.(*ast.TypeSpec); ok && s.Name.IsExported() && strings.HasSuffix(s.Name.Name, "Options") {
							structs = append(structs, s.Name.Name)
						}
					}
				}
			}
		}
		run := make(map[string]bool)
		var code strings.Builder
		for _, e := range doc.Examples(tests...) {
			name, _, _ := strings.Cut(e.Name, "_")
			run[name] = run[name] || e.Output != "" || e.EmptyOutput
			ast.Inspect(e.Code, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok {
					fmt.Fprintln(&code, s.Sel.Name)
				}
				return true
			})
		}
		for _, name := range wanted {
			options++
			if !run[name] {
				t.Errorf("%s.%s has no Example%s with an Output", dir, name, name)
			}
		}
		for _, name := range structs {
			if !strings.Contains(code.String(), name+"\n") {
				t.Errorf("%s.%s stands in no Example", dir, name)
			}
		}
	})
	if options < 40 {
		t.Errorf("it sees %d options, and there are more", options)
	}
}

// CONTRIBUTING.md lists each folder that has Go files, and no other, with a line that
// says what is in it.
func TestListingOfFolders(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../.github/CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := make(map[string]bool)
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| [^|]+ \\|$").FindAllStringSubmatch(string(text), -1) {
		if listed[row[1]] {
			t.Errorf("it lists %s twice", row[1])
		}
		listed[row[1]] = true
		if info, err := os.Stat(filepath.Join("..", row[1])); err != nil || !info.IsDir() {
			t.Errorf("it lists %s, and there is no such folder", row[1])
		}
	}
	folders(t, func(dir string) {
		if !listed[dir] {
			t.Errorf("it does not list %s", dir)
		}
	})
}
