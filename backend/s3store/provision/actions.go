package provision

// Action is an action that the policies of this package name.
type Action struct {
	Name string
	// On is the kind of resource: "bucket", "object", or "key", which is a KMS key.
	On string
	// Roles are the roles that have this action, as docs/permissions.md lists them. If
	// there are none, the bucket policy denies the action to everyone, or to everyone
	// but administrators.
	Roles []Role
	// Why says what ImmuKV uses the action for, or why it is denied.
	Why string
}

// actionsSource documents all actions and condition keys of S3.
const actionsSource = "https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html"

var (
	everybody = []Role{Writer, Reader, Sealer, Administrator}
	readers   = []Role{Writer, Reader, Sealer}
	admins    = []Role{Administrator}
	nobody    = []Role(nil)
)

// Actions is the table of all actions in policies of this package. Each is defined in
// the Service Authorization References of S3 and of KMS:
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awskeymanagementservice.html
var Actions = []Action{
	{"s3:GetObject", "object", readers, "reads an entry, and the newest value of a key"},
	{"s3:GetObjectVersion", "object", readers, "reads earlier entries, and the history of a key"},
	{"s3:ListBucket", "bucket", everybody, "lists keys; without it, S3 denies access to an absent object"},
	{"s3:ListBucketVersions", "bucket", everybody, "lists the versions of the log and of keys"},
	{"s3:GetBucketVersioning", "bucket", everybody, "detects at opening that versioning is off"},
	{"s3:PutObject", "object", []Role{Writer, Sealer}, "appends to the log and applies to the key; a sealer writes only below tlog/"},

	{"kms:Decrypt", "key", readers, "decrypts with a KMS key"},
	{"kms:GenerateDataKey", "key", []Role{Writer, Sealer}, "encrypts with a KMS key"},

	{"s3:CreateBucket", "bucket", admins, "creates the bucket"},
	{"s3:GetBucketLocation", "bucket", admins, "finds the bucket's region"},
	{"s3:PutBucketVersioning", "bucket", admins, "enables versioning; denied to others, as it can also suspend it"},
	{"s3:GetEncryptionConfiguration", "bucket", admins, "reads the bucket's encryption"},
	{"s3:PutEncryptionConfiguration", "bucket", admins, "sets the bucket's encryption"},
	{"s3:GetLifecycleConfiguration", "bucket", admins, "reads the lifecycle"},
	{"s3:PutLifecycleConfiguration", "bucket", admins, "sets the lifecycle; denied to others, as it can delete versions"},
	{"s3:GetBucketNotification", "bucket", admins, "reads the notifications"},
	{"s3:PutBucketNotification", "bucket", admins, "sets the notifications"},
	{"s3:GetBucketPolicy", "bucket", admins, "reads the bucket policy"},
	{"s3:PutBucketPolicy", "bucket", admins, "sets the bucket policy; denied to others, as it can remove all denials"},
	{"s3:GetBucketPublicAccessBlock", "bucket", admins, "reads the block of public access"},
	{"s3:PutBucketPublicAccessBlock", "bucket", admins, "blocks public access; denied to others, as it can also allow it"},
	{"s3:GetBucketObjectLockConfiguration", "bucket", admins, "reads the default retention"},
	{"s3:PutBucketObjectLockConfiguration", "bucket", admins, "sets the default retention; denied to others, as it can also remove it"},

	{"s3:DeleteObject", "object", nobody, "hides a log or a key behind a delete marker"},
	{"s3:DeleteObjectVersion", "object", nobody, "deletes versions, and so changes the history"},
	{"s3:BypassGovernanceRetention", "object", nobody, "deletes despite Object Lock in governance mode"},
	{"s3:DeleteBucket", "bucket", nobody, "deletes everything"},
	{"s3:DeleteBucketPolicy", "bucket", nobody, "removes all denials"},
}

// ConditionKeys are all condition keys in policies of this package, each with its
// source.
var ConditionKeys = map[string]string{
	"s3:prefix":           actionsSource,
	"s3:if-match":         "https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html",
	"s3:if-none-match":    "https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html",
	"aws:SecureTransport": "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html",
	"aws:PrincipalArn":    "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html",
}

// TrustAction is the action by which a token of an OIDC provider is exchanged for
// credentials of a role:
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecuritytokenservice.html
const TrustAction = "sts:AssumeRoleWithWebIdentity"

// TrustClaims are the claims of a token that the rendered trust policies test. Each has
// the source of its condition key. That key is the provider's host, a colon and the
// claim. AWS does not list email among the keys. If you rely on it, test that a token
// without the claim is rejected. A condition on a key that AWS does not know is never
// true, so it lets nobody in.
var TrustClaims = map[string]string{
	"aud":   "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html",
	"email": "https://repost.aws/questions/QUX1SlRBh8TaqOYKoSISv2Mw/iam-condition-keys-how-to-access-nested-attributes-in-custom-oidc-token-claims",
}
