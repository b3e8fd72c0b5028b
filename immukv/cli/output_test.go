package cli

import "testing"

// TestShown prints no key that looks like another one.
func TestShown(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{
		"sensor-1": "sensor-1", "ä b/🏭": "ä b/🏭", "": `""`, `"a"`: `"\"a\""`,
		"a\nb": `"a\nb"`, "\x1b[31m": `"\x1b[31m"`, "\u202eabc": `"\u202eabc"`, "a\u200bb": `"a\u200bb"`,
		"a\u00a0b": `"a\u00a0b"`, "\u2800": `"\u2800"`, "\u3164": `"\u3164"`, "a\ufe0f": `"a\ufe0f"`, `a\u200b`: `a\u200b`,
	} {
		if got := shown(key); got != want {
			t.Errorf("%q is shown as %s, want %s", key, got, want)
		}
	}
	if got, want := visible("v\u00a01\u2800"), `v\u00a01\u2800`; got != want {
		t.Errorf("a version is shown as %s, want %s", got, want)
	}
}
