package wal

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"etcd/wal/crashfs"
)

var (
	refounded = Identity{ClusterID: 0xc2, MemberID: testID.MemberID, FormerClusterID: testID.ClusterID}
	refoundAt = snapshotID{index: 47, term: 9}
)

// beforeRefound returns a directory with several segments and snapshots, whose log is closed.
func beforeRefound(t *testing.T) *crashfs.Disk {
	t.Helper()
	d := mustDriver(t)
	must(t, scenario(d))
	must(t, d.log.Close())
	return d.fs
}

func refound(fsys *crashfs.Disk) error {
	return Refound(fsys, refounded, 9, meta(refoundAt), func(w io.Writer) error {
		_, err := w.Write(body(refoundAt))
		return err
	}, Options{SegmentSize: 1 << 12})
}

// isRefounded reports whether the directory is that of the new cluster, and fails if it is
// neither that nor the old one.
func isRefounded(t *testing.T, fsys *crashfs.Disk) bool {
	t.Helper()
	log, rec, err := Open(fsys, Options{SegmentSize: 1 << 12})
	must(t, err)
	defer func() { must(t, log.Close()) }()
	names, err := fsys.List()
	must(t, err)
	for _, name := range names {
		if strings.Contains(name, newSuffix) || strings.Contains(name, tempSuffix) {
			t.Errorf("%s is left", name)
		}
	}
	if rec.Identity == testID {
		if rec.HardState.GetCommit() != 45 || rec.Snapshot.GetIndex() != 40 {
			t.Errorf("the old log is not what it was: commit %d, snapshot %d", rec.HardState.GetCommit(), rec.Snapshot.GetIndex())
		}
		return false
	}
	if rec.Identity != refounded || rec.Snapshot.GetIndex() != refoundAt.index || len(rec.Entries) > 1 ||
		rec.HardState.GetCommit() != refoundAt.index || rec.HardState.GetTerm() != 9 {
		t.Errorf("neither old nor new: %+v", rec)
	}
	r, _, err := NewSnapshots(fsys, refounded).Open(refoundAt.index, refoundAt.term)
	must(t, err)
	data, err := io.ReadAll(r)
	must(t, errors.Join(err, r.Close()))
	if !bytes.Equal(data, body(refoundAt)) {
		t.Error("the state is another one")
	}
	log.Append(nil, []*raftpb.Entry{{Index: new(refoundAt.index + 1), Term: new(uint64(10)), Type: raftpb.EntryNormal.Enum()}}, nil)
	must(t, log.Sync())
	return true
}

func TestRefound(t *testing.T) {
	fsys := beforeRefound(t)
	must(t, refound(fsys))
	for range 2 {
		if !isRefounded(t, fsys) {
			t.Fatal("it is the old one still")
		}
	}
}

// Whichever operation fails, and whatever a power cut then leaves: the directory is the old
// one or the new one, and after a retry it is the new one.
func TestRefoundSurvivesPowerCuts(t *testing.T) {
	kept, replaced := 0, 0
	for n := 1; ; n++ {
		fsys := beforeRefound(t)
		failed := failNth(fsys, n)
		err := refound(fsys)
		fsys.Inject = nil
		if *failed == nil {
			must(t, err)
			break
		}
		if err == nil {
			t.Fatalf("operation %d failed without an error", n)
		}
		for _, left := range survivors(fsys) {
			if isRefounded(t, left) {
				replaced++
				continue
			}
			kept++
			must(t, refound(left))
			if !isRefounded(t, left) {
				t.Fatalf("operation %d: the second attempt changes nothing", n)
			}
		}
	}
	if kept == 0 || replaced == 0 {
		t.Errorf("%d directories were kept and %d replaced: this tests nothing", kept, replaced)
	}
}
