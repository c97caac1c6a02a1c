package sim

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"etcd/actors"
	"etcd/wal"
	"etcd/wal/crashfs"
	"etcd/witness"
)

// diskFaults are the current faults of a machine's disk.
type diskFaults struct {
	slow     time.Duration // upper bound of a sync
	full     bool
	failSync bool
	failedIn *life         // the process that got an error from the disk
	failedAt time.Duration // when it did
	// killAtSync has the process killed in its next sync, and the power cut a moment
	// after its successor has started.
	killAtSync *rand.Rand
	// cutAt is the number of operations of the next process until a power cut; 0: none.
	cutAt  int
	cutRnd *rand.Rand

	flipped []string      // files in which a bit was flipped since the last life
	before  *crashfs.Disk // the disk before that
	// doubtful: the power was cut during a start after that. The start may have truncated a
	// damaged last record before, which then only peers can tell.
	doubtful bool
}

// hasFailed reports whether l got an error from its disk: it may and must end.
func (d *diskFaults) hasFailed(l *life) bool { return d.failedIn == l }

// operate is called before every operation of the disk.
func (l *life) operate(op crashfs.Op, name string) error {
	faults := &l.m.disks
	if l.dead {
		return syscall.EIO // a deferred cleanup of a process that has ended
	}
	if faults.cutAt > 0 {
		if faults.cutAt--; faults.cutAt == 0 {
			l.sim.count("power cut during a write")
			faults.before = nil
			l.stop(func() *crashfs.Disk { return l.disk.Crash(faults.cutRnd) })
			runtime.Goexit()
		}
	}
	// Whoever got the error first removes what it has written, while others may write.
	if faults.hasFailed(l) && op != crashfs.OpRemove && l.s.now > faults.failedAt+time.Millisecond {
		l.sim.fail("%s goes on to %s %s although its disk has failed", l, op, name)
	}
	if rnd := faults.killAtSync; rnd != nil && op == crashfs.OpSync && l.session != nil {
		faults.killAtSync = nil
		l.sim.count("killed while syncing")
		l.stop(l.disk.Killed)
		l.m.start(l.sim.establish)
		l.s.after(time.Duration(rnd.Int64N(int64(20*time.Millisecond))), func() { l.m.cutPower(rnd) })
		runtime.Goexit()
	}
	l.s.current.sleep(l.takes(op))
	switch {
	case faults.full && op.Failure() == syscall.ENOSPC && strings.HasPrefix(name, witness.FileName):
		l.sim.count("no space for witness records")
		return syscall.ENOSPC // there may still be some for the log
	case faults.full && (op == crashfs.OpCreate || op == crashfs.OpAllocate) && strings.HasPrefix(name, spare):
		l.sim.count("no space for a spare segment")
		return syscall.ENOSPC // there may be some by the time it is needed
	case faults.full && op.Failure() == syscall.ENOSPC:
		faults.failedIn, faults.failedAt = l, l.s.now
		l.sim.count("disk full")
		return syscall.ENOSPC
	case faults.failSync && (op == crashfs.OpSync || op == crashfs.OpSyncDir):
		faults.failedIn, faults.failedAt, faults.failSync = l, l.s.now, false
		l.sim.count("fsync failed")
		return syscall.EIO
	}
	return nil
}

// spare is the prefix of the name of the spare segment.
const spare = "0000000000000000.wal"

// takes returns how long an operation of the disk takes.
func (l *life) takes(op crashfs.Op) time.Duration {
	rnd := l.sim.diskTimes
	switch op {
	case crashfs.OpSync, crashfs.OpSyncDir:
		if slow := l.m.disks.slow; slow > 0 {
			d := time.Duration(rnd.Int64N(int64(slow)))
			l.stalled = l.s.now + d
			return d
		}
		return l.sim.shape.sync/2 + time.Duration(rnd.Int64N(int64(l.sim.shape.sync)))
	}
	return time.Duration(rnd.Int64N(int64(20 * time.Microsecond)))
}

