//go:build race

package e2e

// raceBuild says that the server is built with the race detector because the
// tests are.
const raceBuild = true
