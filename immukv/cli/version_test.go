package cli

import (
	"runtime/debug"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestVersionOf(t *testing.T) {
	t.Parallel()
	revision := "0123456789abcdef"
	vcs := []debug.BuildSetting{{Key: "vcs.revision", Value: revision}, {Key: "vcs.modified", Value: "true"}}
	own := debug.Module{Path: modulePath, Version: "v0.1.0"}
	for _, c := range []struct {
		name string
		info *debug.BuildInfo
		want versionJSON
	}{
		{"nothing recorded", nil, versionJSON{Version: "(unknown)"}},
		{"the module's own command", &debug.BuildInfo{GoVersion: "go1.26", Main: own, Settings: vcs},
			versionJSON{Version: "v0.1.0", Revision: &revision, Modified: true, Go: "go1.26"}},
		{"another module's command", &debug.BuildInfo{GoVersion: "go1.26", Main: debug.Module{Path: "example.com/command", Version: "v7.0.0"}, Deps: []*debug.Module{{Path: "example.com/a", Version: "v2.0.0"}, &own}, Settings: vcs},
			versionJSON{Version: "v0.1.0", Go: "go1.26"}},
		{"replaced by a fork", &debug.BuildInfo{Main: debug.Module{Path: "example.com/command"}, Deps: []*debug.Module{{Path: modulePath, Version: "v0.1.0", Replace: &debug.Module{Path: "example.com/fork", Version: "v0.1.1"}}}},
			versionJSON{Version: "v0.1.1"}},
	} {
		if diff := cmp.Diff(c.want, versionOf(c.info)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}
