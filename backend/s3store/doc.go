// Package s3store keeps a versioned store on S3 and on compatible servers. It uses their
// object versioning and conditional writes: an object of the store is an object of the
// bucket, and so is each version. Every other ImmuKV client can read what it writes, and
// the reverse.
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
// Each makes one request for the bucket's versioning state and writes nothing. If the
// bucket cannot keep versions, the error is [backend.ErrUnsupported] (S20). Credentials
// for reading only are enough to open and to read. If the credentials may not read the
// versioning state, the store opens, and the first write checks that its answer has a
// version ID.
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
// AWS accepts every name. Other servers often store names as paths of a file system, and
// then confuse some of them: "a//b" with "a/b", "/a" with "a". AWS is recognised by its
// host name and Server header. On every other server, the store returns
// [backend.ErrInvalidName] for a name that is not a clean relative path, or that such
// servers cannot list.
//
// Such servers cannot hold both "a" and "a/b", either: VersityGW rejects the second, and
// MinIO accepts it but does not list it. The protocol's own objects end in .json. None of
// them can be a directory of another, because no new object may have a name in which a
// part before the last ends so.
package s3store
