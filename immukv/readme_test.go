package immukv_test

import (
	"context"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/immukv/immukv-go/backend"
	_ "github.com/immukv/immukv-go/backend/blobstore"
	"github.com/immukv/immukv-go/immukv"
)

// inDir opens the store of a README's URL below a folder of the test's.
type inDir string

func (dir inDir) Open(ctx context.Context, storeURL string) (backend.Store, error) {
	u, err := url.Parse(storeURL)
	if err != nil {
		return nil, err
	}
	u.Path = string(dir) + u.Path
	return backend.Open(ctx, u.String())
}

// TestReadme runs the program of the README: each of its lines stands below.
func TestReadme(t *testing.T) {
	type Calibration struct{ Alpha, Beta float64 }
	ctx, backend := t.Context(), inDir(t.TempDir())
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}

	store, err := backend.Open(ctx, "file:///tmp/calibration?create_dir=true")
	check(err)
	defer store.Close()
	db, err := immukv.Open[Calibration](ctx, store)
	check(err)
	entry, err := db.Set(ctx, "sensor-012352", Calibration{Alpha: 0.15, Beta: 2.8})
	check(err)
	latest, err := db.Get(ctx, "sensor-012352")
	check(err)
	if latest.Value != entry.Value || latest.Hash != entry.Hash {
		t.Errorf("got %+v, set %+v", latest, entry)
	}
	report, err := db.Audit(ctx)
	check(err)
	if !report.Valid() || report.Entries != 1 || report.HeadHash != entry.Hash {
		t.Errorf("the audit says %+v", report)
	}

	readme, err := os.ReadFile("../README.md")
	check(err)
	source, err := os.ReadFile("readme_test.go")
	check(err)
	program := regexp.MustCompile("(?s)```go\n(.*?)```").FindSubmatch(readme)
	if program == nil {
		t.Fatal("the README has no program")
	}
	for line := range strings.Lines(string(program[1])) {
		if line != "\n" && !strings.Contains(string(source), "\t"+line) {
			t.Errorf("this line of the README is not run here: %s", line)
		}
	}
}
