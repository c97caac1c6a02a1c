package wal

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"etcd/wal/crashfs"
)

// TestRandomLife drives a log through everything that a member may do with it,
// crashes and failing disks included, along with the naive model.
func TestRandomLife(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d, err := newDriver(crashfs.New())
		if err != nil {
			rt.Fatal(err)
		}
		d.lazy = true
		l := &life{d: d, term: 1}
		rt.Repeat(map[string]func(*rapid.T){
			"append":    l.append,
			"overwrite": l.overwrite,
			"commit":    l.commit,
			"sync":      func(rt *rapid.T) { l.try(rt, l.d.sync()) },
			"snapshot":  l.snapshot,
			"install":   l.install,
			"reopen":    l.reopen,
			"crash":     func(rt *rapid.T) { l.crash(rt, false) },
			"kill":      func(rt *rapid.T) { l.kill(rt, false) },
			"fail":      l.fail,
			"spare":     l.spare,
			"remove":    l.remove,
			"read back": l.readBack,
			"damage":    l.damage,
		})
	})
}

type life struct {
	d    *driver
	term uint64
}

// try handles err, which only a failing disk may cause, by a crash: a power cut, or a kill of
// the process at this moment.
func (l *life) try(rt *rapid.T, err error) {
	if err == nil {
		return
	}
	if l.d.fs.Inject == nil {
		rt.Fatal(err)
	}
	if rapid.Bool().Draw(rt, "only the process") {
		l.kill(rt, true)
		return
	}
	l.crash(rt, true)
}

func (l *life) crash(rt *rapid.T, inFlight bool) {
	left := l.d.fs.Crash(seeded(rapid.Uint64().Draw(rt, "seed")))
	if err := l.d.reopen(left, inFlight); err != nil {
		rt.Fatal(err)
	}
	l.term = max(l.term, l.d.acked.hs.term)
}

// kill restarts the process, which sees all that its predecessor has written, synced or not.
// Once it has started, that is durable: the next power cut must not take it. A power cut
// during the start may.
func (l *life) kill(rt *rapid.T, inFlight bool) {
	left := l.d.fs.Killed()
	if rapid.Bool().Draw(rt, "power cut at the start") {
		failNth(left, rapid.IntRange(1, 4).Draw(rt, "operations until then"))
		log, _, err := Open(left, testOptions)
		if err != nil {
			left.Inject = nil
			left = left.Crash(seeded(rapid.Uint64().Draw(rt, "seed")))
		} else if err := log.file.Close(); err != nil {
			rt.Fatal(err)
		}
		left.Inject = nil
	}
	if err := l.d.reopen(left, inFlight); err != nil {
		rt.Fatal(err)
	}
	l.term = max(l.term, l.d.acked.hs.term)
	if rapid.Bool().Draw(rt, "power cut afterwards") {
		l.crash(rt, false)
	}
}

func (l *life) add(rt *rapid.T, index uint64, n int) {
	for i := range uint64(n) {
		l.d.entry(index+i, l.term, strings.Repeat("x", rapid.IntRange(0, 700).Draw(rt, "size")))
	}
}

func (l *life) append(rt *rapid.T) {
	l.add(rt, l.d.pending.last+1, rapid.IntRange(1, 5).Draw(rt, "entries"))
}

// committed is the index up to which nothing may be overwritten.
func (l *life) committed() uint64 { return max(l.d.pending.hs.commit, l.d.newest().index) }

func (l *life) overwrite(rt *rapid.T) {
	m := l.d.pending
	if l.committed() >= m.last {
		rt.Skip("nothing uncommitted")
	}
	l.term++
	l.add(rt, rapid.Uint64Range(l.committed()+1, m.last).Draw(rt, "index"), rapid.IntRange(1, 3).Draw(rt, "entries"))
}

func (l *life) commit(rt *rapid.T) {
	m := l.d.pending
	l.d.hardState(l.term, rapid.Uint64Range(0, 3).Draw(rt, "vote"), rapid.Uint64Range(l.committed(), m.last).Draw(rt, "commit"))
}

// snapshot saves one at a committed index after the newest.
func (l *life) snapshot(rt *rapid.T) {
	m := &l.d.acked
	low := max(m.base, l.d.newest().index) + 1
	if low > m.hs.commit {
		rt.Skip("nothing new is committed")
	}
	index := rapid.Uint64Range(low, m.hs.commit).Draw(rt, "index")
	l.try(rt, l.d.snapshot(snapshotID{index, m.entries[index].term}))
}

// install saves a snapshot from a leader, past the end or on another branch.
func (l *life) install(rt *rapid.T) {
	low := l.committed() + 1
	l.term++
	l.try(rt, l.d.snapshot(snapshotID{rapid.Uint64Range(low, low+20).Draw(rt, "index"), l.term}))
}

func (l *life) reopen(rt *rapid.T) {
	if err := l.d.log.Close(); err != nil {
		l.try(rt, err)
		return
	}
	l.d.acked = l.d.pending.clone()
	l.d.fs.Inject = nil
	if err := l.d.reopen(l.d.fs, false); err != nil {
		rt.Fatal(err)
	}
}

// spare prepares the next segment, which a crash may find incomplete or unused.
func (l *life) spare(rt *rapid.T) {
	if l.d.log.spare != nil {
		rt.Skip("there is one")
	}
	l.try(rt, l.d.spare())
}

// remove continues the removal of released segments, which never lags far behind.
func (l *life) remove(rt *rapid.T) {
	if len(l.d.released) == 0 {
		rt.Skip("nothing to remove")
	}
	l.try(rt, l.d.remove(rapid.IntRange(1, 3).Draw(rt, "segments")))
}

func (l *life) readBack(rt *rapid.T) {
	from := rapid.Uint64Range(1, l.d.acked.last+2).Draw(rt, "index")
	if err := l.d.readBack(from, rapid.IntRange(1, 4000).Draw(rt, "bytes")); err != nil {
		rt.Fatal(err)
	}
}

// fail makes one of the next operations fail.
func (l *life) fail(rt *rapid.T) {
	failNth(l.d.fs, rapid.IntRange(1, 12).Draw(rt, "operations until then"))
}

// damage opens a copy whose newest snapshot is damaged: Open falls back to the
// one before, or refuses if the log does not reach back to that.
func (l *life) damage(rt *rapid.T) {
	n := len(l.d.saved)
	if n == 0 {
		rt.Skip("no snapshot")
	}
	fsys := l.d.fs.Clone()
	data := fsys.Content(l.d.newest().name())
	data[rapid.IntRange(0, len(data)-1).Draw(rt, "byte")] ^= 0x20
	var older snapshotID
	if n > 1 && fsys.Has(l.d.saved[n-2].name()) {
		older = l.d.saved[n-2]
	}
	log, rec, err := Open(fsys, testOptions)
	if l.d.acked.base > older.index {
		if !errors.Is(err, ErrIncomplete) {
			rt.Fatalf("the log begins after the snapshot left, and Open returned %v", err)
		}
		return
	}
	if err == nil {
		err = errors.Join(l.d.acked.recovered(older).diff(rec), log.Close())
	}
	if err != nil || len(rec.BadSnapshots) != 1 {
		rt.Fatalf("error %v, passed over %v", err, rec)
	}
}
