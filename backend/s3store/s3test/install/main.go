// Command install puts the servers that the tests run on into the folder
// where they look for them: .servers at the root of the module, or the one that
// IMMUKV_SERVERS names. A server that is there at its pinned version is left
// alone. It takes minutes the first time. With -azurite it installs Azurite alone,
// for which it needs npm.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"

	"github.com/immukv/immukv-go/backend/s3store/s3test"
)

func main() {
	azurite := flag.Bool("azurite", false, "install Azurite alone")
	flag.Parse()
	if err := install(*azurite); err != nil {
		fmt.Fprintln(os.Stderr, "install:", err)
		os.Exit(1)
	}
}

func install(azurite bool) error {
	dir, err := s3test.Dir()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if azurite {
		return s3test.InstallAzurite(dir)
	}
	for _, sw := range s3test.Programs {
		if sw.Installed(dir) == nil {
			continue
		}
		fmt.Fprintf(os.Stderr, "installing %s %s in %s\n", sw.Name, sw.Version, dir)
		cmd := exec.Command("go", "install", sw.Package+"@"+sw.Version)
		cmd.Env = append(os.Environ(), "GOBIN="+dir)
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: %w", cmd, err)
		}
		if err := sw.Installed(dir); err != nil {
			return err
		}
	}
	return nil
}
