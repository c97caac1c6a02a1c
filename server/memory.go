package server

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// The garbage collector lets the heap grow by gcPercent of what is alive before it collects: for
// a small state that is CPU time saved for little memory. A large one leaves it gcRoom, or
// minGCPercent of what is alive if that is more.
const (
	gcPercent    = 100
	minGCPercent = 50
	gcRoom       = 128 << 20 // bytes

	gcInterval = 5 * time.Second
)

// boundGarbage adapts the garbage collector to the size of the state until ctx ends. An operator
// who has set GOGC knows better.
func boundGarbage(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	ticker := time.NewTicker(gcInterval)
	defer ticker.Stop()
	for percent := gcPercent; ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		metrics.Read(live)
		if p := percentOf(live[0].Value.Uint64()); p != percent {
			debug.SetGCPercent(p)
			percent = p
		}
	}
}

// percentOf returns by how many percent a heap of which so many bytes are alive may grow.
func percentOf(live uint64) int {
	return int(min(gcPercent, max(minGCPercent, gcPercent*gcRoom/max(live, 1))))
}
