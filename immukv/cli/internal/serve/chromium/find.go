package chromium

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// PathEnv names the environment variable with the path of the browser's program, which is
// used before any other.
const PathEnv = "IMMUKV_CHROMIUM"

// ErrNotFound is returned when there is no browser. Its text says how to get one.
var ErrNotFound = errors.New("no Chromium or Chrome is installed: install one, such as Debian's package chromium, or set " +
	PathEnv + " to the path of its program")

// programs are the names of the browser on different systems, and its paths on macOS.
var programs = []string{
	"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome",
	"/Applications/Chromium.app/Contents/MacOS/Chromium",
	"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
}

// Find returns the path of the browser's program, or [ErrNotFound].
func Find() (string, error) {
	if path := os.Getenv(PathEnv); path != "" {
		found, err := exec.LookPath(path)
		if err != nil {
			return "", fmt.Errorf("the browser that %s names: %w", PathEnv, err)
		}
		return found, nil
	}
	for _, name := range programs {
		if found, err := exec.LookPath(name); err == nil {
			return found, nil
		}
	}
	return "", ErrNotFound
}
