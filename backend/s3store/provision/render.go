package provision

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Format is an output format of [Description.Render].
type Format string

// The formats.
const (
	FormatIAM            Format = "iam"            // policies of roles, as JSON
	FormatBucketPolicy   Format = "bucket-policy"  // the policy of the bucket, as JSON
	FormatCloudFormation Format = "cloudformation" // a template, as JSON
	FormatTerraform      Format = "terraform"      // a configuration, for the AWS provider from 5.0 on
)

// Formats lists all formats.
var Formats = []Format{FormatIAM, FormatBucketPolicy, FormatCloudFormation, FormatTerraform}

// RenderOptions are the options of [Description.Render].
type RenderOptions struct {
	// Role and Prefix select the policies of roles to render. Zero values select all.
	// They have no effect on the bucket's own policy.
	Role   Role
	Prefix *string
	// Server is the server that the policies are for. Empty means AWS. CloudFormation
	// and Terraform are rendered for AWS alone.
	Server Server
}

// Render returns the description in a format. It makes no request and needs no
// credentials. In the format iam, the result is a single policy if Role and Prefix
// select one. Otherwise it is an object of policies by name.
func (d *Description) Render(format Format, opts RenderOptions) (string, error) {
	if opts.Server == "" {
		opts.Server = AWS
	}
	if !slices.Contains(Servers, opts.Server) {
		return "", fmt.Errorf("%w: unknown server %q; the servers are %v", ErrInvalid, opts.Server, Servers)
	}
	if opts.Role != "" && !slices.Contains(Roles, opts.Role) {
		return "", fmt.Errorf("%w: unknown role %q; the roles are %v", ErrInvalid, opts.Role, Roles)
	}
	grants, err := d.grants(opts)
	if err != nil {
		return "", err
	}
	switch format {
	case FormatIAM:
		if len(grants) == 1 {
			return grants[0].policy.JSON() + "\n", nil
		}
		all := make(map[string]Policy)
		for _, g := range grants {
			all[g.name()] = g.policy
		}
		return indented(all), nil
	case FormatBucketPolicy:
		return d.BucketPolicy(opts.Server, true).JSON() + "\n", nil
	case FormatCloudFormation, FormatTerraform:
		if opts.Server != AWS {
			return "", fmt.Errorf("%w: format %s is only for AWS", ErrInvalid, format)
		}
		if format == FormatCloudFormation {
			return d.cloudFormation(grants), nil
		}
		return d.terraform(grants), nil
	}
	return "", fmt.Errorf("%w: unknown format %q; the formats are %v", ErrInvalid, format, Formats)
}

// grant is a role for a prefix.
type grant struct {
	role   Role
	prefix string
	policy Policy
}

func (g grant) name() string {
	if g.role == Administrator {
		return string(g.role)
	}
	return string(g.role) + " " + g.prefix
}

// grants returns the roles for the prefixes that the options select.
func (d *Description) grants(opts RenderOptions) ([]grant, error) {
	if opts.Prefix != nil && !slices.Contains(d.prefixes(), withSlash(*opts.Prefix)) {
		return nil, fmt.Errorf("%w: it has no prefix %q; its prefixes are %s", ErrInvalid, *opts.Prefix, quoted(d.prefixes()))
	}
	var all []grant
	add := func(role Role, prefix string) error {
		if opts.Role != "" && role != opts.Role || role != Administrator && opts.Prefix != nil && prefix != withSlash(*opts.Prefix) {
			return nil
		}
		policy, err := d.RolePolicy(role, prefix, opts.Server)
		all = append(all, grant{role, prefix, policy})
		return err
	}
	for _, prefix := range d.prefixes() {
		roles := []Role{Writer, Reader}
		if slices.Contains(d.SealerPrefixes, prefix) {
			roles = append(roles, Sealer)
		}
		for _, role := range roles {
			if err := add(role, prefix); err != nil {
				return nil, err
			}
		}
	}
	if opts.Prefix == nil || opts.Role == Administrator {
		if err := add(Administrator, ""); err != nil {
			return nil, err
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: no selected prefix has the role %s; sealerPrefixes are %s", ErrInvalid, opts.Role, quoted(d.SealerPrefixes))
	}
	return all, nil
}

// federation is a role that users of an identity provider may assume.
type federation struct {
	grant
	providers []OIDCProvider
}

// federations returns the roles for identity providers.
func (d *Description) federations() []federation {
	var all []federation
	add := func(prefix string, providers []OIDCProvider, readOnly bool) {
		if len(providers) == 0 {
			return
		}
		role := Writer
		if readOnly {
			role = Reader
		}
		policy, err := d.RolePolicy(role, prefix, AWS)
		if err != nil {
			panic(err) // the prefix is the description's own
		}
		all = append(all, federation{grant{role, prefix, policy}, providers})
	}
	for _, p := range d.Prefixes {
		add(p.S3Prefix, p.OIDCProviders, p.OIDCReadOnly)
	}
	for _, w := range d.WildcardPrefixes {
		add(w.Pattern, w.OIDCProviders, w.OIDCReadOnly)
	}
	return all
}

// issuers returns the providers of all federations, each once, with all its clients: an
// account can have only one provider for a URL.
func (d *Description) issuers() []OIDCProvider {
	var all []OIDCProvider
	for _, f := range d.federations() {
		for _, p := range f.providers {
			i := slices.IndexFunc(all, func(q OIDCProvider) bool { return q.IssuerURL == p.IssuerURL })
			if i < 0 {
				all = append(all, OIDCProvider{IssuerURL: p.IssuerURL})
				i = len(all) - 1
			}
			for _, id := range p.ClientIDs {
				if !slices.Contains(all[i].ClientIDs, id) {
					all[i].ClientIDs = append(all[i].ClientIDs, id)
				}
			}
		}
	}
	return all
}

// trust returns the trust policy of a role. arn returns a provider's ARN, in the form of
// the output format.
func (f federation) trust(arn func(issuer string) any) map[string]any {
	var statements []any
	for _, p := range f.providers {
		host := strings.TrimPrefix(p.IssuerURL, "https://")
		statements = append(statements, map[string]any{
			"Effect": allow, "Action": TrustAction,
			"Principal": map[string]any{"Federated": arn(p.IssuerURL)},
			"Condition": map[string]any{"StringEquals": map[string]any{host + ":aud": p.ClientIDs, host + ":email": p.AllowedEmails}},
		})
	}
	return map[string]any{"Version": policyVersion, "Statement": statements}
}

// indented returns a value as indented JSON.
func indented(v any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		panic(err) // it is made of strings, numbers, lists and maps
	}
	return b.String()
}

// identifiers gives each thing a unique name of letters and digits.
type identifiers map[string]int

func (ids identifiers) of(separator string, words ...string) string {
	var parts []string
	for _, word := range words {
		parts = append(parts, strings.FieldsFunc(word, func(r rune) bool {
			return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
		})...)
	}
	if separator == "" {
		for i, part := range parts {
			parts[i] = strings.ToUpper(part[:1]) + part[1:]
		}
	}
	id := strings.Join(parts, separator)
	key := strings.ToLower(id)
	ids[key]++
	if n := ids[key]; n > 1 {
		id += fmt.Sprint(separator, n)
	}
	return id
}
