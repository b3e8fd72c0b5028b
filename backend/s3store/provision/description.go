package provision

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// ErrInvalid is wrapped by every error about the content of a description.
var ErrInvalid = errors.New("invalid description of a bucket")

// Description says how a bucket must be configured. [Parse] reads it from YAML or JSON.
type Description struct {
	BucketName string `yaml:"bucketName"`
	Region     string `yaml:"region"`
	// Encryption is "s3", the default, or "kms" with a KMSKeyID.
	Encryption string `yaml:"encryption"`
	KMSKeyID   string `yaml:"kmsKeyId"`
	// ObjectLock is the default retention of every version, whichever client
	// writes it. Nil asks for none.
	ObjectLock *ObjectLock `yaml:"objectLock"`
	// Administrators are the ARNs of the principals who may change the bucket's
	// configuration. If there are none, the bucket policy does not restrict the
	// configuration: IAM decides.
	Administrators   []string   `yaml:"administrators"`
	Prefixes         []Prefix   `yaml:"prefixes"`
	WildcardPrefixes []Wildcard `yaml:"wildcardPrefixes"`
	// SealerPrefixes are the elements of Prefixes that have a sealer. A sealer writes
	// below tlog/.
	SealerPrefixes []string `yaml:"sealerPrefixes"`
}

// ObjectLock is the default retention of a bucket.
type ObjectLock struct {
	Mode string `yaml:"mode"` // "governance" or "compliance"
	Days int    `yaml:"days"`
}

// Prefix is one store in the bucket. If a retention is zero, versions are kept forever.
type Prefix struct {
	// S3Prefix is the prefix of the store's objects. A slash is added at its end if
	// there is none: "myapp" is the store below "myapp/". Clients do not add a slash,
	// so give them the prefix with it.
	S3Prefix string `yaml:"s3Prefix"`
	// Retention days are counted from the time when a version stops being the current
	// one. Versions to retain are the newest of those that are not current. They need
	// retention days: S3 rejects a rule without days.
	LogVersionRetentionDays int `yaml:"logVersionRetentionDays"`
	LogVersionsToRetain     int `yaml:"logVersionsToRetain"`
	KeyVersionRetentionDays int `yaml:"keyVersionRetentionDays"`
	KeyVersionsToRetain     int `yaml:"keyVersionsToRetain"`
	// OnLogEntryCreated is the ARN of the queue, topic or function that S3 notifies of
	// each new version of the log.
	OnLogEntryCreated string         `yaml:"onLogEntryCreated"`
	OIDCProviders     []OIDCProvider `yaml:"oidcProviders"`
	// OIDCReadOnly makes users of OIDCProviders readers. Without it they are writers.
	OIDCReadOnly bool `yaml:"oidcReadOnly"`
}

// Wildcard is a pattern of prefixes, with * and ?. Only policies use it.
type Wildcard struct {
	Pattern       string         `yaml:"pattern"`
	OIDCProviders []OIDCProvider `yaml:"oidcProviders"`
	OIDCReadOnly  bool           `yaml:"oidcReadOnly"`
}

// OIDCProvider is an identity provider whose users may assume a role.
type OIDCProvider struct {
	IssuerURL     string   `yaml:"issuerUrl"`
	ClientIDs     []string `yaml:"clientIds"`
	AllowedEmails []string `yaml:"allowedEmails"`
}

// maxDays and maxVersions bound retentions, as S3 does.
const (
	maxDays     = 36500
	maxVersions = 100
)

