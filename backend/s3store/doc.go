// Package s3store keeps a versioned store on S3 and on servers that speak its
// protocol, by their own object versioning and conditional writes: an object of
// the store is an object of the bucket, and so is each version. What it writes,
// every other ImmuKV client reads, and the reverse.
//
// # Opening
//
// There are four ways to open a store:
//
//	backend.Open(ctx, "s3://bucket?region=eu-central-1")        // by URL, as gocloud spells it
//	s3store.Open(ctx, s3store.Config{Bucket: …, Credentials: …}) // by a few settings
//	s3store.New(ctx, client, "bucket")                           // an *s3.Client
//	s3store.FromBucket(ctx, bucket)                              // a bucket of gocloud's s3blob
//
// Each asks once for the bucket's versioning state, writes nothing, and refuses a
// bucket that cannot keep versions (S20). Credentials that may only read are enough
// to open and to read. If the credentials may not read the versioning state, the
// store opens, and the first write checks that its answer has a version ID.
//
// # Requests
//
// Each method makes one request, with these exceptions: [Store.Head] makes a second
// for an object without content; [Store.ListVersions] one more for each delete
// marker that is not the newest version; and [Store.GetVersion] a second on
// VersityGW, which may answer with parts of different versions. The SDK retries
// reads according to its retry mode. It does not retry writes, and net/http sends a
// PUT again only if none of it was sent before.
//
// # Names
//
// AWS accepts every name. Other servers often keep names as paths of a file system,
// and then confuse some of them: "a//b" for "a/b", "/a" for "a". So on every server
// that is not AWS, by its host name and Server header, the store refuses, with
// [backend.ErrInvalidName], a name that is not a clean relative path, or that such
// servers cannot list.
//
// Such servers cannot hold both "a" and "a/b" either: VersityGW refuses the second,
// and MinIO accepts it but leaves "a/b" out of its listings. The protocol's own
// objects end in .json and are never each other's directory, because no new object
// may have a name in which a part before the last ends so.
package s3store
