package wal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"etcd/wal/crashfs"
	"etcd/wal/vfs"
)

func discardBody(io.Writer) error { return nil }

func bodyOf(id snapshotID) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(body(id))
		return err
	}
}

// patchVersion raises the format version of a header with its CRC at crcAt.
func patchVersion(b []byte, crcAt int) {
	binary.LittleEndian.PutUint32(b[8:], formatVersion+1)
	binary.LittleEndian.PutUint32(b[crcAt:], crc32.Checksum(b[:crcAt], castagnoli))
}

func TestSnapshotBodyRoundTrips(t *testing.T) {
	for _, size := range []int{0, 1, maxChunk - 1, maxChunk, maxChunk + 1, 3*maxChunk + 17} {
		s := NewSnapshots(crashfs.New(), testID)
		want := bytes.Repeat([]byte("0123456789abcdef!"), size/17+1)[:size]
		must(t, s.Save(meta(snapshotID{7, 3}), func(w io.Writer) error {
			for rest := want; len(rest) > 0; { // in pieces of odd sizes
				n := min(len(rest), 1000)
				if _, err := w.Write(rest[:n]); err != nil {
					return err
				}
				rest = rest[n:]
			}
			return nil
		}))
		r, size, err := s.Open(7, 3)
		must(t, err)
		if size != int64(len(want)) {
			t.Errorf("a body of %d bytes is said to have %d", len(want), size)
		}
		got, err := io.ReadAll(r)
		must(t, err)
		must(t, r.Close())
		if !bytes.Equal(got, want) {
			t.Fatalf("body of %d bytes came back as %d others", len(want), len(got))
		}
	}
}

func TestOpenAbsentSnapshot(t *testing.T) {
	if _, _, err := NewSnapshots(crashfs.New(), testID).Open(1, 1); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

func TestFailedSaveLeavesNothing(t *testing.T) {
	fsys := crashfs.New()
	s := NewSnapshots(fsys, testID)
	broken := errors.New("no more state")
	err := s.Save(meta(snapshotID{7, 3}), func(w io.Writer) error {
		if _, err := w.Write(make([]byte, 2*maxChunk)); err != nil {
			return err
		}
		return broken
	})
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), snapshotID{7, 3}.name()) {
		t.Fatal(err)
	}
	if len(fsys.Contents()) != 0 {
		t.Fatalf("left: %v", fsys.Contents())
	}
}

func TestPruneKeepsTheNewest(t *testing.T) {
	fsys := crashfs.New()
	s := NewSnapshots(fsys, testID)
	if release, err := s.Prune(2, 0x20); release != 0 || err != nil {
		t.Fatalf("Prune of nothing: %d, %v", release, err)
	}
	// Names sort by term first, so that 0x20 is not last by name.
	for _, id := range []snapshotID{{5, 9}, {0x20, 2}, {0x10, 3}, {0x18, 3}} {
		must(t, s.Save(meta(id), bodyOf(id)))
	}
	fsys.Put(snapshotID{3, 1}.name()+badSuffix, nil)
	fsys.Put("notes.txt", nil)
	release, err := s.Prune(2, 0x20)
	must(t, err)
	names, err := fsys.List()
	must(t, err)
	want := strings.Join([]string{snapshotID{0x20, 2}.name(), snapshotID{0x18, 3}.name(), "notes.txt"}, " ")
	if got := strings.Join(names, " "); got != want || release != 0x18 {
		t.Fatalf("release up to %#x, left %s", release, got)
	}
	if release, err := s.Prune(3, 0x20); release != 0 || err != nil {
		t.Fatalf("Prune to more than there are: %d, %v", release, err)
	}
}

