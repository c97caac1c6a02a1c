package actors

import (
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// takeSnapshots writes until the machine has n snapshots of its own, not counting other
// files.
func (m *testMachine) takeSnapshots(dir string, n int) {
	m.t.Helper()
	m.eventually("a snapshot of its own", func() bool {
		m.set("/a", strconv.Itoa(m.writes))
		m.writes++
		own := slices.DeleteFunc(list(m.t, dir, ".snap"), func(name string) bool { return strings.HasPrefix(name, receivedTerm) })
		return len(own) >= n
	})
}

const receivedTerm = "0000000000000009-"

// A slow sender does not keep the machine from taking snapshots, without which its log would
// grow.
func TestSnapshotsAreTakenWhileOneIsReceived(t *testing.T) {
	dir := t.TempDir()
	m := start(t, dir, func(c *Config) { c.Raft.SnapshotEntries = 10 })
	body, sender := io.Pipe()
	done := make(chan error, 1)
	m.root.Send(m.Inbox.to.receiver, received(1000, body, func(err error) { done <- err }))
	if _, err := sender.Write([]byte("it begins")); err != nil { // it is being received
		t.Fatal(err)
	}
	m.takeSnapshots(dir, 2)
	gone := errors.New("the sender has gone")
	sender.CloseWithError(gone)
	if err := <-done; !errors.Is(err, gone) {
		t.Errorf("the sender is told %v", err)
	}
	if files := list(t, dir, ".tmp"); len(files) > 0 {
		t.Errorf("it leaves %v behind", files)
	}
}

// Later snapshots do not remove the file of one that waits to be installed.
func TestReceivedSnapshotIsKeptUntilInstalled(t *testing.T) {
	dir := t.TempDir()
	m := start(t, dir, func(c *Config) { c.Raft.SnapshotEntries = 10 })
	for _, index := range []uint64{1000, 2000, 3000} {
		done := make(chan error, 1)
		m.root.Send(m.Inbox.to.receiver, received(index, strings.NewReader(leadersState(index)), func(err error) { done <- err }))
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		m.root.Send(m.Inbox.to.snapshotter, &snapshotLogged{})
	}
	m.takeSnapshots(dir, 2)
	m.root.Send(m.Inbox.to.snapshotter, &snapshotLogged{})
	waiting := func() []string {
		return slices.DeleteFunc(list(t, dir, ".snap"), func(name string) bool { return !strings.HasPrefix(name, receivedTerm) })
	}
	if got := waiting(); len(got) != 3 {
		t.Fatalf("left of those that wait to be installed: %v", got)
	}
	m.root.Send(m.Inbox.to.snapshotter, &snapshotInstalled{index: 3000})
	m.eventually("the old ones go", func() bool { return len(waiting()) == 2 })
}
