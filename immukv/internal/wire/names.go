package wire

import "strings"

// Names of objects.
const (
	LogName   = "_log.json"
	KeysDir   = "keys/"
	KeySuffix = ".json"
)

// KeyObject returns the name of the key object of a key.
func KeyObject(prefix, key string) string {
	return prefix + KeysDir + key + KeySuffix
}

// KeyOf returns the key whose object has that name. It reports false if the name is not
// that of a key object.
func KeyOf(prefix, name string) (string, bool) {
	key, ok := strings.CutPrefix(name, prefix+KeysDir)
	if !ok {
		return "", false
	}
	return strings.CutSuffix(key, KeySuffix)
}
