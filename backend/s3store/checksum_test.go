package s3store_test

import (
	"crypto/md5"
	"encoding/base64"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/s3store/s3test"
)

// Every PUT has a checksum, which S3 demands in a bucket with Object Lock: the SDK's
// where the client adds it, and otherwise one that every server knows.
func TestChecksum(t *testing.T) {
	servers.Each(t, func(t *testing.T, server *s3test.Server) {
		bucket := server.NewBucket(t)
		proxy := s3test.NewProxy(t, server.Endpoint())
		for name, c := range map[string]struct {
			setting aws.RequestChecksumCalculation
			header  string
		}{
			"required":  {aws.RequestChecksumCalculationWhenRequired, "Content-Md5"},
			"supported": {aws.RequestChecksumCalculationWhenSupported, "X-Amz-Checksum-Crc32"},
		} {
			s := open(t, server, bucket, s3test.At(proxy.URL), func(o *s3.Options) { o.RequestChecksumCalculation = c.setting })
			proxy.Requests()
			body := []byte(`{"of":"` + name + `"}`)
			write(t, s, name, string(body), backend.IfAbsent())
			sum := md5.Sum(body)
			for _, r := range proxy.Requests() {
				got := r.Header.Get(c.header)
				if got == "" || c.header == "Content-Md5" && got != base64.StdEncoding.EncodeToString(sum[:]) {
					t.Errorf("%s: %s is %q", name, c.header, got)
				}
			}
		}
	})
}
