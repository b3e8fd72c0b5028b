package provision

import (
	"fmt"
	"slices"
	"strings"
)

// Role is a set of permissions in the bucket.
type Role string

// The roles.
const (
	Writer        Role = "writer"        // reads, lists, and writes the log and keys of its prefix
	Reader        Role = "reader"        // reads and lists
	Sealer        Role = "sealer"        // reads and lists, and writes below tlog/
	Administrator Role = "administrator" // changes the bucket's configuration
)

// Roles lists all roles.
var Roles = []Role{Writer, Reader, Sealer, Administrator}

// Server is a kind of server. Servers differ in the condition keys that they know and
// in the parts of the bucket API that they have.
type Server string

// The servers that policies can be made for. Any other server is treated as AWS.
const (
	AWS       Server = "aws"
	MinIO     Server = "minio"
	VersityGW Server = "versitygw"
)

// Servers lists all servers.
var Servers = []Server{AWS, MinIO, VersityGW}

// knowsConditionalWrites reports whether policies may require If-Match and If-None-Match.
// The other servers reject a policy with those keys as malformed.
func (s Server) knowsConditionalWrites() bool { return s == AWS }

// Names of objects of a store, below its prefix.
const (
	logName  = "_log.json"
	keysDir  = "keys/"
	sealsDir = "tlog/"
)

// RolePolicy returns the IAM policy of a role, for one of the description's prefixes or
// patterns. An administrator's policy is for the whole bucket; prefix is then ignored.
func (d *Description) RolePolicy(role Role, prefix string, server Server) (Policy, error) {
	if role == Administrator {
		return Policy{policyVersion, d.administration(server)}, nil
	}
	prefix = withSlash(prefix)
	if !slices.Contains(d.prefixes(), prefix) {
		return Policy{}, fmt.Errorf("%w: it has no prefix %q; its prefixes are %s", ErrInvalid, prefix, quoted(d.prefixes()))
	}
	statements := d.reading(prefix)
	switch role {
	case Reader:
	case Writer:
		statements = append(statements, d.writing("Write", server, prefix+logName, prefix+keysDir+"*")...)
	case Sealer:
		if !slices.Contains(d.SealerPrefixes, prefix) {
			return Policy{}, fmt.Errorf("%w: %q is not in sealerPrefixes, which are %s", ErrInvalid, prefix, quoted(d.SealerPrefixes))
		}
		statements = append(statements, d.writing("Seal", server, prefix+sealsDir+"*")...)
	default:
		return Policy{}, fmt.Errorf("%w: unknown role %q; the roles are writer, reader, sealer and administrator", ErrInvalid, role)
	}
	if d.Encryption == EncryptionKMS && server == AWS {
		statements = append(statements, d.useKey(role))
	}
	return Policy{policyVersion, statements}, nil
}

// useKey allows the use of the bucket's KMS key.
func (d *Description) useKey(role Role) Statement {
	actions := []string{"kms:Decrypt"}
	if role != Reader {
		actions = append(actions, "kms:GenerateDataKey")
	}
	key := d.KMSKeyID
	if !strings.HasPrefix(key, "arn:") {
		key = "arn:aws:kms:" + d.Region + ":*:key/" + key
	}
	return Statement{Sid: "UseKey", Effect: allow, Action: actions, Resource: []string{key}}
}

// prefixes returns those that a role may have, including patterns.
func (d *Description) prefixes() []string {
	var all []string
	for _, p := range d.Prefixes {
		all = append(all, p.S3Prefix)
	}
	for _, w := range d.WildcardPrefixes {
		all = append(all, w.Pattern)
	}
	return all
}

func quoted(texts []string) string {
	if len(texts) == 0 {
		return "none"
	}
	var q []string
	for _, text := range texts {
		q = append(q, fmt.Sprintf("%q", text))
	}
	return strings.Join(q, ", ")
}

func (d *Description) bucketARN() string { return "arn:aws:s3:::" + d.BucketName }

func (d *Description) objects(names ...string) []string {
	var arns []string
	for _, name := range names {
		arns = append(arns, d.bucketARN()+"/"+name)
	}
	return arns
}

