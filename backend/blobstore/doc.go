// Package blobstore keeps a versioned store in any gocloud.dev bucket, and on local
// files. It registers the URL scheme file with [backend.Open], and the schemes of
// all gocloud drivers that the program imports, except s3, which is that of package
// s3store. A store on local files:
//
//	store, err := backend.Open(ctx, "file:///var/lib/calibration?create_dir=true")
//
// # How versions are kept
//
// Gocloud's portable interface has no versions, and the only conditional write is
// create-if-absent. That is enough: the versions of an object are objects of the
// bucket, numbered from 1 without a gap, created once and never changed.
//
//	keys.2fsensor-1.2ejson!/9999999999999997.v2
//	keys.2fsensor-1.2ejson!/9999999999999998.v1
//
// A writer that creates version n+1, after it has seen version n, has replaced
// version n and nothing newer. Every other writer finds that version n+1 exists. So
// a write under [backend.IfMatch] is two requests, one under [backend.IfAbsent] a
// single one, and reading the newest version is two: its number stands first in a
// listing. Their cost does not depend on how many versions there are. The IDs of
// versions are v1, v2, …, their ETags e1, e2, ….
//
// Each write carries a mark of its own in the object's metadata. When an answer is
// lost, the SDKs below the drivers may send a request again, and are then told that
// the object exists. By the mark the store recognises its own write.
//
// The layout in a directory is the same. A directory copied into a bucket, without
// the temporary files (*.tmp), is the same store, and so is a bucket copied into a
// directory.
//
// # Local files
//
// A write is one file, written by gocloud's fileblob under a temporary name,
// synced, and renamed; then the directory is synced, and those above it that are
// new; then success is reported. Readers therefore see a version wholly or not at
// all, and neither a kill -9 nor a power failure undoes what was reported, provided
// that disk and file system honour a sync. If a reader finds a version that its
// writer has not synced yet, the reader syncs it first.
//
// Fileblob checks whether a file exists before it renames another to its name, and
// two writers may both find it absent. So the writers of a directory exclude one
// another by a lock on its file _lock. The operating system releases the lock when
// the process ends, however it ends. The file itself stays and means nothing, but
// must not be removed while there are writers. Readers take no lock. On a network
// file system, file locks have to hold across machines.
//
// Beside the versions of an object, a file named latest says which is the newest.
// It saves reading the directory, and is only a hint: the numbered files are what
// counts. If the version that it names is gone, somebody removed it. Reads of the
// newest version and writes then fail with [backend.ErrDamaged], since otherwise a
// second version would be written under the same number.
//
// # Limits
//
//   - Names: any. Those whose keys come to more than 1,024 bytes are refused in
//     a bucket (see [MaxKeyBytes]), and in a directory those whose paths the
//     operating system does not take. A letter, digit or '-' takes one byte of a
//     key, any other character of ASCII three.
//   - Listing names after a given one: in a bucket it passes by the names before
//     it, a thousand in a request, unless [StartListing] helps. In a directory
//     it reads the names of all objects (of those that begin with the same 128
//     characters, for longer names), and none of their versions; the pages after
//     the first, while no object is added, need not.
//   - Removing anything is not in the contract. Who removes versions by other
//     means removes whole objects, or leaves damage.
package blobstore
