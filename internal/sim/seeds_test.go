//go:build !race

package sim

// defaultSeeds is how many seeds a test runs.
const defaultSeeds = 100
