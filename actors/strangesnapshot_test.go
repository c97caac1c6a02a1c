package actors

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"etcd/store"
	"etcd/store/storepb"
	"etcd/wal"
	"etcd/wal/crashfs"
	"etcd/wal/vfs"
)

// A received snapshot is acked, gets a name on the disk and reaches Raft only if this machine
// can go on from it: with each of these, the machine would fail at its next start, or diverge
// from the cluster.
func TestReceivedSnapshotIsValidated(t *testing.T) {
	const index = 1000
	good := leadersState(index)
	third := store.Member{ID: 13, Name: "m3", PeerURL: "http://127.0.0.1:7003", ClientURL: "http://127.0.0.1:4003"}
	joins := &storepb.Command{Kind: &storepb.Command_SetMember{SetMember: &storepb.SetMember{Member: memberMessage(third)}}}
	leaves := &storepb.Command{Kind: &storepb.Command_RemoveMember{RemoveMember: &storepb.RemoveMember{Id: third.ID}}}
	meta := func(edit func(m *raftpb.Message, s *raftpb.SnapshotMetadata)) func(*raftpb.Message) {
		return func(m *raftpb.Message) { edit(m, m.GetSnapshot().GetMetadata()) }
	}
	voters := func(ids ...uint64) func(*raftpb.Message) {
		return meta(func(_ *raftpb.Message, s *raftpb.SnapshotMetadata) { s.ConfState.Voters = ids })
	}
	newer := new(storepb.SnapshotHeader)
	header, n := protowire.ConsumeBytes([]byte(good))
	if err := proto.Unmarshal(header, newer); err != nil {
		t.Fatal(err)
	}
	newer.FormatVersion = store.Snapshots.Max + 1
	header, err := proto.Marshal(newer)
	if err != nil {
		t.Fatal(err)
	}
	ofNewer := string(protowire.AppendBytes(nil, header)) + good[n:]

	for _, c := range []struct {
		name string
		edit func(m *raftpb.Message)
		body string
		says string
	}{
		{"no snapshot at all", nil, "this is no snapshot at all", "restore snapshot"},
		{"nothing", nil, "", "restore snapshot"},
		{"one that ends early", nil, good[:len(good)-1], "unexpected EOF"},
		{"one with something behind it", nil, good + "\x00", "trailing data"},
		{"one without its beginning", nil, good[n:], "restore snapshot"},
		{"one of a newer version", nil, ofNewer, "written by a newer version"},
		{"a message that is none", func(m *raftpb.Message) {
			*m = raftpb.Message{Type: raftpb.MsgApp.Enum(), From: m.From, To: m.To, Term: m.Term}
		}, good, "MsgApp"},
		{"in the name of another", func(m *raftpb.Message) { m.From = new(uint64(13)) }, good, "in the name of another"},
		{"for another", func(m *raftpb.Message) { m.To = new(uint64(13)) }, good, "invalid snapshot for this machine"},
		{"of a former term", func(m *raftpb.Message) { m.Term, m.Snapshot.Metadata.Term = new(uint64(1)), new(uint64(1)) }, good, "stale term 1"},
		{"of a later term than its leader", meta(func(_ *raftpb.Message, s *raftpb.SnapshotMetadata) { s.Term = new(uint64(10)) }), good, "invalid snapshot for this machine"},
		{"of a term that no elections explain", func(m *raftpb.Message) { m.Term, m.Snapshot.Metadata.Term = new(uint64(1<<62)), new(uint64(1<<62)) }, good, "implausible term"},
		{"of no term", meta(func(_ *raftpb.Message, s *raftpb.SnapshotMetadata) { s.Term = new(uint64(0)) }), good, "invalid snapshot for this machine"},
		{"of no index", meta(func(_ *raftpb.Message, s *raftpb.SnapshotMetadata) { s.Index = new(uint64(0)) }), good, "invalid snapshot for this machine"},
		{"of an absurd index", meta(func(_ *raftpb.Message, s *raftpb.SnapshotMetadata) { s.Index = new(uint64(1 << 60)) }), good, "its index is 1152921504606846976"},
		{"of an index that its state is far from", meta(func(_ *raftpb.Message, s *raftpb.SnapshotMetadata) { s.Index = new(uint64(index + 2000)) }), good, "its last command has index 1000"},
		{"of an index that its state is beyond", meta(func(_ *raftpb.Message, s *raftpb.SnapshotMetadata) { s.Index = new(uint64(index - 1)) }), good, "its last command has index 1000"},
		{"without voters", voters(), good, "invalid snapshot for this machine"},
		{"without this machine", voters(12, 13), leadersState(index, joins), "invalid snapshot for this machine"},
		{"with a member twice", voters(11, 11, 12), good, "invalid snapshot for this machine"},
		{"with a member of a reserved ID", voters(11, 12, 1<<63), good, "invalid snapshot for this machine"},
		{"with member 0", voters(0, 11, 12), good, "invalid snapshot for this machine"},
		{"of two configurations at once", meta(func(_ *raftpb.Message, s *raftpb.SnapshotMetadata) { s.ConfState.VotersOutgoing = []uint64{11} }), good, "invalid snapshot for this machine"},
		{"with a voter that is not listed", voters(11, 12, 13), good, "members of its configuration are not"},
		{"with a voter that was removed", voters(11, 12, 13), leadersState(index, joins, leaves), "members of its configuration are not"},
		{"with a member that has no vote and no place", nil, leadersState(index, joins), "members of its configuration are not"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			m := start(t, dir)
			m.set("/own", "before")
			message := leadersMessage(index)
			if c.edit != nil {
				c.edit(message)
			}
			err := m.ReceiveSnapshot(leader.ID, encoded(t, message), int64(len(c.body)), strings.NewReader(c.body))
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("it is answered with %v, want %q", err, c.says)
			}
			if left := list(t, dir, ".snap"); len(left) > 0 {
				t.Errorf("left on the disk: %v", left)
			}
			m.set("/own", "after")
			if err := m.stop(); err != nil {
				t.Fatal(err)
			}
			m = start(t, dir)
			if got := m.read(m.Raft, "/own"); got.Node == nil || got.Node.Value != "after" {
				t.Errorf("after a restart %+v", got)
			}
			if got := m.read(m.Raft, "/leader"); got.Node != nil {
				t.Error("it has something of the snapshot")
			}
		})
	}
}

