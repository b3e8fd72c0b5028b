package provision_test

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/immukv/immukv-go/backend/s3store/provision"
)

func full(t testing.TB) *provision.Description {
	t.Helper()
	text, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	d, err := provision.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func parse(t testing.TB, text string) *provision.Description {
	t.Helper()
	d, err := provision.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// The full description has every member, or it would not be one.
func TestFullDescriptionHasEveryMember(t *testing.T) {
	var zero func(v reflect.Value, at string) []string
	zero = func(v reflect.Value, at string) (names []string) {
		switch v.Kind() {
		case reflect.Pointer:
			return zero(v.Elem(), at)
		case reflect.Slice:
			if v.Len() == 0 {
				return []string{at}
			}
			return zero(v.Index(0), at)
		case reflect.Struct:
			for i := range v.NumField() {
				names = append(names, zero(v.Field(i), at+"."+v.Type().Field(i).Name)...)
			}
			return names
		case reflect.Bool: // both values are there
			return nil
		}
		if v.IsZero() {
			return []string{at}
		}
		return nil
	}
	if missing := zero(reflect.ValueOf(full(t)), ""); missing != nil {
		t.Errorf("testdata/full.yaml lacks %q", missing)
	}
}

func TestParseJSON(t *testing.T) {
	d := parse(t, `{"bucketName": "calibration", "region": "us-east-1", "prefixes": [{"s3Prefix": ""}]}`)
	if d.Encryption != provision.EncryptionS3 || d.Prefixes[0].S3Prefix != "" {
		t.Errorf("%+v", d)
	}
	if d := parse(t, "bucketName: calibration\nregion: us-east-1\nprefixes: [{s3Prefix: myapp}, {s3Prefix: myapp2}]"); d.Prefixes[0].S3Prefix != "myapp/" {
		t.Errorf("%+v", d)
	}
}

func TestParseErrors(t *testing.T) {
	const head = "bucketName: calibration\nregion: us-east-1\n"
	const whole = head + "prefixes: [{s3Prefix: ''}]\n"
	for text, want := range map[string]string{
		"":                  "empty",
		"- a":               "not an object",
		"a: [":              "yaml",
		whole + "---\nx: 1": "more than one document",
		whole + "bucket: x": `unknown member "bucket"; known: bucketName, region, encryption, kmsKeyId, objectLock, administrators, prefixes, wildcardPrefixes, sealerPrefixes`,
		whole + "objectLock: {mode: compliance, days: 1, years: 2}": `objectLock has the unknown member "years"; known: mode, days`,
		whole + "region: x":                                        "already defined",
		head + "prefixes: [{s3Prefix: a, log: 3}]":                 `prefixes[0] has the unknown member "log"; known: s3Prefix, logVersionRetentionDays`,
		head + "prefixes: &a [{s3Prefix: a}]":                      "anchors",
		head:                                                       "prefixes: there is none",
		head + "prefixes: [{s3Prefix: /a}]":                        "begins with a slash",
		head + "prefixes: [{s3Prefix: a/../b}]":                    "two dots",
		head + "prefixes: [{s3Prefix: 'a*'}]":                      "wildcard",
		head + "prefixes: [{s3Prefix: 'a${b}'}]":                   "policies do not support",
		head + "prefixes: [{s3Prefix: a}, {s3Prefix: a/b}]":        "overlap",
		head + "prefixes: [{s3Prefix: a/}, {s3Prefix: a}]":         "overlap",
		head + "prefixes: [{s3Prefix: ''}, {s3Prefix: a}]":         "the empty prefix allows no other",
		head + "prefixes: [{s3Prefix: a, logVersionsToRetain: 5}]": "S3 rejects a rule that counts versions without days",
		head + "prefixes: [{s3Prefix: a, keyVersionsToRetain: 5}]": "set keyVersionRetentionDays",
		head + "prefixes: [{s3Prefix: a, logVersionRetentionDays: 5, logVersionsToRetain: 101}]":                            "not from 0 to 100",
		head + "prefixes: [{s3Prefix: a, logVersionRetentionDays: -5}]":                                                     "not from 0 (for ever)",
		head + "prefixes: [{s3Prefix: a, onLogEntryCreated: queue}]":                                                        "not the ARN of a queue",
		head + "prefixes: [{s3Prefix: a, oidcProviders: [{issuerUrl: 'http://x', clientIds: [a], allowedEmails: [b]}]}]":    "not an https URL",
		head + "prefixes: [{s3Prefix: a, oidcProviders: [{issuerUrl: 'https://x', clientIds: [a]}]}]":                       "allowedEmails: there is none",
		head + "prefixes: [{s3Prefix: a, oidcProviders: [{issuerUrl: 'https://x', clientIds: ['*'], allowedEmails: [b]}]}]": "a pattern",
		whole + "encryption: kms\nkmsKeyId: alias/a":                                                                        "do not support aliases",
		whole + "encryption: rot13":                                      "neither s3 nor kms",
		whole + "encryption: kms":                                        "kmsKeyId",
		whole + "kmsKeyId: x":                                            "kmsKeyId",
		whole + "objectLock: {mode: soft, days: 1}":                      "neither governance nor compliance",
		whole + "objectLock: {mode: governance}":                         "not from 1 to",
		whole + "administrators: ['*']":                                  "not the ARN of one principal",
		whole + "sealerPrefixes: [b]":                                    "is not in prefixes",
		whole + "wildcardPrefixes: [{pattern: a/}]":                      "put it into prefixes",
		"bucketName: Upper\nregion: a\nprefixes: [{s3Prefix: ''}]":       "not the name of a bucket",
		"bucketName: 192.168.0.1\nregion: a\nprefixes: [{s3Prefix: ''}]": "not the name of a bucket",
		"bucketName: calibration\nprefixes: [{s3Prefix: ''}]":            "region",
		strings.Repeat("#", 1<<20+1):                                     "longer than",
	} {
		d, err := provision.Parse([]byte(text))
		if err == nil || !errors.Is(err, provision.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.200q: %v, %v; want an error that says %q", text, d, err, want)
		}
	}
}

// What history and verification lose is said.
func TestWarnings(t *testing.T) {
	text := strings.Join(full(t).Warnings(), "\n")
	for _, want := range []string{"3650 days", "trusted checkpoint", "the history of a key ends"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q does not say %q", text, want)
		}
	}
	if w := parse(t, "bucketName: calibration\nregion: x\nadministrators: ['arn:aws:iam::1:role/a']\nprefixes: [{s3Prefix: ''}]").Warnings(); w != nil {
		t.Errorf("%q", w)
	}
}

func FuzzParse(f *testing.F) {
	text, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte("prefixes: null"))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := provision.Parse(text)
		if err != nil {
			return
		}
		for _, format := range provision.Formats {
			if _, err := d.Render(format, provision.RenderOptions{}); err != nil {
				t.Errorf("%s: %v", format, err)
			}
		}
	})
}
