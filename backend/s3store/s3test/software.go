package s3test

import (
	"debug/buildinfo"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// DirEnv names the environment variable with the folder of the servers' programs. The
// default is the folder .servers of the module that contains the test.
const DirEnv = "IMMUKV_SERVERS"

// noSkipEnv, set to 1, turns a missing server from a skip into a failure.
const noSkipEnv = "IMMUKV_NO_SKIP"

// Software is a server program at the version that this project is tested with.
type Software struct {
	Name    string // the name in subtests and tables
	Package string // the argument of go install
	Version string // the module version, pinned
	Binary  string // the name of the program that go install makes

	sts      bool                                 // it makes temporary credentials
	start    func(s *Server, binary string) error // starts the processes of a server, again too
	restrict func(s *Server, bucket string, actions []string) (aws.CredentialsProvider, error)
}

// MinIO is archived upstream, but users still ask for it. This is the newest version that
// the Go module proxy has.
var MinIO = &Software{
	Name:    "MinIO",
	sts:     true,
	Package: "github.com/minio/minio",
	Version: "v0.0.0-20260212201848-7aac2a2c5b7c",
	Binary:  "minio",

	start:    (*Server).startMinIO,
	restrict: (*Server).restrictMinIO,
}

// VersityGW serves a directory of a file system, here with a directory for old versions
// and through two gateway processes at once.
var VersityGW = &Software{
	Name:    "VersityGW",
	Package: "github.com/versity/versitygw/cmd/versitygw",
	Version: "v1.8.0",
	Binary:  "versitygw",

	start:    (*Server).startVersityGW,
	restrict: (*Server).restrictVersityGW,
}

// All is the servers that every test of the store runs on.
var All = []*Software{MinIO, VersityGW}

// Installed returns nil if dir has the program at its pinned version.
func (sw *Software) Installed(dir string) error {
	info, err := buildinfo.ReadFile(filepath.Join(dir, sw.Binary))
	if err != nil {
		return fmt.Errorf("%s is not installed in %s", sw.Name, dir)
	}
	if info.Main.Version != sw.Version {
		return fmt.Errorf("%s in %s is %s, not %s", sw.Name, dir, info.Main.Version, sw.Version)
	}
	return nil
}

// Dir returns the folder with the servers' programs.
func Dir() (string, error) {
	if dir := os.Getenv(DirEnv); dir != "" {
		return dir, nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, ".servers"), nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("no go.mod above the working directory; set %s", DirEnv)
		}
		dir = parent
	}
}

// find returns the path of the program, or skips the test with instructions for the
// installation.
func (sw *Software) find(tb testing.TB) string {
	tb.Helper()
	dir, err := Dir()
	if err == nil {
		err = sw.Installed(dir)
	}
	if err == nil {
		return filepath.Join(dir, sw.Binary)
	}
	const remedy = "install the servers with: go run ./backend/s3store/s3test/install"
	if os.Getenv(noSkipEnv) == "1" {
		tb.Fatalf("%v; %s", err, remedy)
	}
	tb.Skipf("%v; %s", err, remedy)
	return ""
}
