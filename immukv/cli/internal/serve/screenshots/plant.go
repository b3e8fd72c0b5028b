package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/immukv/tlog"
)

// write is an entry of the store in the pictures.
type write struct {
	at         string // of one day
	key, value string
}

// writes are a day in a plant.
var writes = []write{
	{"08:02:11", "calibration/sensor-012352", `{"alpha":0.15,"beta":2.8,"points":[0,25,50,75],"unit":"bar"}`},
	{"08:02:48", "calibration/sensor-012353", `{"alpha":0.41,"beta":1.9,"points":[0,25,50,75],"unit":"bar"}`},
	{"08:15:30", "limits/pump-7", `{"pressure":{"low":1.2,"high":6},"temperature":{"high":80},"alarm":true}`},
	{"08:16:02", "limits/pump-8", `{"pressure":{"low":1.2,"high":6.5},"temperature":{"high":80},"alarm":true}`},
	{"09:40:00", "recipe/batch-0112", `{"product":"A-17","steps":[{"do":"heat","to":62.5},{"do":"hold","minutes":20}]}`},
	{"10:05:19", "calibration/sensor-012352", `{"alpha":0.17,"beta":2.8,"points":[0,20,40,60,80],"unit":"bar"}`},
	{"11:30:00", "recipe/batch-0113", `{"product":"A-17","steps":[{"do":"heat","to":63},{"do":"hold","minutes":20}]}`},
	{"13:12:45", "limits/pump-7", `{"pressure":{"low":1.2,"high":6.5},"temperature":{"high":80,"low":5},"alarm":true}`},
	{"14:20:07", "calibration/sensor-012352", `{"alpha":0.17,"beta":2.81,"drift":{"per_day":0.002,"since":"2026-11-20"},"points":[0,20,40,60,80]}`},
	{"15:01:33", "maintenance/valve-31", `"replaced"`},
	{"15:47:50", "recipe/batch-0114", `{"product":"B-02","steps":[{"do":"heat","to":58},{"do":"stir","minutes":5},{"do":"hold","minutes":35}]}`},
}

// sealed is how many of them a checkpoint covers.
const sealed = 9

// plant is a store in memory with these writes, and no clock or chance but its own,
// and the verifier key of its log.
func plant(ctx context.Context) (*memstore.Store, string, error) {
	store := memstore.New()
	var now time.Time
	db, err := immukv.Open[json.RawMessage](ctx, store,
		immukv.WithClock(func() time.Time { return now }), immukv.WithRandom(rand.NewChaCha8([32]byte{7})))
	if err != nil {
		return nil, "", err
	}
	private, verifier, err := tlog.GenerateKey("example.com/plant-7")
	if err != nil {
		return nil, "", err
	}
	signer, err := tlog.NewSigner(private)
	if err != nil {
		return nil, "", err
	}
	for i, w := range writes {
		if i == sealed {
			if _, err := tlog.Seal(ctx, db, signer); err != nil {
				return nil, "", err
			}
		}
		if now, err = time.Parse(time.DateTime, "2026-11-24 "+w.at); err != nil {
			return nil, "", err
		}
		if _, err := db.Set(ctx, w.key, json.RawMessage(w.value)); err != nil {
			return nil, "", err
		}
	}
	return store, verifier, db.Close()
}

// tamper is a copy of the store in which somebody raised a limit of pump 7, in the log.
func tamper(store *memstore.Store) (*memstore.Store, error) {
	state := store.Dump()
	const entry, old, raised = `"low":5`, `"high":6.5`, `"high":9.5`
	changed := 0
	for _, object := range state.Objects {
		if object.Name != "_log.json" {
			continue
		}
		for i, version := range object.Versions {
			if strings.Contains(version.Body, entry) {
				object.Versions[i].Body = strings.Replace(version.Body, old, raised, 1)
				changed += strings.Count(version.Body, old)
			}
		}
	}
	if changed != 1 {
		return nil, fmt.Errorf("%d versions of the log have the limit, not 1", changed)
	}
	return memstore.Load(state)
}
