//go:build !race

package e2e

// raceBuild says that the server is built without the race detector because
// the tests are.
const raceBuild = false
