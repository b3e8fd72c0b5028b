// Command install installs the servers that the tests run on into the folder where the
// tests expect them: .servers at the root of the module, or the one that IMMUKV_SERVERS
// names. It skips a server that is installed at its pinned version. The first run takes
// minutes. With -azurite it installs only Azurite, for which it needs npm.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"

	"github.com/immukv/immukv-go/backend/s3store/s3test"
)

func main() {
	azurite := flag.Bool("azurite", false, "install only Azurite")
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
