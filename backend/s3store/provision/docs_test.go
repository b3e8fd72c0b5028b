package provision_test

import (
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/immukv/immukv-go/backend/s3store/provision"
)

// actionsTable is the table of docs/permissions.md.
func actionsTable() string {
	var b strings.Builder
	b.WriteString("| action | on | writer | reader | sealer | administrator | why |\n|---|---|---|---|---|---|---|\n")
	for _, a := range provision.Actions {
		fmt.Fprintf(&b, "| `%s` | %s |", a.Name, a.On)
		for _, role := range provision.Roles {
			mark := " "
			if slices.Contains(a.Roles, role) {
				mark = " yes "
			}
			b.WriteString(mark + "|")
		}
		fmt.Fprintf(&b, " %s |\n", a.Why)
	}
	return b.String()
}

// docs/permissions.md has the table of actions, every condition key with its source,
// and every member of a description.
func TestDocs(t *testing.T) {
	const path = "../../../docs/permissions.md"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	doc := string(text)
	if !strings.Contains(doc, "\n"+actionsTable()+"\n") {
		t.Errorf("%s lacks the table:\n%s", path, actionsTable())
	}
	for _, key := range slices.Sorted(maps.Keys(provision.ConditionKeys)) {
		if want := fmt.Sprintf("[`%s`](%s)", key, provision.ConditionKeys[key]); !strings.Contains(doc, want) {
			t.Errorf("%s lacks %s", path, want)
		}
	}
	for claim, source := range provision.TrustClaims {
		if want := fmt.Sprintf("[`%s`](%s)", claim, source); !strings.Contains(doc, want) {
			t.Errorf("%s lacks %s", path, want)
		}
	}
	var members func(reflect.Type)
	members = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct {
			return
		}
		for i := range typ.NumField() {
			if name := typ.Field(i).Tag.Get("yaml"); !strings.Contains(doc, name) {
				t.Errorf("%s lacks the member %s", path, name)
			}
			members(typ.Field(i).Type)
		}
	}
	members(reflect.TypeFor[provision.Description]())
}