// A snapshot that claims to be larger than any disk is refused, and does not end the process.
func TestOversizedSnapshot(t *testing.T) {
	disk := crashfs.New()
	disk.Size = 256 << 20
	m := startOn(t, disk, wal.Options{SegmentSize: 1 << 20})
	err := m.ReceiveSnapshot(leader.ID, encoded(t, leadersMessage(1000)), 1<<50, strings.NewReader("the beginning"))
	if !errors.Is(err, wal.ErrTooLarge) {
		t.Errorf("it is answered with %v", err)
	}
	m.set("/own", "after")
}

// unreadFS is a disk from which no snapshot may be read.
type unreadFS struct {
	vfs.FS
	t testing.TB
}

func (f unreadFS) Open(name string) (vfs.File, error) {
	if strings.HasSuffix(name, ".snap") {
		f.t.Errorf("%s is read", name)
	}
	return f.FS.Open(name)
}

// A valid one is installed without being read back from the disk, also on a learner, and the
// machine starts from it; if the leader resends it, it is acked and dropped.
func TestReceivedSnapshotIsNotReadBack(t *testing.T) {
	const index = 1000
	dir := t.TempDir()
	var log bytes.Buffer
	m := startOn(t, unreadFS{dirFS(t, dir), t}, wal.Options{SegmentSize: 1 << 20}, func(c *Config) {
		c.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	m.set("/own", "1")
	message, body := encoded(t, leadersMessage(index)), leadersState(index)
	if err := m.ReceiveSnapshot(leader.ID, message, int64(len(body)), strings.NewReader(body)); err != nil {
		t.Fatal(err)
	}
	has := func(m *testMachine) bool { n := m.read(m.Store, "/leader").Node; return n != nil && n.Value == "yes" }
	for !has(m) { // a local read comes back at once
		if t.Context().Err() != nil {
			t.FailNow()
		}
	}
	if got := m.read(m.Store, "/own"); got.Node != nil {
		t.Error("what was there before is still there")
	}
	snapshots := list(t, dir, ".snap")

	// The leader resends it, because it does not know that it has arrived.
	rest := strings.NewReader(body)
	if err := m.ReceiveSnapshot(leader.ID, message, int64(len(body)), rest); err != nil || rest.Len() > 0 {
		t.Errorf("the second time %v, and %d bytes were not taken", err, rest.Len())
	}
	if got := list(t, dir, ".snap"); !slices.Equal(got, snapshots) {
		t.Errorf("on the disk: %v, and before %v", got, snapshots)
	}
	if err := m.stop(); err != nil {
		t.Fatal(err)
	}
	disk, err := OpenDisk(dirFS(t, dir), wal.Options{SegmentSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	if got, _ := disk.store.Get("/leader"); got == nil || disk.Found.Snapshot.GetIndex() != index {
		t.Errorf("it starts from %v", disk.Found.Snapshot)
	}
}

// Another one that is received before the first is installed does not replace it.
func TestTwoReceivedSnapshotsAreInstalled(t *testing.T) {
	m := start(t, t.TempDir())
	for _, index := range []uint64{1000, 2000} {
		done := make(chan error, 1)
		m.root.Send(m.Inbox.to.receiver, received(index, strings.NewReader(leadersState(index)), func(err error) { done <- err }))
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	for _, index := range []uint64{1000, 2000} {
		m.root.Send(m.Store, &install{meta: leadersMessage(index).GetSnapshot().GetMetadata()})
		if got := m.read(m.Store, "/leader"); got.Node == nil || got.Node.Modified != index {
			t.Errorf("installed at index %d: %+v", index, got)
		}
	}
}

// A snapshot file with valid checksums that has no state is not fatal: the machine starts from
// the one before, or from its log alone; and when the log begins behind it, the error says what
// to do.
func TestUnrestorableSnapshotOnDisk(t *testing.T) {
	nonsense := func(dir string, index, term uint64) {
		t.Helper()
		meta := leadersMessage(index).GetSnapshot().GetMetadata()
		meta.Term = new(term)
		if err := wal.NewSnapshots(dirFS(t, dir), testIdentity).Save(meta, func(w io.Writer) error {
			_, err := io.WriteString(w, "this is no snapshot at all")
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	m := start(t, dir)
	index := m.set("/kept", "yes")
	if err := m.stop(); err != nil {
		t.Fatal(err)
	}
	nonsense(dir, index, 2)
	disk, err := OpenDisk(dirFS(t, dir), wal.Options{SegmentSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if bad := disk.Found.BadSnapshots; len(bad) != 1 || !strings.Contains(bad[0].Error(), "it cannot be restored") {
		t.Errorf("passed over: %v", bad)
	}
	if err := disk.Close(); err != nil {
		t.Fatal(err)
	}
	m = start(t, dir)
	if got := m.read(m.Raft, "/kept"); got.Node == nil {
		t.Error("something is lost")
	}

	body := leadersState(1000)
	if err := m.ReceiveSnapshot(leader.ID, encoded(t, leadersMessage(1000)), int64(len(body)), strings.NewReader(body)); err != nil {
		t.Fatal(err)
	}
	for m.read(m.Store, "/leader").Node == nil { // until it is installed
		if t.Context().Err() != nil {
			t.FailNow()
		}
	}
	if err := m.stop(); err != nil {
		t.Fatal(err)
	}
	nonsense(dir, 1000, 9)
	_, err = OpenDisk(dirFS(t, dir), wal.Options{SegmentSize: 1 << 20})
	if !errors.Is(err, wal.ErrIncomplete) || !strings.Contains(err.Error(), "it cannot be restored") || !strings.Contains(err.Error(), "remove this one") {
		t.Errorf("got error %v", err)
	}
}
