package immukv_test

import (
	"context"
	"fmt"
	"hash/fnv"
	"log"

	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
)

// Where one log is too slow, and keys need no common order, each key goes to one of
// several logs by its hash, for ever: their number is not to be changed later.
func ExampleWithPrefix_severalLogs() {
	ctx := context.Background()
	store := memstore.New() // or a bucket
	var logs [8]*immukv.Client[Calibration]
	for i := range logs {
		db, err := immukv.Open[Calibration](ctx, store, immukv.WithPrefix(fmt.Sprintf("log-%d/", i)))
		if err != nil {
			log.Fatal(err)
		}
		defer db.Close()
		logs[i] = db
	}
	logOf := func(key string) *immukv.Client[Calibration] {
		h := fnv.New32a()
		h.Write([]byte(key))
		return logs[h.Sum32()%uint32(len(logs))]
	}

	for _, key := range []string{"sensor-012352", "sensor-012353", "sensor-012354"} {
		if _, err := logOf(key).Set(ctx, key, Calibration{Alpha: 0.15, Beta: 2.8}); err != nil {
			log.Fatal(err)
		}
	}
	entry, err := logOf("sensor-012353").Get(ctx, "sensor-012353")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(entry.Key, entry.Value, "sequence", entry.Sequence)
	// Output: sensor-012353 {0.15 2.8} sequence 0
}
