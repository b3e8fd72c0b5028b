// Package backend is the contract between the ImmuKV protocol and the place
// where its objects are kept.
//
// The protocol core knows a store only as a [VersionedStore]: six methods that
// read the current version of an object, read a given version, learn the
// current version without its body, write a new version under a condition,
// list the versions of an object, and list object names. There is no delete, no
// rename and no unconditional write.
//
// This package holds that interface with the clauses S1 to S20 that every
// implementation keeps, the errors in which they are expressed, [Open], which opens
// a store by URL, and [Probe], which checks whether a store keeps them. It holds no
// implementation: those are the packages below it.
//
//	backend/memstore    in memory: the reference, and a test double
//	backend/blobstore   local files, and any gocloud.dev bucket
//	backend/s3store     S3 and everything that speaks it, by native versions
//
// # Opening by URL
//
// Importing a store package registers its scheme, as with database drivers:
//
//	import (
//		"github.com/immukv/immukv-go/backend"
//		_ "github.com/immukv/immukv-go/backend/blobstore" // file:// and gocloud schemes
//		_ "github.com/immukv/immukv-go/backend/s3store"   // s3://
//	)
//
//	store, err := backend.Open(ctx, "file:///var/lib/calibration")
//
// A program links only what it imports: one that imports only memstore links
// neither the AWS SDK nor gocloud.
package backend
