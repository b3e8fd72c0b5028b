// Command install sees to it that there is a Chromium or Chrome for the tests of the
// pages of immukv serve. One that is there is left alone. Where it may, as root with
// apt-get, it installs Debian's, which takes a minute. Otherwise it fails and says how
// to get one.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/immukv/immukv-go/immukv/cli/internal/serve/chromium"
)

func main() {
	if err := install(); err != nil {
		fmt.Fprintln(os.Stderr, "install:", err)
		os.Exit(1)
	}
}

func install() error {
	_, err := chromium.Find()
	if !errors.Is(err, chromium.ErrNotFound) {
		return err
	}
	apt, missing := exec.LookPath("apt-get")
	if missing != nil || os.Geteuid() != 0 {
		return err
	}
	fmt.Fprintln(os.Stderr, "installing Debian's package chromium")
	// The list of packages may be older than the packages, or not be there at all.
	if err := run(apt, "update"); err != nil {
		return err
	}
	if err := run(apt, "install", "--yes", "--no-install-recommends", "chromium", "fonts-dejavu-core"); err != nil {
		return err
	}
	_, err = chromium.Find()
	return err
}

func run(program string, args ...string) error {
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: %s: %w", chromium.ErrNotFound, cmd, err)
	}
	return nil
}