func (d *Description) reading(prefix string) []Statement {
	list := Statement{Sid: "List", Effect: allow, Action: []string{"s3:ListBucket", "s3:ListBucketVersions"}, Resource: []string{d.bucketARN()}}
	if prefix != "" {
		list.Condition = Conditions{"StringLike": {"s3:prefix": {prefix + "*"}}}
	}
	return []Statement{
		{Sid: "Read", Effect: allow, Action: []string{"s3:GetObject", "s3:GetObjectVersion"}, Resource: d.objects(prefix + "*")},
		list,
		{Sid: "SeeVersioning", Effect: allow, Action: []string{"s3:GetBucketVersioning"}, Resource: []string{d.bucketARN()}},
	}
}

// writing allows to PUT objects, with a condition if the server supports that. To allow
// either of two conditions, it takes two statements: all conditions of one statement must
// hold.
func (d *Description) writing(sid string, server Server, names ...string) []Statement {
	put := Statement{Sid: sid, Effect: allow, Action: []string{"s3:PutObject"}, Resource: d.objects(names...)}
	if !server.knowsConditionalWrites() {
		return []Statement{put}
	}
	create, replace := put, put
	create.Sid, create.Condition = sid+"IfAbsent", Conditions{"Null": {"s3:if-none-match": {"false"}}}
	replace.Sid, replace.Condition = sid+"IfMatch", Conditions{"Null": {"s3:if-match": {"false"}}}
	return []Statement{create, replace}
}

// administration allows what plan, apply and check do. It includes no deletion of objects
// or of the bucket. MinIO rejects a policy with actions that it does not know.
func (d *Description) administration(server Server) []Statement {
	var actions []string
	for _, a := range Actions {
		unknown := server == MinIO && (a.Name == reading[PublicAccess] || a.Name == writing[PublicAccess])
		if a.On == "bucket" && slices.Contains(a.Roles, Administrator) && !unknown {
			actions = append(actions, a.Name)
		}
	}
	return []Statement{{Sid: "Configure", Effect: allow,
		Action: actions, Resource: []string{d.bucketARN()}}}
}

// Sids of the bucket policy. Statements with other Sids belong to others and are not
// changed.
const (
	sidNoDeletion      = "ImmuKVNobodyDeletes"
	sidNoBucketRemoval = "ImmuKVNobodyRemovesTheBucket"
	sidConfiguration   = "ImmuKVAdministratorsConfigure"
	sidConditional     = "ImmuKVConditionalWrites"
	sidTLS             = "ImmuKVEncryptedConnections"
	ownSid             = "ImmuKV"
)

// BucketPolicy returns the policy of the bucket. It allows nothing. It denies the
// actions that nobody should have, even if IAM allows them. Encrypted says whether the
// server's endpoint has TLS.
func (d *Description) BucketPolicy(server Server, encrypted bool) Policy {
	bucket, everything := []string{d.bucketARN()}, d.objects("*")
	statements := []Statement{
		{Sid: sidNoDeletion, Effect: deny, Principal: "*", Resource: everything,
			Action: []string{"s3:DeleteObject", "s3:DeleteObjectVersion", "s3:BypassGovernanceRetention"}},
		{Sid: sidNoBucketRemoval, Effect: deny, Principal: "*", Resource: bucket, Action: []string{"s3:DeleteBucket"}},
	}
	if len(d.Administrators) > 0 {
		statements = append(statements, Statement{Sid: sidConfiguration, Effect: deny, Principal: "*", Resource: bucket,
			Action: []string{"s3:PutBucketVersioning", "s3:PutLifecycleConfiguration", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy",
				"s3:PutBucketPublicAccessBlock", "s3:PutBucketObjectLockConfiguration"},
			Condition: Conditions{"ArnNotEquals": {"aws:PrincipalArn": d.Administrators}}})
	}
	if server.knowsConditionalWrites() {
		// The denied case is that both keys are absent. That includes multipart uploads,
		// which no client makes.
		statements = append(statements, Statement{Sid: sidConditional, Effect: deny, Principal: "*", Action: []string{"s3:PutObject"},
			Resource: everything, Condition: Conditions{"Null": {"s3:if-match": {"true"}, "s3:if-none-match": {"true"}}}})
	}
	if encrypted {
		statements = append(statements, Statement{Sid: sidTLS, Effect: deny, Principal: "*", Action: []string{"s3:*"},
			Resource: append(slices.Clone(bucket), everything...), Condition: Conditions{"Bool": {"aws:SecureTransport": {"false"}}}})
	}
	return Policy{policyVersion, statements}
}
