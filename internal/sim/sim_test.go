package sim

import (
	"flag"
	"os"
	"testing"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "replay the run with this `seed`")
	traceFlag = flag.String("trace", "", "write everything that happens to this `file`")
)

// TestSeed replays one run: go test ./internal/sim -run TestSeed -seed N
func TestSeed(t *testing.T) {
	cfg := Config{Seed: *seedFlag}
	if *traceFlag != "" {
		f, err := os.Create(*traceFlag)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		cfg.Trace = f
	}
	r := Run(cfg)
	t.Logf("%+v", *r)
	for _, f := range r.Faults {
		t.Log(f)
	}
	if r.Failure != nil {
		t.Fatal(r.Failure)
	}
}
