// Package provision creates and checks the bucket of a store of package s3store. A
// [Description] says how the bucket must be configured: versioning, encryption, Object
// Lock, public access, lifecycle and notifications. It also says who has which
// permissions in the bucket. The description is used by:
//
//   - [Bucket.Plan] compares the bucket with it and lists what would change;
//   - [Bucket.Apply] makes the changes, reports each of them, and is safe to repeat;
//   - [Bucket.Check] lists every deviation and every danger, with its remedy;
//   - [Description.Render] writes policies, CloudFormation and Terraform, offline.
//
// Apply uses only the bucket API of S3. Roles and OIDC providers belong to IAM. Render
// writes them for the tool that manages IAM.
//
// The package is optional: a program that does not import it does not link it.
package provision
