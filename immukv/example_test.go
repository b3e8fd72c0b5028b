package immukv_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"strconv"
	"time"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
)

// Calibration is the value type of the examples.
type Calibration struct {
	Alpha float64 `json:"alpha"`
	Beta  float64 `json:"beta"`
}

func Example() {
	ctx := context.Background()
	store := memstore.New() // or backend.Open(ctx, "file:///var/lib/calibration")
	db, err := immukv.Open[Calibration](ctx, store, immukv.WithPrefix("plant-7/"))
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	for _, alpha := range []float64{0.15, 0.17} {
		if _, err := db.Set(ctx, "sensor-012352", Calibration{Alpha: alpha, Beta: 2.8}); err != nil {
			log.Fatal(err)
		}
	}
	latest, err := db.Get(ctx, "sensor-012352")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("latest:", latest.Value)
	for entry, err := range db.History(ctx, "sensor-012352") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(entry.Sequence, entry.Value)
	}
	// Output:
	// latest: {0.17 2.8}
	// 1 {0.17 2.8}
	// 0 {0.15 2.8}
}

// exampleClient is a client of a store with a few entries.
func exampleClient() (*memstore.Store, *immukv.Client[string]) {
	store := memstore.New()
	db, err := immukv.Open[string](context.Background(), store)
	if err != nil {
		log.Fatal(err)
	}
	for i, key := range []string{"valve", "pump", "valve", "pump/spare"} {
		if _, err := db.Set(context.Background(), key, "setting "+strconv.Itoa(i)); err != nil {
			log.Fatal(err)
		}
	}
	return store, db
}

func ExampleClient_Set() {
	ctx := context.Background()
	db, err := immukv.Open[string](ctx, memstore.New(),
		immukv.WithClock(func() time.Time { return time.UnixMilli(1700000000000) }))
	if err != nil {
		log.Fatal(err)
	}
	entry, err := db.Set(ctx, "valve", "open")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(entry.Sequence, entry.Key, entry.Value, entry.Hash)
	// Output:
	// 0 valve open sha256:53d9387ab7ed757eced13fc52000c2aaf4e5c3222aef9de73d6635e2c6696807
}

func ExampleIfSequence() {
	ctx := context.Background()
	_, db := exampleClient()
	seen, err := db.Get(ctx, "valve")
	if err != nil {
		log.Fatal(err)
	}
	// Somebody else sets the valve before we do.
	if _, err := db.Set(ctx, "valve", "closed"); err != nil {
		log.Fatal(err)
	}
	_, err = db.Set(ctx, "valve", "half open", immukv.IfSequence(seen.Sequence))
	var failed *immukv.ConditionError
	if errors.As(err, &failed) {
		fmt.Println("no longer", seen.Sequence, "but", failed.Found.Sequence, string(failed.Found.Value))
	}
	// Output: no longer 2 but 4 "closed"
}

func ExampleIfAbsent() {
	ctx := context.Background()
	_, db := exampleClient()
	for _, key := range []string{"valve", "fan"} {
		_, err := db.Set(ctx, key, "off", immukv.IfAbsent())
		fmt.Println(key, errors.Is(err, immukv.ErrConditionFailed))
	}
	// Output:
	// valve true
	// fan false
}

func ExampleClient_Update() {
	ctx := context.Background()
	db, err := immukv.Open[int](ctx, memstore.New())
	if err != nil {
		log.Fatal(err)
	}
	for range 3 { // or 3 processes at once
		entry, err := db.Update(ctx, "visitors", func(old immukv.Entry[int], exists bool) (int, error) {
			return old.Value + 1, nil
		})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(entry.Value)
	}
	// Output:
	// 1
	// 2
	// 3
}

func ExampleConsistent() {
	ctx := context.Background()
	store, db := exampleClient()
	// Another process is faster at the log than at the key's object.
	other, err := immukv.Open[string](ctx, store, immukv.WithDeferredApply())
	if err != nil {
		log.Fatal(err)
	}
	defer other.Close()
	if _, err := other.Set(ctx, "valve", "closed"); err != nil {
		log.Fatal(err)
	}
	newest, err := db.Get(ctx, "valve", immukv.Consistent())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(newest.Sequence, newest.Value)
	// Output: 4 closed
}

func ExampleClient_Get() {
	_, db := exampleClient()
	entry, err := db.Get(context.Background(), "valve")
	fmt.Println(entry.Sequence, entry.Value, err)
	_, err = db.Get(context.Background(), "boiler")
	fmt.Println(errors.Is(err, immukv.ErrNotFound))
	// Output:
	// 2 setting 2 <nil>
	// true
}

// A history is read page by page from the last entry of the page before.
func ExampleClient_History() {
	_, db := exampleClient()
	ctx := context.Background()
	options := []immukv.HistoryOption{immukv.Limit(1)}
	for {
		var last immukv.LogVersionID
		for entry, err := range db.History(ctx, "valve", options...) {
			if err != nil {
				log.Fatal(err)
			}
			fmt.Println(entry.Sequence, entry.Value)
			last = entry.VersionID
		}
		if last == "" {
			break
		}
		options = []immukv.HistoryOption{immukv.Limit(1), immukv.Before(last)}
	}
	// Output:
	// 2 setting 2
	// 0 setting 0
}

func ExampleClient_Log() {
	_, db := exampleClient()
	for entry, err := range db.Log(context.Background(), immukv.Limit(3)) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(entry.Sequence, entry.Key, entry.Value)
	}
	// Output:
	// 3 pump/spare setting 3
	// 2 valve setting 2
	// 1 pump setting 1
}

