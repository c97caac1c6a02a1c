package server

import (
	"context"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"

	"etcd/actors"
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

const (
	// cgroupPercent is the part of what the control group may have that the collector aims at: not all
	// memory of a process is its own to collect.
	cgroupPercent = 90
	// It aims as well at quotaTimes the quota, for the keys, what is replaced while somebody reads it, and
	// garbage, and baseMemory for everything else.
	quotaTimes = 3
	baseMemory = 100 << 20 // bytes
)

// After a load nothing is allocated that would make the collector run: it does if hardly anything was
// for quietIntervals, and quietGarbage bytes were since it has run.
const (
	quietIntervals = 2
	quietGarbage   = 16 << 20
	hardlyAny      = 1 << 20 // bytes in an interval
)

// memory adapts the garbage collector to the size of the state and to how much memory there is. What an
// operator has set, with GOGC or GOMEMLIMIT, stays.
type memory struct {
	machine atomic.Pointer[actors.Machine] // nil: there is none yet
	log     *slog.Logger

	fixedPercent, fixedLimit bool
	cgroup                   int64  // bytes of what the group may have, 0: no limit
	cgroupFile               string // that says so

	percent int
	limit   int64
	lull    lull
}

func newMemory(root fs.FS, log *slog.Logger) *memory {
	m := &memory{log: log, fixedPercent: os.Getenv("GOGC") != "", fixedLimit: os.Getenv("GOMEMLIMIT") != "", percent: gcPercent, limit: math.MaxInt64}
	if m.fixedLimit {
		log.Info("the garbage collector has a limit of memory", "bytes", debug.SetMemoryLimit(-1), "from", "GOMEMLIMIT")
		return m
	}
	var most int64
	most, m.cgroupFile = cgroupLimit(root)
	m.cgroup = most / 100 * cgroupPercent
	m.setLimit(0, 0)
	return m
}

// bound adapts the garbage collector until ctx ends.
func (m *memory) bound(ctx context.Context) {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/cycles/total:gc-cycles"}, {Name: "/gc/heap/allocs:bytes"}}
	ticker := time.NewTicker(gcInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		metrics.Read(samples)
		live := samples[0].Value.Uint64()
		m.setPercent(percentOf(live))
		if machine := m.machine.Load(); machine != nil {
			m.setLimit(machine.Applied().Quota, live)
		}
		if m.lull.isOver(samples[1].Value.Uint64(), samples[2].Value.Uint64()) && !m.fixedPercent {
			runtime.GC()
		}
	}
}

func (m *memory) setPercent(percent int) {
	if percent != m.percent && !m.fixedPercent {
		debug.SetGCPercent(percent)
		m.percent = percent
	}
}

// setLimit sets the soft limit of memory; quota is 0 if there is none, and live how many bytes are alive.
func (m *memory) setLimit(quota, live uint64) {
	limit := limitOf(m.cgroup, quota, live)
	if limit == m.limit || m.fixedLimit {
		return
	}
	debug.SetMemoryLimit(limit)
	m.limit = limit
	from, level := "the quota", slog.LevelDebug
	switch {
	case limit == m.cgroup:
		from, level = m.cgroupFile, slog.LevelInfo
	case limit != limitOf(m.cgroup, quota, 0):
		from = "what is alive"
	}
	m.log.Log(context.Background(), level, "the garbage collector has a limit of memory", "bytes", limit, "from", from)
}

// limitOf returns the soft limit of memory for what the control group and the quota allow, each 0 if there
// is none. The quota alone leaves half of what is alive for garbage: the collector would do nothing else if
// many connections, which the quota does not know of, came near to its limit.
func limitOf(cgroup int64, quota, live uint64) int64 {
	limit := int64(math.MaxInt64)
	if quota > 0 && quota < math.MaxInt64/quotaTimes-baseMemory {
		limit = max(int64(quota)*quotaTimes+baseMemory, int64(live+live/2))
	}
	if cgroup > 0 {
		limit = min(limit, cgroup)
	}
	return limit
}

// percentOf returns by how many percent a heap of which so many bytes are alive may grow.
func percentOf(live uint64) int {
	return int(min(gcPercent, max(minGCPercent, gcPercent*gcRoom/max(live, 1))))
}

// lull notices that garbage waits for a collection that nothing brings about.
type lull struct {
	cycles, allocated uint64 // when the collector was last seen to have run
	before            uint64 // allocated at the end of the interval before
	intervals         int    // in which hardly anything was allocated, in a row
}

// isOver is called once in a while, with how often the collector has run and how many bytes were allocated
// so far, and reports whether it is to run now.
func (l *lull) isOver(cycles, allocated uint64) bool {
	if cycles != l.cycles {
		*l = lull{cycles: cycles, allocated: allocated, before: allocated}
		return false
	}
	if l.intervals++; allocated-l.before > hardlyAny {
		l.intervals = 0
	}
	l.before = allocated
	return l.intervals >= quietIntervals && allocated-l.allocated >= quietGarbage
}
