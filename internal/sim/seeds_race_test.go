//go:build race

package sim

// defaultSeeds is how many seeds a test runs: few, because the race detector takes ten
// times as long, and has little to find where one goroutine runs at a time.
const defaultSeeds = 20