// validate checks the description, fills in its defaults and adds slashes at the end of
// prefixes. It returns all errors.
func (d *Description) validate() error {
	v := &validator{}
	v.check(bucketName.MatchString(d.BucketName) && !strings.Contains(d.BucketName, "..") && !isAddress(d.BucketName),
		"bucketName: %q is not the name of a bucket: 3 to 63 lower-case letters, digits, hyphens and dots, beginning and ending with a letter or digit", d.BucketName)
	v.check(d.Region != "", "region: it is missing")
	if d.Encryption == "" {
		d.Encryption = EncryptionS3
	}
	v.check(d.Encryption == EncryptionS3 || d.Encryption == EncryptionKMS, "encryption: %q is neither s3 nor kms", d.Encryption)
	v.check((d.Encryption == EncryptionKMS) == (d.KMSKeyID != ""), "kmsKeyId and encryption kms need each other")
	v.check(!strings.Contains(d.KMSKeyID, "alias/") && !strings.ContainsAny(d.KMSKeyID, "*? \n\t"), "kmsKeyId: %q is not the ID or ARN of one key; policies do not support aliases", d.KMSKeyID)
	if lock := d.ObjectLock; lock != nil {
		v.check(lock.Mode == "governance" || lock.Mode == "compliance", "objectLock.mode: %q is neither governance nor compliance", lock.Mode)
		v.check(lock.Days >= 1 && lock.Days <= maxDays, "objectLock.days: %d is not from 1 to %d", lock.Days, maxDays)
	}
	for i, admin := range d.Administrators {
		v.check(strings.HasPrefix(admin, "arn:") && !strings.ContainsAny(admin, "*?"), "administrators[%d]: %q is not the ARN of one principal", i, admin)
	}
	v.check(len(d.Prefixes) > 0 || len(d.WildcardPrefixes) > 0, "prefixes: there is none; for the whole bucket, give one with an empty s3Prefix")
	for i := range d.Prefixes {
		v.prefix(fmt.Sprintf("prefixes[%d]", i), &d.Prefixes[i])
	}
	v.overlaps(d.Prefixes)
	for i := range d.WildcardPrefixes {
		w := &d.WildcardPrefixes[i]
		at := fmt.Sprintf("wildcardPrefixes[%d]", i)
		v.check(strings.ContainsAny(w.Pattern, "*?"), "%s.pattern: %q has neither * nor ?; put it into prefixes", at, w.Pattern)
		v.name(at+".pattern", w.Pattern)
		w.Pattern = withSlash(w.Pattern)
		v.providers(at, w.OIDCProviders)
	}
	for i := range d.SealerPrefixes {
		d.SealerPrefixes[i] = withSlash(d.SealerPrefixes[i])
		v.check(slices.ContainsFunc(d.Prefixes, func(p Prefix) bool { return p.S3Prefix == d.SealerPrefixes[i] }),
			"sealerPrefixes[%d]: %q is not in prefixes", i, d.SealerPrefixes[i])
	}
	return v.err()
}

// The kinds of encryption at rest.
const (
	EncryptionS3  = "s3"
	EncryptionKMS = "kms"
)

var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

func isAddress(name string) bool {
	_, err := netip.ParseAddr(name)
	return err == nil
}

func withSlash(prefix string) string {
	if prefix == "" || strings.HasSuffix(prefix, "/") {
		return prefix
	}
	return prefix + "/"
}

// validator collects errors.
type validator struct{ errs []error }

func (v *validator) check(ok bool, format string, args ...any) {
	if !ok {
		v.errs = append(v.errs, fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...))
	}
}

func (v *validator) err() error { return errors.Join(v.errs...) }

// name checks a text that becomes part of names and of patterns in policies.
func (v *validator) name(at, name string) {
	v.check(!strings.HasPrefix(name, "/"), "%s: %q begins with a slash", at, name)
	v.check(!slices.Contains(strings.Split(name, "/"), "..") && !strings.Contains(name, ".."), "%s: %q has two dots in a row", at, name)
	v.check(len(name) <= 512, "%s: it is longer than 512 bytes", at)
	v.check(!strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' || strings.ContainsRune(`$%{}"\`, r) }),
		"%s: %q has a character that policies do not support; use printable ASCII without $ %% { } \" and \\", at, name)
}

