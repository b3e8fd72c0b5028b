package main

import (
	"bytes"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/immukv/immukv-go/immukv/cli/internal/serve/chromium"
)

// TestPictures takes the pictures of the documentation twice, and once they are alike.
// docs/serve.md shows those that are kept, each with a text for who does not see it.
func TestPictures(t *testing.T) {
	chromium.ForTest(t)
	const kept = "../../../../../docs"
	docs, err := os.ReadFile(filepath.Join(kept, "serve.md"))
	if err != nil {
		t.Fatal(err)
	}
	folders := []string{t.TempDir(), t.TempDir()}
	for _, folder := range folders {
		if err := takeAll(t.Context(), folder); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range pictures {
		var taken [2][]byte
		for i, folder := range folders {
			if taken[i], err = os.ReadFile(filepath.Join(folder, p.name+".png")); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(taken[0], taken[1]) {
			t.Errorf("%s: a second picture of the same page differs", p.name)
		}
		file, err := os.ReadFile(filepath.Join(kept, "images", p.name+".png"))
		if err != nil {
			t.Error(err)
			continue
		}
		for where, body := range map[string][]byte{"taken": taken[0], "kept": file} {
			picture, err := png.Decode(bytes.NewReader(body))
			if err != nil {
				t.Fatalf("%s, %s: %v", p.name, where, err)
			}
			if got, want := picture.Bounds().Dx(), int(float64(p.look.Width)*scale); got != want {
				t.Errorf("%s, %s: %d pixels wide, not %d", p.name, where, got, want)
			}
			if len(body) > 200<<10 {
				t.Errorf("%s, %s: %d bytes", p.name, where, len(body))
			}
		}
		before, _, shown := strings.Cut(string(docs), "](images/"+p.name+".png)")
		if start := strings.LastIndex(before, "!["); !shown || len(before)-start < 30 {
			t.Errorf("docs/serve.md does not show %s, with a text that says what is to be seen", p.name)
		}
	}
}