// Prune spares a snapshot that waits to be installed although two newer ones exist, one that
// is being received, and one that is being read.
func TestPruneSparesWhatIsInUse(t *testing.T) {
	fsys := crashfs.New()
	s := NewSnapshots(fsys, testID)
	for _, id := range []snapshotID{{5, 1}, {10, 1}, {15, 1}} {
		must(t, s.Save(meta(id), bodyOf(id)))
	}
	sending, _, err := s.Open(5, 1)
	must(t, err)
	for _, id := range []snapshotID{{30, 2}, {40, 2}, {50, 2}} {
		must(t, receive(s, id, bytes.NewReader(body(id))))
	}
	begun, goOn, received := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		id := snapshotID{60, 2}
		first := true
		err := receive(s, id, io.MultiReader(readerFunc(func([]byte) (int, error) {
			if first {
				first = false
				close(begun)
			}
			<-goOn
			return 0, io.EOF
		}), bytes.NewReader(body(id))))
		received <- err
	}()
	<-begun
	release, err := s.Prune(2, 20)
	must(t, err)
	if release != 10 || fsys.Has(snapshotID{5, 1}.name()) {
		t.Fatalf("release up to %d, left %v", release, slices.Sorted(maps.Keys(fsys.Contents())))
	}
	close(goOn)
	must(t, <-received)
	for _, id := range []snapshotID{{10, 1}, {15, 1}, {30, 2}, {40, 2}, {50, 2}, {60, 2}} {
		if got, err := readSnapshot(fsys, id); err != nil || !bytes.Equal(got, body(id)) {
			t.Errorf("%v: %q, %v", id, got, err)
		}
	}
	if got, err := io.ReadAll(sending); err != nil || !bytes.Equal(got, body(snapshotID{5, 1})) {
		t.Errorf("what was being sent: %q, %v", got, err)
	}
	release, err = s.Prune(2, 40) // installed
	must(t, err)
	if release != 30 || fsys.Has(snapshotID{15, 1}.name()) || !fsys.Has(snapshotID{50, 2}.name()) {
		t.Fatalf("release up to %d, left %v", release, slices.Sorted(maps.Keys(fsys.Contents())))
	}
}

// A snapshot is saved while one of the same index is received.
func TestSaveWhileReceiving(t *testing.T) {
	fsys := crashfs.New()
	s := NewSnapshots(fsys, testID)
	id := snapshotID{7, 3}
	err := receive(s, id, io.MultiReader(bytes.NewReader(body(id)), readerFunc(func([]byte) (int, error) {
		must(t, s.Save(meta(id), bodyOf(id)))
		return 0, io.EOF
	})))
	must(t, err)
	if got, err := readSnapshot(fsys, id); err != nil || !bytes.Equal(got, body(id)) {
		t.Fatalf("%q, %v", got, err)
	}
	if len(fsys.Contents()) != 1 {
		t.Fatalf("left %v", slices.Sorted(maps.Keys(fsys.Contents())))
	}
}

// Not all is left to the last sync, which cannot be interrupted.
func TestLargeSnapshotIsSyncedAsItGrows(t *testing.T) {
	fsys := crashfs.New()
	syncs := 0
	fsys.Inject = func(op crashfs.Op, _ string) error {
		if op == crashfs.OpSync {
			syncs++
		}
		return nil
	}
	must(t, NewSnapshots(fsys, testID).Save(meta(snapshotID{7, 3}), func(w io.Writer) error {
		_, err := io.CopyN(w, readerFunc(func(p []byte) (int, error) { return len(p), nil }), 4*syncEvery)
		return err
	}))
	if syncs < 4 {
		t.Fatalf("%d MiB were synced in %d pieces", 4*syncEvery>>20, syncs)
	}
}

// receive stores a received snapshot file.
func receive(s *Snapshots, id snapshotID, from io.Reader) error {
	return s.Receive(meta(id), int64(len(body(id))), func(w io.Writer) error {
		_, err := io.Copy(w, from)
		return err
	})
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// readSnapshot reads a whole body.
func readSnapshot(fsys vfs.FS, id snapshotID) ([]byte, error) {
	r, _, err := NewSnapshots(fsys, testID).Open(id.index, id.term)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(r)
	return b, errors.Join(err, r.Close())
}
