// Package backend is the contract between the ImmuKV protocol and the store of its
// objects.
//
// The protocol uses a store only as a [VersionedStore]: six methods that read the current
// version of an object, read a given version, read the current version's ID and ETag
// without its body, write a new version under a condition, list the versions of an
// object, and list object names. There is no delete, no rename and no unconditional
// write.
//
// This package has that interface with the clauses S1 to S20 that every implementation
// keeps, the errors of the contract, [Open], which opens a store by URL, and [Probe],
// which checks whether a store keeps the clauses. The implementations are the packages
// below it.
//
//	backend/memstore    in memory: the reference, and a test double
//	backend/blobstore   local files, and any gocloud.dev bucket
//	backend/s3store     S3 and compatible servers, by native versions
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