func ExampleClient_Keys() {
	_, db := exampleClient()
	for key, err := range db.Keys(context.Background(), immukv.KeyPrefix("pump")) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(key)
	}
	// Output:
	// pump
	// pump/spare
}

// A head kept from an earlier verification proves that nothing was rewritten or cut
// off since, which the log alone cannot prove.
func ExampleClient_VerifyLog() {
	store, db := exampleClient()
	ctx := context.Background()
	report, err := db.VerifyLog(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Valid(), report.Complete, report.Entries, report.Dialects)
	trusted := report.Head() // to be kept where nobody who may write can reach it

	// Somebody cuts off the newest entry, and removes its key object.
	state := store.Dump()
	for i, object := range state.Objects {
		if object.Name == "_log.json" {
			state.Objects[i].Versions = object.Versions[:3]
		}
	}
	shortened, err := memstore.Load(state)
	if err != nil {
		log.Fatal(err)
	}
	auditor, err := immukv.Open[string](ctx, shortened, immukv.WithReadOnly())
	if err != nil {
		log.Fatal(err)
	}
	report, err = auditor.VerifyLog(ctx, immukv.TrustedHead(trusted))
	if err != nil {
		log.Fatal(err)
	}
	for _, finding := range report.Findings {
		fmt.Println(finding)
	}
	// Output:
	// true true 4 [python]
	// _log.json (sequence 3): not-extended: the log ends with sequence 2, before the trusted sequence 3: its end was cut off
}

// An audit finds what was changed behind the protocol's back, in the log and in the
// key objects.
func ExampleClient_Audit() {
	store, _ := exampleClient()
	state := store.Dump()
	for i, object := range state.Objects {
		if object.Name == "keys/valve.json" {
			state.Objects[i].Versions = object.Versions[:1] // takes back the newest setting
		}
	}
	tampered, err := memstore.Load(state)
	if err != nil {
		log.Fatal(err)
	}
	auditor, err := immukv.Open[string](context.Background(), tampered, immukv.WithReadOnly())
	if err != nil {
		log.Fatal(err)
	}
	report, err := auditor.Audit(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	for _, finding := range report.Findings {
		fmt.Println(finding)
	}
	fmt.Println(errors.Is(report.Err(), immukv.ErrVerificationFailed))
	// Output:
	// keys/valve.json (sequence 2): missing-version: the entry is in the log, but in no version of the key object
	// true
}

// centigrade stores temperatures as text.
type centigrade struct{}

func (centigrade) Encode(degrees float64) ([]byte, error) {
	return json.Marshal(strconv.FormatFloat(degrees, 'f', 1, 64) + " degC")
}

func (centigrade) Decode(text []byte) (degrees float64, err error) {
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return 0, err
	}
	_, err = fmt.Sscanf(s, "%f degC", &degrees)
	return degrees, err
}

// Values of several types may share a log, each key read with its own codec.
func ExampleWithCodec() {
	_, settings := exampleClient()
	ctx := context.Background()
	temperatures := immukv.WithCodec(settings, immukv.Codec[float64](centigrade{}))
	if _, err := temperatures.Set(ctx, "boiler", 71.5); err != nil {
		log.Fatal(err)
	}
	entry, err := temperatures.Get(ctx, "boiler")
	fmt.Println(entry.Value, string(entry.JSON), err)
	// Output:
	// 71.5 "71.5 degC" <nil>
}

// A client that may not write reads everything, the newest entry included when its
// writer died before the key object showed it.
func ExampleWithReadOnly() {
	store, _ := exampleClient()
	ctx := context.Background()
	reader, err := immukv.Open[string](ctx, store, immukv.WithReadOnly())
	if err != nil {
		log.Fatal(err)
	}
	entry, err := reader.Get(ctx, "pump")
	fmt.Println(entry.Value, err)
	_, err = reader.Set(ctx, "pump", "off")
	fmt.Println(err)
	// Output:
	// setting 1 <nil>
	// set "pump": client is read-only
}

// hangingUp is a store whose first answer to a write is lost.
type hangingUp struct {
	backend.VersionedStore
	cancel context.CancelFunc
}

func (s *hangingUp) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	v, err := s.VersionedStore.Put(ctx, name, body, cond)
	if s.cancel != nil {
		s.cancel()
		s.cancel = nil
		return backend.Version{}, &backend.Error{Op: "put", Name: name, Kind: backend.ErrOutcomeUnknown, Err: context.Canceled}
	}
	return v, err
}

// When a write was cut off on its way, nobody knows whether it took place until
// somebody asks.
func ExampleClient_Settle() {
	ctx, cancel := context.WithCancel(context.Background())
	store := &hangingUp{VersionedStore: memstore.New(), cancel: cancel}
	db, err := immukv.Open[string](ctx, store)
	if err != nil {
		log.Fatal(err)
	}
	_, err = db.Set(ctx, "valve", "open")
	var unknown *immukv.OutcomeUnknownError
	if errors.As(err, &unknown) {
		fmt.Println("asking about the write of", unknown.Key)
		entry, err := db.Settle(context.Background(), unknown)
		switch {
		case err == nil:
			fmt.Println("it is in the log as sequence", entry.Sequence)
		case errors.Is(err, immukv.ErrConflict):
			fmt.Println("it is not in the log and never will be")
		default:
			fmt.Println("still unknown:", err)
		}
	}
	// Output:
	// asking about the write of valve
	// it is in the log as sequence 0
}
