//go:build !(linux && amd64)

package e2e

import (
	"testing"
	"time"
)

// shiftedClock would be a wall clock of one process; it needs code for the
// processor.
type shiftedClock struct{}

func shiftClock(*server) *shiftedClock                  { return &shiftedClock{} }
func (*shiftedClock) set(t testing.TB, _ time.Duration) { t.Fatal("no clock can be shifted here") }
func canShiftClocks() bool                              { return false }
