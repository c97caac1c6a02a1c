//go:build race

package sim

// defaultSeeds is how many seeds TestSeeds runs: few, because the race detector makes it ten
// times slower, and has little to find where one goroutine runs at a time.
const defaultSeeds = 10
