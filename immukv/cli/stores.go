package cli

// The stores that every command knows. Others are registered by the packages that
// a command imports beside this one.
import (
	_ "github.com/immukv/immukv-go/backend/blobstore" // file://, which the demo needs
	_ "github.com/immukv/immukv-go/backend/memstore"  // mem://
)