func (v *validator) prefix(at string, p *Prefix) {
	v.name(at+".s3Prefix", p.S3Prefix)
	v.check(!strings.ContainsAny(p.S3Prefix, "*?"), "%s.s3Prefix: %q has a wildcard; put patterns into wildcardPrefixes", at, p.S3Prefix)
	p.S3Prefix = withSlash(p.S3Prefix)
	v.retention(at, "log", p.LogVersionRetentionDays, p.LogVersionsToRetain)
	v.retention(at, "key", p.KeyVersionRetentionDays, p.KeyVersionsToRetain)
	if p.OnLogEntryCreated != "" {
		v.check(targetOf(p.OnLogEntryCreated) != "", "%s.onLogEntryCreated: %q is not the ARN of a queue (sqs), a topic (sns) or a function (lambda)", at, p.OnLogEntryCreated)
	}
	v.providers(at, p.OIDCProviders)
}

func (v *validator) retention(at, what string, days, versions int) {
	v.check(days >= 0 && days <= maxDays, "%s.%sVersionRetentionDays: %d is not from 0 (for ever) to %d", at, what, days, maxDays)
	v.check(versions >= 0 && versions <= maxVersions, "%s.%sVersionsToRetain: %d is not from 0 to %d", at, what, versions, maxVersions)
	v.check(versions == 0 || days > 0, "%s.%sVersionsToRetain: S3 rejects a rule that counts versions without days; set %sVersionRetentionDays", at, what, what)
}

func (v *validator) providers(at string, providers []OIDCProvider) {
	for i, p := range providers {
		at := fmt.Sprintf("%s.oidcProviders[%d]", at, i)
		u, err := url.Parse(p.IssuerURL)
		v.check(err == nil && u.Scheme == "https" && u.Host != "" && u.RawQuery == "" && u.Fragment == "" && !strings.ContainsAny(p.IssuerURL, `${}%"\`), "%s.issuerUrl: %q is not an https URL without a query", at, p.IssuerURL)
		v.check(len(p.ClientIDs) > 0, "%s.clientIds: there is none, so a token for any client would be accepted", at)
		v.check(len(p.AllowedEmails) > 0, "%s.allowedEmails: there is none, so every user of the provider would have access", at)
		for _, text := range slices.Concat(p.ClientIDs, p.AllowedEmails) {
			v.check(text != "" && !strings.ContainsAny(text, "*?${}"), "%s: %q is empty or a pattern; list each client and each address", at, text)
		}
	}
}

// overlaps adds an error for two prefixes if one contains the other.
func (v *validator) overlaps(prefixes []Prefix) {
	for i, p := range prefixes {
		for j, q := range prefixes[:i] {
			v.check(!strings.HasPrefix(p.S3Prefix, q.S3Prefix) && !strings.HasPrefix(q.S3Prefix, p.S3Prefix),
				"prefixes[%d] %q and prefixes[%d] %q overlap; the empty prefix allows no other", j, q.S3Prefix, i, p.S3Prefix)
		}
	}
}

// Warnings returns what the description removes from history and verification, and what
// it does not protect.
func (d *Description) Warnings() []string {
	var w []string
	for _, p := range d.Prefixes {
		if p.LogVersionRetentionDays > 0 {
			w = append(w, fmt.Sprintf("prefix %q: versions of the log expire %s. Then the log can only be verified from a trusted checkpoint on (--trusted-start), and no audit covers the expired entries.",
				p.S3Prefix, expiry(p.LogVersionRetentionDays, p.LogVersionsToRetain)))
		}
		if p.KeyVersionRetentionDays > 0 {
			w = append(w, fmt.Sprintf("prefix %q: versions of key objects expire %s. Then the history of a key ends with the oldest remaining version.",
				p.S3Prefix, expiry(p.KeyVersionRetentionDays, p.KeyVersionsToRetain)))
		}
	}
	if len(d.Administrators) == 0 {
		w = append(w, "administrators: there is none, so only IAM decides who may suspend versioning and change the lifecycle.")
	}
	return w
}

func expiry(days, versions int) string {
	text := fmt.Sprintf("%d days after they stop being current", days)
	if versions > 0 {
		text += fmt.Sprintf(", except for the newest %d of those", versions)
	}
	return text
}
