package wal

import (
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"etcd/wal/crashfs"
	"etcd/wal/vfs"
)

// nullFile discards writes, so that only the log's own CPU time is measured.
type nullFile struct{ vfs.File }

func (nullFile) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (nullFile) Allocate(int64) error                   { return nil }
func (nullFile) Sync() error                            { return nil }
func (nullFile) Close() error                           { return nil }

type nullFS struct{ *crashfs.Disk }

func (nullFS) Create(string) (vfs.File, error) { return nullFile{}, nil }
func (nullFS) Rename(string, string) error     { return nil }

func batch(n int) []*raftpb.Entry {
	ents := make([]*raftpb.Entry, n)
	for i := range ents {
		ents[i] = &raftpb.Entry{Index: new(uint64(0)), Term: new(uint64(1)), Data: make([]byte, 100)}
	}
	return ents
}

func BenchmarkAppendSync(b *testing.B) {
	for name, n := range map[string]int{"entries=1": 1, "entries=16": 16, "entries=64": 64} {
		b.Run(name, func(b *testing.B) {
			log, err := Create(nullFS{crashfs.New()}, testID, 0, Options{})
			must(b, err)
			ents, hs := batch(n), &raftpb.HardState{Term: new(uint64(1)), Vote: new(uint64(1)), Commit: new(uint64(0))}
			next := uint64(1)
			b.ReportAllocs()
			for b.Loop() {
				for _, e := range ents {
					*e.Index = next
					next++
				}
				*hs.Commit = next - 1
				log.Append(hs, ents, nil)
				must(b, log.Sync())
			}
		})
	}
}

// BenchmarkAppendSyncDisk is the same on real files, fdatasync included.
func BenchmarkAppendSyncDisk(b *testing.B) {
	fsys, err := vfs.SharedDir(b.TempDir())
	must(b, err)
	log, err := Create(fsys, testID, 0, Options{})
	must(b, err)
	ents, next := batch(16), uint64(1)
	for b.Loop() {
		for _, e := range ents {
			*e.Index = next
			next++
		}
		log.Append(nil, ents, nil)
		must(b, log.Sync())
	}
	must(b, log.Close())
}

func BenchmarkOpen(b *testing.B) {
	fsys := crashfs.New()
	log, err := Create(fsys, testID, 0, Options{})
	must(b, err)
	ents, next := batch(64), uint64(1)
	for next < 100_000 {
		for _, e := range ents {
			*e.Index = next
			next++
		}
		log.Append(nil, ents, nil)
	}
	must(b, log.Close())
	b.ReportAllocs()
	for b.Loop() {
		l, rec, err := Open(fsys, Options{})
		must(b, err)
		must(b, l.Close())
		if len(rec.Entries) != int(next-1) {
			b.Fatal(len(rec.Entries))
		}
	}
}

// BenchmarkOpenEmpty opens a nearly empty log of one segment on real files: the minimum cost of
// a start.
func BenchmarkOpenEmpty(b *testing.B) {
	fsys, err := vfs.SharedDir(b.TempDir())
	must(b, err)
	log, err := Create(fsys, testID, 0, Options{})
	must(b, err)
	log.Append(nil, []*raftpb.Entry{{Index: new(uint64(1)), Term: new(uint64(1))}}, nil)
	must(b, log.Close())
	for b.Loop() {
		l, _, err := Open(fsys, Options{})
		must(b, err)
		must(b, l.Close())
	}
}
