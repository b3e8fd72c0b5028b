package wire

import "strings"

// Names of objects, as wire-format.md gives them.
const (
	LogName   = "_log.json"
	KeysDir   = "keys/"
	KeySuffix = ".json"
)

// KeyObject is the name of the key object of a key.
func KeyObject(prefix, key string) string {
	return prefix + KeysDir + key + KeySuffix
}

// KeyOf is the key whose object has that name, if it is a key object's.
func KeyOf(prefix, name string) (string, bool) {
	key, ok := strings.CutPrefix(name, prefix+KeysDir)
	if !ok {
		return "", false
	}
	return strings.CutSuffix(key, KeySuffix)
}
