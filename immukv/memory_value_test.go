package immukv_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
)

// A value of the largest size is in memory no more often than it must be: while it is
// written, as the caller's, in canonical form, of which both bodies are made, and in
// the body on its way; when it was read, decoded and as it is stored.
func TestMemoryOfLargeValues(t *testing.T) {
	const size = immukv.DefaultMaxValueBytes - len(`""`)
	// held is how often the value is in what is reachable. The second collection
	// frees what encoding/json keeps in a pool.
	held := func(before int64) float64 {
		runtime.GC()
		return float64(inUse()-before) / float64(size)
	}
	check := func(what string, held, most float64) {
		t.Logf("%s: held %.2f times", what, held)
		if held > most+0.1 {
			t.Errorf("%s: the value is held %.2f times, want %.0f", what, held, most)
		}
	}
	before := inUse()
	writes := 0
	db := open[string](t, &tapped{store: memstore.New(), put: func(r request, _ func() (backend.Version, error)) (backend.Version, error) {
		check(r.String(), held(before), 3)
		writes++
		return backend.Version{ID: backend.VersionID(fmt.Sprint("v", writes)), ETag: backend.ETag(fmt.Sprint("e", writes))}, nil
	}})
	value := strings.Repeat("x", size)
	set(t, db, "key", value)
	if writes != 2 {
		t.Errorf("%d writes", writes)
	}
	runtime.KeepAlive(value)

	mem := memstore.New()
	set(t, open[string](t, mem), "key", value)
	reader := open[string](t, mem, immukv.WithReadOnly(), immukv.WithRepairCheckInterval(-1))
	before = inUse()
	e := get(t, reader, "key")
	check("get", held(before), 2)
	runtime.KeepAlive(e)
	runtime.KeepAlive(mem)
}
