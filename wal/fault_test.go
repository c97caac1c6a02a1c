package wal

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"

	"etcd/wal/crashfs"
)

// scenario writes, overwrites, snapshots and rolls over several segments. It
// stops at the first error.
func scenario(d *driver) error {
	next, term := uint64(1), uint64(1)
	write := func(n int) error {
		for range n {
			d.entry(next, term, strings.Repeat("d", int(next%7)*20))
			d.hardState(term, 1, next)
			next++
			if err := d.sync(); err != nil {
				return err
			}
		}
		return nil
	}
	steps := []func() error{
		func() error { return write(8) },
		func() error { return d.snapshot(snapshotID{4, 1}) },
		func() error { return write(8) },
		func() error { return d.snapshot(snapshotID{12, 1}) },
		d.spare,
		func() error { d.entry(17, 1, "stale"); return d.sync() },
		func() error { term = 2; return write(3) },
		func() error { return d.snapshot(snapshotID{18, 2}) },
		func() error { next = 41; return d.snapshot(snapshotID{40, 3}) },
		func() error { term = 3; return write(5) },
		d.spare,
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// failNth makes the n-th operation fail once. A retry would succeed.
func failNth(fsys *crashfs.Disk, n int) (failed *error) {
	failed = new(error)
	i := 0
	fsys.Inject = func(op crashfs.Op, _ string) error {
		if i++; i != n {
			return nil
		}
		*failed = op.Failure()
		return *failed
	}
	return failed
}

// survivors returns the directory as a kill of the process leaves it, and as
// several power cuts do.
func survivors(fsys *crashfs.Disk) []*crashfs.Disk {
	out := []*crashfs.Disk{fsys.Clone()}
	for seed := range uint64(20) {
		out = append(out, fsys.Crash(seeded(seed)))
	}
	return out
}

func TestFailureOfEveryOperation(t *testing.T) {
	for n := 1; ; n++ {
		fsys := crashfs.New()
		failed := failNth(fsys, n)
		d, err := newDriver(fsys)
		created := err == nil
		if created {
			err = scenario(d)
		}
		if *failed == nil {
			must(t, err)
			if n < 100 {
				t.Fatalf("the scenario has only %d operations", n)
			}
			return
		}
		if err == nil && errors.Is(*failed, syscall.ENOSPC) { // for a spare
			d.restart(t)
			continue
		}
		if !errors.Is(err, *failed) {
			t.Fatalf("operation %d failed with %v, what surfaced is %v", n, *failed, err)
		}
		if created {
			checkDead(t, d, n)
		}
		for i, left := range survivors(fsys) {
			after := *d
			after.saved = slices.Clone(d.saved)
			err := after.reopen(left, true)
			if !created && errors.Is(err, ErrNoLog) {
				continue
			}
			if err != nil {
				t.Fatalf("operation %d failed, survivor %d: %v", n, i, err)
			}
			after.write(t, 9, after.acked.last+1, after.acked.last+9)
			after.restart(t)
		}
	}
}

// What a process finds that a killed one has written is durable from then on, whether it was
// synced or not: the new process may acknowledge it. The power cut comes at once, or after
// more was written, in another segment.
func TestWritesOfAKilledProcessAreMadeDurable(t *testing.T) {
	for n := 1; ; n++ {
		fsys := crashfs.New()
		failed := failNth(fsys, n)
		d, err := newDriver(fsys)
		if err == nil {
			err = scenario(d)
		}
		if *failed == nil {
			must(t, err)
			return
		}
		if d.log == nil {
			continue
		}
		for _, more := range []uint64{0, 9} {
			for seed := range uint64(10) {
				after := *d
				after.saved = slices.Clone(d.saved)
				must(t, after.reopen(fsys.Killed(), true))
				if more > 0 {
					after.write(t, 9, after.acked.last+1, after.acked.last+more)
				}
				if err := after.reopen(after.fs.Crash(seeded(seed)), false); err != nil {
					t.Fatalf("killed at operation %d, %d entries more, power cut %d: %v", n, more, seed, err)
				}
			}
		}
	}
}

// checkDead verifies that a log whose file failed touches nothing any more, and
// that one goes on if only a snapshot file failed.
func checkDead(t *testing.T, d *driver, n int) {
	t.Helper()
	dead, touched := d.log.err, false
	d.hardState(d.pending.hs.term, 1, d.pending.hs.commit)
	if dead == nil {
		if err := d.sync(); err != nil {
			t.Fatalf("operation %d failed in a snapshot file, then Sync returned %v", n, err)
		}
		return
	}
	d.fs.Inject = func(crashfs.Op, string) error { touched = true; return nil }
	for what, call := range map[string]func() error{
		"Sync": d.log.Sync, "Release": func() error { return release(d.fs, d.log, 0) }, "Close": d.log.Close,
	} {
		if err := call(); err != dead {
			t.Fatalf("operation %d failed, then %s of the dead log returned %v", n, what, err)
		}
	}
	if touched {
		t.Fatalf("operation %d failed, then the dead log touched the disk", n)
	}
}

// TestFailureDuringRecovery opens a directory that needs every kind of repair,
// with each operation failing in turn, and then once more without.
func TestFailureDuringRecovery(t *testing.T) {
	d := mustDriver(t)
	d.write(t, 1, 1, 30)
	must(t, d.snapshot(snapshotID{20, 1}))
	must(t, d.snapshot(snapshotID{25, 1}))
	unmarked, damaged := snapshotID{50, 4}, snapshotID{60, 4}
	for _, id := range []snapshotID{unmarked, damaged} {
		must(t, d.snaps.Save(meta(id), bodyOf(id)))
	}
	d.fs.Content(damaged.name())[5] ^= 1
	d.fs.Put(segmentName(77)+tempSuffix, nil)
	for unfinished := d.fs.Content(segmentName(d.log.head.seq))[d.log.offset+9:]; len(unfinished) > 0; unfinished = unfinished[1:] {
		unfinished[0] = 1
	}
	d.saving = unmarked
	for n := 1; ; n++ {
		fsys := d.fs.Clone()
		failed := failNth(fsys, n)
		_, _, err := Open(fsys, testOptions)
		if *failed == nil {
			must(t, err)
			if n < 6 {
				t.Fatalf("recovery has only %d operations", n)
			}
			return
		}
		if !errors.Is(err, *failed) {
			t.Fatalf("operation %d failed with %v, what surfaced is %v", n, *failed, err)
		}
		for i, left := range survivors(fsys) {
			after := *d
			after.saved = slices.Clone(d.saved)
			if err := after.reopen(left, true); err != nil {
				t.Fatalf("operation %d failed, survivor %d: %v", n, i, err)
			}
			after.write(t, 9, 51, 55)
			after.restart(t)
		}
		// The next process sees what this one has written, although its syncs failed. What is
		// appended after that must survive a power cut, in this segment and in the next.
		for _, more := range []uint64{0, 1, 30} {
			for seed := range uint64(10) {
				after := *d
				after.saved = slices.Clone(d.saved)
				must(t, after.reopen(fsys.Killed(), true))
				if more > 0 {
					after.write(t, 9, 51, 50+more)
				}
				if err := after.reopen(after.fs.Crash(seeded(seed)), false); err != nil {
					t.Fatalf("operation %d failed, then %d entries more, power cut %d: %v", n, more, seed, err)
				}
			}
		}
	}
}
