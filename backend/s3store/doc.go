// Package s3store keeps a versioned store on S3 and on servers that speak its
// protocol, by their own object versioning and conditional writes: an object of
// the store is an object of the bucket, and so is each version. What it writes,
// every other ImmuKV client reads, and the reverse.
//
// # Opening
//
// The four ways are those in which people hold S3:
//
//	backend.Open(ctx, "s3://bucket?region=eu-central-1")        // by URL, as gocloud spells it
//	s3store.Open(ctx, s3store.Config{Bucket: …, Credentials: …}) // by a few settings
//	s3store.New(ctx, client, "bucket")                           // an *s3.Client
//	s3store.FromBucket(ctx, bucket)                              // a bucket of gocloud's s3blob
//
// Each asks once for the bucket's versioning state, writes nothing, and refuses
// a bucket that cannot keep versions (S20). Credentials that may only read are
// enough to open and to read; those that may not ask for the versioning state
// are let pass, and the first write then sees whether its answer carries a
// version ID.
//
// # Requests
//
// Each method makes one request, but for these: [Store.Head] makes a second for an
// object without content; [Store.ListVersions] one more for each delete marker
// that is not the newest version; and [Store.GetVersion] a second on VersityGW,
// which may answer with parts of different versions.
// Reads are repeated by the SDK as its retry mode says. A write is one attempt
// on the wire: the SDK's retries are off for it, and net/http sends a PUT again
// only if no byte of it had left.
//
// # Names
//
// AWS takes every name. Other servers often keep names as paths of a file
// system, and then take some for others: "a//b" for "a/b", "/a" for "a". So on
// any server that is not AWS's own S3, to go by its host and what it says of
// itself, the store refuses, with [backend.ErrInvalidName], a name that is no
// clean relative path, or that such servers cannot list.
//
// Such servers cannot hold both "a" and "a/b" either: VersityGW refuses the
// second, and MinIO takes it and leaves "a/b" out of its listings. The
// protocol's own objects end in .json and are never each other's directory,
// because no new object may have a name in which a part before the last ends so.
package s3store
