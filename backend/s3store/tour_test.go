package s3store_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/immukv/immukv-go/backend/s3store/s3test"
)

// The commands of the tour in docs/s3.md do what it says, on every server. The
// server, and the name of the bucket in its description, are this test's own.
func TestTour(t *testing.T) {
	if !long() {
		t.Log("left out: it builds the command; set IMMUKV_LONG=1")
		return
	}
	text, err := os.ReadFile("../../docs/s3.md")
	if err != nil {
		t.Fatal(err)
	}
	_, tour, _ := strings.Cut(string(text), "\n## A tour\n")
	tour, roles, _ := strings.Cut(tour, "\n## ")
	_, roles, _ = strings.Cut(roles, "\n## A role for each program\n")
	commands := regexp.MustCompile(`(?m)^immukv .*$`).FindAllString(tour, -1)
	if len(commands) < 6 {
		t.Fatalf("only the commands %q were found", commands)
	}
	ofRoles := regexp.MustCompile(`(?m)^immukv .*$`).FindAllString(roles, -1)
	if len(ofRoles) < 2 {
		t.Fatalf("only the commands %q of roles were found", ofRoles)
	}
	commands = append(commands, ofRoles...)
	dir := filepath.Dir(buildCommand(t))
	servers.Each(t, func(t *testing.T, server *s3test.Server) {
		work, bucket := t.TempDir(), "tour"
		description := "bucketName: " + bucket + "\nregion: " + s3test.Region + "\nprefixes: [{s3Prefix: \"\"}]\n"
		if err := os.WriteFile(filepath.Join(work, "bucket.yaml"), []byte(description), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "sh", "-e", "-c", strings.Join(commands, "\n"))
		cmd.Dir = work
		cmd.Env = append(server.Environ(),
			"PATH="+dir+string(os.PathListSeparator)+os.Getenv("PATH"),
			"AWS_ENDPOINT_URL="+server.Endpoint(), "IMMUKV_STORE=s3://"+bucket)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		for _, says := range []string{"done    versioning: never enabled -> enabled", "nothing found", "The store can be trusted", `{"alpha":0.16,"beta":2.8}`, "valid\nentries   3, sequence 0 to 2\n"} {
			if !strings.Contains(string(out), says) {
				t.Errorf("it does not print %q:\n%s", says, out)
			}
		}
	})
}

// buildCommand builds immukv and returns its path.
func buildCommand(t *testing.T) string {
	t.Helper()
	command := filepath.Join(t.TempDir(), "immukv")
	if out, err := exec.Command("go", "build", "-o", command, "github.com/immukv/immukv-go/immukv/cmd/immukv").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return command
}
