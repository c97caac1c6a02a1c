package witness

import (
	"errors"
	"math/rand/v2"
	"testing"

	"etcd/wal"
	"etcd/wal/crashfs"
)

var self = wal.Identity{ClusterID: 0xc1, MemberID: 0xb0}

func TestRecordsRoundTrip(t *testing.T) {
	disk := crashfs.New()
	book, err := Load(disk, self)
	if err != nil || !book.SameRecords(NewBook(nil)) {
		t.Fatalf("an empty directory: %+v, %v", book, err)
	}
	for term := uint64(1); term < 4; term++ {
		book = book.See(member, wal.Reach{Term: term, LastTerm: term, Last: 10 * term, Commit: 9 * term}).See(2, wal.Reach{Term: term})
		if err := book.Save(disk, self); err != nil {
			t.Fatal(err)
		}
		got, err := Load(disk, self)
		if err != nil || !got.SameRecords(book) {
			t.Errorf("%+v, %v, want %+v", got, err, book)
		}
	}
	if other, err := Load(disk, wal.Identity{ClusterID: 0xc1, MemberID: 0xb1}); err != nil || !other.SameRecords(NewBook(nil)) {
		t.Errorf("to another member the file says %+v, %v", other, err)
	}
	if err := Remove(disk); err != nil || disk.Has(FileName) {
		t.Errorf("after Remove: %v", err)
	}
	if err := Remove(disk); err != nil {
		t.Error(err)
	}
}

// A refounded machine keeps records like any other.
func TestRecordsOfARefoundedCluster(t *testing.T) {
	disk, anew := crashfs.New(), wal.Identity{ClusterID: 7, MemberID: 1, FormerClusterID: 6}
	book := NewBook(nil).See(member, wal.Reach{Term: 1, LastTerm: 1, Last: 5, Commit: 5})
	if err := book.Save(disk, anew); err != nil {
		t.Fatal(err)
	}
	if got, err := Load(disk, anew); err != nil || !got.SameRecords(book) {
		t.Errorf("%+v, %v, want %+v", got, err, book)
	}
}

// After a power cut at any moment there are the old records or the new ones, and the next ones
// can be saved.
func TestRecordsSurvivePowerCuts(t *testing.T) {
	before := NewBook(nil).See(member, wal.Reach{Term: 1})
	after := before.See(member, wal.Reach{Term: 2, LastTerm: 2, Last: 7})
	errCut := errors.New("power cut")
	for seed := range uint64(20) {
		for at := 1; ; at++ {
			disk := crashfs.New()
			if err := before.Save(disk, self); err != nil {
				t.Fatal(err)
			}
			n := 0
			disk.Inject = func(crashfs.Op, string) error {
				if n++; n >= at {
					return errCut
				}
				return nil
			}
			err := after.Save(disk, self)
			disk = disk.Crash(rand.New(rand.NewPCG(seed, 0)))
			got, loadErr := Load(disk, self)
			if loadErr != nil || !got.SameRecords(before) && !got.SameRecords(after) || err == nil && !got.SameRecords(after) {
				t.Fatalf("seed %d, cut at operation %d (%v): %+v, %v", seed, at, err, got, loadErr)
			}
			if err := after.Save(disk, self); err != nil {
				t.Fatalf("seed %d, cut at operation %d: saved again: %v", seed, at, err)
			}
			if err == nil {
				break
			}
		}
	}
}

// A damaged file yields no records, and is no error.
func TestDamagedRecords(t *testing.T) {
	book := NewBook(nil).See(member, wal.Reach{Term: 1, LastTerm: 1, Last: 5, Commit: 5})
	data := book.encode(self)
	for i := range data {
		disk := crashfs.New()
		if err := book.Save(disk, self); err != nil {
			t.Fatal(err)
		}
		disk.Content(FileName)[i] ^= 0x10
		got, err := Load(disk, self)
		if !errors.Is(err, ErrDamaged) || !got.SameRecords(NewBook(nil)) {
			t.Errorf("byte %d is damaged: %+v, %v", i, got, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(NewBook(nil).See(member, wal.Reach{Term: 1}).encode(self))
	f.Add([]byte(fileMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		records, err := decode(data, self)
		if err == nil && len(records)*recordSize > len(data) {
			t.Errorf("%d records in %d bytes", len(records), len(data))
		}
	})
}
