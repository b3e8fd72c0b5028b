package backend_test

import (
	"context"
	"fmt"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
)

// What a program does before it trusts a store that it has not met before.
func ExampleProbe() {
	store := memstore.New()
	report, err := backend.Probe(context.Background(), store, "plant-7/")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range report.Findings {
		fmt.Println(f.Clause, f.Outcome)
	}
	fmt.Println("trusted:", report.Trusted())
	// Output:
	// S1 pass
	// S2 pass
	// S3 pass
	// S4 pass
	// S8 pass
	// S9 pass
	// S10 pass
	// S14 pass
	// trusted: true
}
