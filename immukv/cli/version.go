package cli

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// modulePath is the module whose version the command prints.
const modulePath = "github.com/immukv/immukv-go"

func newVersionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of the module and of Go",
		Long: `Print the version of the module github.com/immukv/immukv-go that the command was built
from, the revision if it was built in a checkout, and the version of Go.

With --json it prints an object with the fields version, revision (null if it is
not known), modified (the checkout had uncommitted changes) and go.`,
		Example: `  immukv version
  immukv --json version`,
		Args: args(),
		RunE: func(*cobra.Command, []string) error {
			info, _ := debug.ReadBuildInfo()
			return a.version(versionOf(info))
		},
	}
}

// versionJSON is a version as --json prints it.
type versionJSON struct {
	Version  string  `json:"version"`
	Revision *string `json:"revision"`
	Modified bool    `json:"modified"`
	Go       string  `json:"go"`
}

func (a *app) version(v versionJSON) error {
	if a.json {
		return printJSON(a.stdout, v)
	}
	revision := ""
	if v.Revision != nil {
		revision = ", revision " + *v.Revision
	}
	if v.Modified {
		revision += " with uncommitted changes"
	}
	_, err := fmt.Fprintf(a.stdout, "immukv %s%s, %s\n", v.Version, revision, v.Go)
	return err
}

// versionOf returns the module's version as the linker recorded it; info may be nil. In a
// command for another store, the module is a dependency. Then the recorded revision is
// that of the command's own checkout, and is not used.
func versionOf(info *debug.BuildInfo) versionJSON {
	v := versionJSON{Version: "(unknown)"}
	if info == nil {
		return v
	}
	v.Go = info.GoVersion
	for _, dep := range info.Deps {
		if dep.Path == modulePath {
			v.Version = dep.Version
			if dep.Replace != nil && dep.Replace.Version != "" {
				v.Version = dep.Replace.Version
			}
		}
	}
	if info.Main.Path != modulePath {
		return v
	}
	if info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = &s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}
