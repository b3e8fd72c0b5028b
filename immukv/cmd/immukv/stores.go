package main

// The stores that the command knows. Any of gocloud's bucket drivers that a
// build adds here is one more, through blobstore.
import (
	_ "github.com/immukv/immukv-go/backend/blobstore" // file://
	_ "github.com/immukv/immukv-go/backend/memstore"  // mem://
	_ "github.com/immukv/immukv-go/backend/s3store"   // s3://
)
