package sim

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"etcd/actors"
	"etcd/wal"
	"etcd/wal/crashfs"
)

// diskFaults is what is wrong with the disk of a machine at the moment.
type diskFaults struct {
	slow     time.Duration // a sync takes up to so long
	full     bool
	failSync bool
	hurt     *life // the process that has met a failure
	// cutAt is after how many operations of the next process the power goes; 0: never.
	cutAt  int
	cutRnd *rand.Rand

	flipped []string      // files in which a bit was flipped since the last life
	before  *crashfs.Disk // the disk as it was then
}

// hurts says whether l has met a failure of its disk: it may and must end.
func (d *diskFaults) hurts(l *life) bool { return d.hurt == l }

// operate is asked before every operation of the disk.
func (l *life) operate(op crashfs.Op, name string) error {
	faults := &l.m.disks
	if l.dead {
		return syscall.EIO // a deferred clean-up of a process that is no more
	}
	if faults.cutAt > 0 {
		if faults.cutAt--; faults.cutAt == 0 {
			l.sim.count("power cut in the middle of a write")
			l.stop(func() *crashfs.Disk { return l.disk.Crash(faults.cutRnd) })
			runtime.Goexit()
		}
	}
	l.s.current.sleep(l.takes(op))
	switch {
	case faults.full && op.Failure() == syscall.ENOSPC:
		faults.hurt = l
		l.sim.count("disk full")
		return syscall.ENOSPC
	case faults.failSync && (op == crashfs.OpSync || op == crashfs.OpSyncDir):
		faults.hurt, faults.failSync = l, false
		l.sim.count("fsync failed")
		return syscall.EIO
	}
	return nil
}

// takes is how long an operation of the disk takes.
func (l *life) takes(op crashfs.Op) time.Duration {
	rnd := l.sim.diskTimes
	switch op {
	case crashfs.OpSync, crashfs.OpSyncDir:
		if slow := l.m.disks.slow; slow > 0 {
			l.stalled = true
			return time.Duration(rnd.Int64N(int64(slow)))
		}
		return l.sim.shape.sync/2 + time.Duration(rnd.Int64N(int64(l.sim.shape.sync)))
	}
	return time.Duration(rnd.Int64N(int64(20 * time.Microsecond)))
}

// flip damages a bit of a file of a machine that is down.
func (m *machine) flip(rnd *rand.Rand) {
	names, _ := m.disk.List()
	names = slices.DeleteFunc(names, func(name string) bool {
		return !strings.HasSuffix(name, ".wal") && !strings.HasSuffix(name, ".snap") || len(m.disk.Content(name)) == 0
	})
	if len(names) == 0 {
		return
	}
	if m.disks.before == nil {
		m.disks.before = m.disk.Clone()
	}
	name := names[rnd.IntN(len(names))]
	content := m.disk.Content(name)
	used := len(content) // zeros behind what was written are of no interest
	for used > 1 && content[used-1] == 0 {
		used--
	}
	content[rnd.IntN(used)] ^= 1 << rnd.IntN(8)
	m.disks.flipped = append(m.disks.flipped, name)
	m.sim.count("bit flipped")
}

// checkFlip judges a start from a damaged disk: it must not have lost anything, or
// must say so. A flip in the very last record cannot be told from a torn write; such a
// machine counts as damaged.
func (s *Sim) checkFlip(l *life, disk *actors.Disk) {
	faults := &l.m.disks
	if len(faults.flipped) == 0 {
		return
	}
	before, err := recoverable(faults.before, s.shape.segment)
	after := summary{disk.Identity, disk.LastIndex(), disk.Found.HardState.GetTerm(), disk.Found.HardState.GetCommit()}
	faults.before = nil
	switch {
	case err != nil:
		s.fail("%s: the disk could not be read before it was damaged: %v", l, err)
	case before == after:
		s.count("damage without consequence")
	case disk.Found.Torn != nil:
		s.count("damage to the last record")
		l.m.damaged = true
		l.exit()
		runtime.Goexit()
	default:
		s.fail("%s: a flipped bit in %v changes what is recovered from %+v to %+v, and nothing is said", l, faults.flipped, before, after)
	}
}

// summary is how far the log of a machine reaches.
type summary struct {
	identity           wal.Identity
	last, term, commit uint64
}

// recoverable looks at what a machine would start with, on a copy of its disk.
func recoverable(disk *crashfs.Disk, segment int64) (summary, error) {
	d, err := actors.OpenDisk(disk.Clone(), wal.Options{SegmentSize: segment})
	if err != nil {
		return summary{}, err
	}
	s := summary{d.Identity, d.LastIndex(), d.Found.HardState.GetTerm(), d.Found.HardState.GetCommit()}
	return s, d.Close()
}
