package wal

import "testing"

// What Durable reports has been synced, and survives a restart.
func TestDurable(t *testing.T) {
	reaches := func(d *driver, want Reach) {
		t.Helper()
		if got := d.log.Durable(); got != want {
			t.Errorf("the log reaches to %+v, want %+v", got, want)
		}
	}
	d := mustDriver(t)
	reaches(d, Reach{})
	d.write(t, 2, 1, 20)
	reaches(d, Reach{Term: 2, Commit: 20, Last: 20, LastTerm: 2})
	d.entry(21, 3, "not synced")
	d.hardState(3, 1, 20)
	reaches(d, Reach{Term: 2, Commit: 20, Last: 20, LastTerm: 2})
	must(t, d.sync())
	reaches(d, Reach{Term: 3, Commit: 20, Last: 21, LastTerm: 3})
	d.restart(t)
	reaches(d, Reach{Term: 3, Commit: 20, Last: 21, LastTerm: 3})
	d.entry(21, 4, "of another leader")
	must(t, d.sync())
	reaches(d, Reach{Term: 3, Commit: 20, Last: 21, LastTerm: 4})
	must(t, d.snapshot(snapshotID{30, 5})) // from a leader
	reaches(d, Reach{Term: 3, Commit: 20, Last: 30, LastTerm: 5})
	d.restart(t)
	reaches(d, Reach{Term: 3, Commit: 20, Last: 30, LastTerm: 5})
	d.entry(31, 5, "the next one")
	d.hardState(5, 0, 31)
	must(t, d.sync())
	must(t, d.snapshot(snapshotID{31, 5})) // its own
	must(t, d.log.roll(0))                 // only the snapshot has the last entry's term now
	must(t, release(d.fs, d.log, 31))
	d.restart(t)
	reaches(d, Reach{Term: 5, Commit: 31, Last: 31, LastTerm: 5})
}

// A snapshot of another branch, which a crash has left without a marker in the log, discards
// entries of the last term. Only a later term justifies that, and there was one: that of the
// leader who sent it.
func TestASnapshotOfAnotherBranchIsOfALaterTerm(t *testing.T) {
	for name, id := range map[string]snapshotID{"before the end": {2, 3}, "past the end": {9, 4}} {
		t.Run(name, func(t *testing.T) {
			d := mustDriver(t)
			d.entry(1, 3, "kept")
			d.entry(2, 5, "never committed")
			d.entry(3, 5, "never committed")
			d.hardState(5, 1, 1)
			must(t, d.sync())
			d.saving = id
			must(t, d.snaps.Save(meta(id), bodyOf(id)))
			must(t, d.reopen(d.fs.Clone(), true))
			want := Reach{Term: 6, Commit: id.index, Last: id.index, LastTerm: id.term}
			if got := d.log.Durable(); got != want {
				t.Errorf("recovered %+v, want %+v", got, want)
			}
		})
	}
}
