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

// diskFaults is what is wrong with the disk of a machine at the moment.
type diskFaults struct {
	slow     time.Duration // a sync takes up to so long
	full     bool
	failSync bool
	hurt     *life // the process that has met a failure
	// killAtSync has the process killed in its next sync, and the power cut a moment
	// after the next one has started.
	killAtSync *rand.Rand
	// cutAt is after how many operations of the next process the power goes; 0: never.
	cutAt  int
	cutRnd *rand.Rand

	flipped []string      // files in which a bit was flipped since the last life
	before  *crashfs.Disk // the disk as it was then
	// doubtful: the power was cut at a start after that. It may have cut off a damaged last
	// record before, which then only other machines can tell.
	doubtful bool
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
			faults.before = nil
			l.stop(func() *crashfs.Disk { return l.disk.Crash(faults.cutRnd) })
			runtime.Goexit()
		}
	}
	if faults.hurts(l) && op != crashfs.OpRemove {
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
		l.sim.count("no space for the records of the others")
		return syscall.ENOSPC // the log may still have some
	case faults.full && (op == crashfs.OpCreate || op == crashfs.OpAllocate) && strings.HasPrefix(name, spare):
		l.sim.count("no space for the next segment ahead of time")
		return syscall.ENOSPC // there may be some when it is needed
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

// spare is how the file begins that is to become a segment.
const spare = "0000000000000000.wal"

// takes is how long an operation of the disk takes.
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

// flip damages a bit of a file of a machine that is down, often in the last record. It
// is one bit for a file: two records damaged at the end look like one torn write.
func (m *machine) flip(rnd *rand.Rand) {
	files := damageable(m.disk)
	if len(files) == 0 {
		return
	}
	if m.disks.before == nil {
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

// damageable are the files of the log and the snapshots; none if there is no log yet.
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

// used is how long a file is without the zeros at its end.
func used(disk *crashfs.Disk, name string) int {
	return len(bytes.TrimRight(disk.Content(name), "\x00"))
}

// checkFlip judges a start from a damaged disk: it must not have lost anything, or
// must say so. Damage to the very last record cannot be told from a torn write; a
// machine that has cut it off counts as damaged.
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
		s.count("damage without consequence")
	case torn != nil && s.isLastRecord(torn, faults.before):
		s.count("damage to the last record")
		l.m.damaged = true
		l.exit()
		runtime.Goexit()
	case torn != nil:
		s.fail("%s: because of damage to %v, more than the last record is cut off: %s", l, faults.flipped, torn)
	case len(disk.Found.BadSnapshots) > 0:
		// The newest snapshot was not in the log yet, so nobody was told of it.
		s.count("damage to a snapshot that was not logged")
	default:
		s.fail("%s: damage to %v changes what is recovered from %+v to %+v, and nothing is said", l, faults.flipped, had, has)
	}
	faults.before = nil
}

// isLastRecord says whether the last record of a log, and what a crash has left behind
// it, is what was cut off it.
func (s *Sim) isLastRecord(cut *wal.TornTail, disk *crashfs.Disk) bool {
	damaged := disk.Clone()
	if d, err := s.recoverable(damaged); err != nil || d.Close() != nil { // it clears what the crash has left
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

// extent is how far the log of a machine reaches.
type extent struct {
	identity           wal.Identity
	last, term, commit uint64
}

func reach(d *actors.Disk) extent {
	return extent{d.Identity, d.LastIndex(), d.Found.HardState.GetTerm(), d.Found.HardState.GetCommit()}
}

// recoverable is what a machine would start with.
func (s *Sim) recoverable(disk *crashfs.Disk) (*actors.Disk, error) {
	return actors.OpenDisk(disk, wal.Options{SegmentSize: s.shape.segment, Keep: s.shape.memory})
}
