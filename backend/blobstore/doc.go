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
// A writer that creates version n+1 after it has read version n has replaced exactly
// version n. Every other writer finds that version n+1 exists. So a write under
// [backend.IfMatch] is two requests, a write under [backend.IfAbsent] is one, and reading
// the newest version is two: the newest version is the first in a listing. The cost does
// not depend on the number of versions. The IDs of versions are v1, v2, …, their ETags
// e1, e2, ….
//
// Each write has its own mark in the object's metadata. If an answer is lost, the SDKs
// below the drivers may repeat a request, and the repeated request fails because the
// object exists. By the mark, the store recognises its own write.
//
// The layout in a directory is the same. So a directory that was copied into a bucket,
// without the temporary files (*.tmp), is the same store, and vice versa.
//
// # Local files
//
// A write is one file. Gocloud's fileblob writes it under a temporary name; it is synced
// and renamed; then the directory and its new parents are synced; then success is
// reported. Readers therefore see a complete version or none. Neither a kill -9 nor a
// power failure undoes a reported write, if disk and file system honour a sync. If a
// reader finds a version that its writer has not synced yet, the reader syncs it first.
//
// Fileblob checks whether a file exists before it renames another to its name, and two
// writers may both find it absent. So the writers of a directory exclude one another by a
// lock on its file _lock. The operating system releases the lock when the process ends in
// any way. The file itself remains and has no meaning, but must not be removed while
// there are writers. Readers take no lock. On a network file system, file locks must work
// across machines.
//
// Beside the versions of an object, a file named latest names the newest one. It saves
// reading the directory. It is only a hint: the numbered files decide. If the version
// that it names is gone, somebody removed it. Then reads of the newest version, and
// writes, fail with [backend.ErrDamaged]. Otherwise a second version with the same number
// would be written.
//
// # Limits
//
//   - Names: any, with two exceptions that are [backend.ErrInvalidName]: in a bucket,
//     names whose keys have more than 1,024 bytes (see [MaxKeyBytes]); in a directory,
//     names whose paths the operating system does not allow. A letter, digit or '-'
//     takes one byte of a key, any other ASCII character three.
//   - Listing names after a given one: in a bucket, the store lists and skips the names
//     before it, a thousand in each request, unless there is a [StartListing]. In a
//     directory, it reads the names of all objects (for names of more than 128
//     characters: of those with the same first 128), and none of their versions. Further
//     pages need not, if no object was added.
//   - Removal is not in the contract. Remove whole objects by other means, not single
//     versions, which would be damage.
package blobstore
