// Package wire defines the bytes that ImmuKV stores: the names of objects, the documents
// in them, their canonical JSON and their hashes. It does no I/O, and uses neither a
// context nor a clock.
//
// # Objects
//
// Below a prefix, [LogName] is the log and [KeyObject] names the object of a key. Each
// version of the log is a document with one entry, or several documents, one in each line
// ([ParseLog]). Each version of a key object is a copy of one entry ([ParseKey]), which
// names the log version that holds the entry.
//
// # Documents
//
// A [Document] is a JSON object. Its members, in the order in which they are stored:
//
//	hash                      "sha256:" and 64 lower-case hexadecimal digits
//	key                       string
//	log_version_id            key objects only: the log version copied
//	previous_hash             hash of the entry before; "sha256:genesis" on the first
//	previous_key_object_etag  log only: the key object's ETag when the entry was
//	                          appended, absent if there was no such object
//	previous_version_id       log only: the log version before, absent on the first
//	sequence                  0, 1, 2, … without gaps
//	timestamp_ms              the writer's clock, in milliseconds since 1970
//	value                     any JSON
//	write_id                  unique to the append; this client's alone, not hashed
//
// A version of the log that holds a batch of entries has their documents joined by line
// feeds, with none at the end. Each follows the one before: its sequence is one more, its
// previous_hash is the hash before, and its previous_version_id is absent. A key occurs
// at most once. The other clients cannot read such a version, and write nothing while one
// is the newest.
//
// A document is stored as canonical JSON: no white space, members sorted, strings and
// numbers written in one way. Readers keep the tokens as they are stored, because those
// were hashed and must be repeated by a repair.
//
// # Dialects
//
// The hash is the SHA-256 of the canonical JSON of key, previous hash, sequence,
// timestamp and value. The two existing clients differ in the names of these five
// members, in the order of object members, and in how they write numbers. A
// [Dialect] is one of these two ways. A reader tries both.
//
// # Reading the code
//
// document.go makes and writes documents, parse.go reads them, batch.go reads and
// writes those that share a version, scan.go walks over JSON text. canonical.go and
// number.go rewrite JSON text in a dialect's canonical form, and hash.go hashes the
// five members.
package wire
