package immukv

import (
	"crypto/sha256"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// BenchmarkVerifyDocument parses a stored log version and checks its hash and
// that its bytes are canonical, then as often takes
// the bare SHA-256 of the same bytes. The metric of-sha256 is the ratio of the
// speeds.
func BenchmarkVerifyDocument(b *testing.B) {
	for _, shape := range []struct {
		name  string
		value func(size int) string
	}{
		{"string", func(size int) string { return `"` + strings.Repeat("x", size-2) + `"` }},
		{"records", recordsValue},
	} {
		for _, size := range []int{100, 4096} {
			b.Run(fmt.Sprintf("%s/%d", shape.name, size), func(b *testing.B) {
				benchmarkVerify(b, storedLogVersion(b, shape.value(size)))
			})
		}
	}
}

func benchmarkVerify(b *testing.B, body []byte) {
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		d, err := parseLogDocument(body)
		if err != nil || d.dialectHint(Python) != Python || !d.canonical() {
			b.Fatal("does not verify", err)
		}
	}
	begin := time.Now()
	for range b.N {
		sum := sha256.Sum256(body)
		runtime.KeepAlive(&sum)
	}
	b.ReportMetric(float64(time.Since(begin))/float64(b.Elapsed()), "of-sha256")
}

// recordsValue is an array of small objects, about size bytes long.
func recordsValue(size int) string {
	var s strings.Builder
	for i := 0; s.Len() < size-40; i++ {
		fmt.Fprintf(&s, `,{"alpha":%d.15,"id":"sensor-%04d","ok":true}`, i, i)
	}
	return "[" + s.String()[1:] + "]"
}

func storedLogVersion(b *testing.B, value string) []byte {
	b.Helper()
	canonical, err := Python.Canonical([]byte(value))
	if err != nil {
		b.Fatal(err)
	}
	return newLogDocument(draft{
		key: "sensor-012352", value: canonical, sequence: 4711, timestampMS: 1700000000000,
		previousHash:      Hash("sha256:" + strings.Repeat("0123456789abcdef", 4)),
		previousVersionID: "3L4kqtJlcpXroDTDmJ.rmSpXd3dIbrHY", hasPreviousKeyETag: true,
		previousKeyETag: `"66fe32fd6620115b7fee589fb1c3b8a0"`,
		writeID:         "0123456789abcdef0123456789abcdef", dialect: Python,
	}).logBody()
}
