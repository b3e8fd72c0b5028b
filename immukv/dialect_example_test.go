package immukv_test

import (
	"fmt"

	"github.com/immukv/immukv-go/immukv"
)

func ExampleDialect_Canonical() {
	value := []byte(`{"beta": 2.80, "alpha": 1.0, "name": "é"}`)
	for _, d := range []immukv.Dialect{immukv.Python, immukv.TypeScript} {
		text, err := d.Canonical(value)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s: %s\n", d, text)
	}
	// Output:
	// python: {"alpha":1.0,"beta":2.8,"name":"\u00e9"}
	// typescript: {"alpha":1,"beta":2.8,"name":"\u00e9"}
}
