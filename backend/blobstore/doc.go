// Package blobstore keeps a versioned store in any gocloud.dev bucket, and on
// local files. It makes the scheme file known to [backend.Open], and with it those
// of all gocloud drivers that a program imports, except s3, for which package
// s3store is there. This is the embedded default:
//
//	store, err := backend.Open(ctx, "file:///var/lib/calibration?create_dir=true")
//
// # How versions are kept
//
// Gocloud's portable interface has no versions, and of conditional writes only
// create-if-absent. It is enough: the versions of an object are objects of the
// bucket, numbered from 1 without a gap, created once and never changed.
//
//	keys.2fsensor-1.2ejson!/9999999999999997.v2
//	keys.2fsensor-1.2ejson!/9999999999999998.v1
//
// Whoever creates version n+1, after seeing that version n is there, has replaced
// version n and nothing newer; everyone else finds version n+1 taken. So a write
// under [backend.IfMatch] is two requests, one under [backend.IfAbsent] a single
// one, and reading the newest version is two: its number stands first in a
// listing. None of it depends on how many versions there are. The IDs of versions
// are v1, v2, …, their ETags e1, e2, ….
//
// Each write carries a mark of its own in the object's metadata. The SDKs below
// the drivers may send a request again when an answer is lost, and are then told
// that the object exists; by the mark the store tells its own write from another.
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
// all, and neither a kill -9 nor a power failure takes back what was reported, as
// far as disk and file system keep to what they say of a sync. A version that was
// seen before its writer had got so far is synced by the reader first.
//
// Fileblob looks whether a file exists before it renames another to its name, and
// two writers may both find it absent. So all writers of a directory take turns,
// by a lock on its file _lock. The operating system holds it and releases it when
// the process ends, however it ends; the file stays, and means nothing by itself,
// but must not be removed while there are writers. Readers take no lock. On a
// network file system, make sure that locks on a file hold between its machines.
//
// Beside the versions of an object a file named latest says which is the newest.
// It saves reading the directory and is a hint only: see what is there by the
// numbered files. If the version that it names is gone, somebody removed it; reads
// of the newest version and writes then fail with [backend.ErrDamaged], for a
// second version under the same number would be written otherwise.
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