// flip flips a bit in a file of a machine that is down, often in the last record. A file
// gets one flipped bit at most: two damaged records at the end look like one torn tail.
func (m *machine) flip(rnd *rand.Rand) {
	files := damageable(m.disk)
	if len(files) == 0 {
		return
	}
	if m.disks.before == nil && len(m.disks.flipped) == 0 {
		m.disks.before = m.disk.Clone()
	}
	name := files[rnd.IntN(len(files))]
	from := 0
	if rnd.IntN(4) == 0 {
		name = lastSegment(m.disk)
		from = max(0, used(m.disk, name)-30)
	}
	if slices.Contains(m.disks.flipped, name) {
		return
	}
	m.disk.Content(name)[from+rnd.IntN(used(m.disk, name)-from)] ^= 1 << rnd.IntN(8)
	m.disks.flipped = append(m.disks.flipped, name)
	m.sim.count("bit flipped")
}

// damageable returns the files of the log and the snapshots; none if there is no log yet.
func damageable(disk *crashfs.Disk) []string {
	names, _ := disk.List() // never fails
	names = slices.DeleteFunc(names, func(name string) bool {
		return !strings.HasSuffix(name, ".wal") && !strings.HasSuffix(name, ".snap") || used(disk, name) == 0
	})
	if len(names) > 0 && lastSegment(disk) == "" {
		return nil
	}
	return names
}

func lastSegment(disk *crashfs.Disk) (last string) {
	names, _ := disk.List()
	for _, name := range names {
		if strings.HasSuffix(name, ".wal") {
			last = name
		}
	}
	return last
}

// used is the length of a file without the zeros at its end.
func used(disk *crashfs.Disk, name string) int {
	return len(bytes.TrimRight(disk.Content(name), "\x00"))
}

// checkFlip judges a start from a damaged disk: it must not have lost anything, or must
// report it. Damage to the very last record cannot be told from a torn tail; a machine
// that has truncated it counts as damaged.
func (s *Sim) checkFlip(l *life, disk *actors.Disk) {
	faults := &l.m.disks
	if len(faults.flipped) == 0 {
		return
	}
	if faults.before == nil { // the power was cut since
		if disk.Found.Torn != nil {
			l.m.damaged = true
			l.exit()
			runtime.Goexit()
		}
		faults.doubtful = true
		return
	}
	before, err := s.recoverable(faults.before.Clone())
	if err != nil {
		s.fail("%s: the disk could not be read before it was damaged: %v", l, err)
		return
	}
	defer before.Close()
	torn, had := disk.Found.Torn, reach(before)
	switch has := reach(disk); {
	case had == has:
		s.count("damage without effect")
	case torn != nil && s.isLastRecord(torn, faults.before):
		s.count("damage to the last record")
		l.m.damaged = true
		l.exit()
		runtime.Goexit()
	case torn != nil:
		s.fail("%s: because of damage to %v, more than the last record is truncated: %s", l, faults.flipped, torn)
	case len(disk.Found.BadSnapshots) > 0:
		// The newest snapshot had no marker in the log yet, so nothing depends on it.
		s.count("damage to a snapshot that was not logged")
	default:
		s.fail("%s: damage to %v silently changes what is recovered from %+v to %+v", l, faults.flipped, had, has)
	}
	faults.before = nil
}

// isLastRecord reports whether what was truncated is the last record of the log and what
// a crash left behind it, and no more.
func (s *Sim) isLastRecord(cut *wal.TornTail, disk *crashfs.Disk) bool {
	damaged := disk.Clone()
	if d, err := s.recoverable(damaged); err != nil || d.Close() != nil { // this truncates the torn tail of the crash
		return false
	}
	name := lastSegment(damaged)
	damaged.Content(name)[used(damaged, name)-1] ^= 0x55
	d, err := s.recoverable(damaged)
	if err != nil {
		return false // there is no record in the last segment
	}
	defer d.Close()
	torn := d.Found.Torn
	return torn != nil && torn.File == cut.File && torn.Offset == cut.Offset
}

// extent is how far the log of a machine reaches, and whose it is.
type extent struct {
	identity           wal.Identity
	last, term, commit uint64
}

func reach(d *actors.Disk) extent {
	return extent{d.Identity, d.LastIndex(), d.Found.HardState.GetTerm(), d.Found.HardState.GetCommit()}
}

// recoverable opens a disk as a machine would at its start.
func (s *Sim) recoverable(disk *crashfs.Disk) (*actors.Disk, error) {
	return actors.OpenDisk(disk, wal.Options{SegmentSize: s.shape.segment, Keep: s.shape.memory})
}
