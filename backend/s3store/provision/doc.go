// Package provision makes and checks the bucket that a store of package s3store
// lives in. One [Description] says what the bucket has to be: versioned,
// encrypted, locked, closed to the public, with a lifecycle and notifications, and
// who may do what in it. From it come
//
//   - [Bucket.Plan]: what there is, and what would change;
//   - [Bucket.Apply]: the changes, each said, safe to repeat;
//   - [Bucket.Check]: every deviation and every danger, with its remedy;
//   - [Description.Render]: policies, CloudFormation and Terraform, offline.
//
// Apply speaks the bucket API of S3 alone. Roles and OIDC providers live in IAM, and
// are rendered for the tool that owns them.
//
// Nobody else needs this package: users of s3store who do not import it do not link
// it.
package provision
