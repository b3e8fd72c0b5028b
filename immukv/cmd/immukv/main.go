// Command immukv reads, writes and verifies an immutable key-value store.
//
//	export IMMUKV_STORE='file:///var/lib/calibration?create_dir=true'
//	immukv set sensor-012352 '{"alpha":0.15,"beta":2.8}'
//	immukv get sensor-012352
//	immukv history sensor-012352
//	immukv audit
//
// Run immukv help for all of it, and immukv demo for a guided tour.
package main

import (
	_ "gocloud.dev/blob/azureblob" // azblob://
	_ "gocloud.dev/blob/gcsblob"   // gs://

	_ "github.com/immukv/immukv-go/backend/s3store" // s3://
	"github.com/immukv/immukv-go/immukv/cli"
)

func main() { cli.Main() }
