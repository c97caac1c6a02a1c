package witness

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"slices"

	"etcd/wal"
	"etcd/wal/vfs"
)

// FileName is the file with the records in a data directory. docs/storage-format.md
// describes it.
const FileName = "witness"

const (
	tempName   = FileName + ".tmp"
	fileMagic  = "etcdwit1"
	headSize   = 28 // magic, cluster ID, member ID, number of records
	recordSize = 32
	sumSize    = 4
	maxFile    = headSize + maxRecords*recordSize + sumSize
)

// ErrDamaged is what Load returns for a file that is not what Save wrote.
var ErrDamaged = errors.New("witness: the file is damaged")

// IsOwn reports whether Save uses a name.
func IsOwn(name string) bool { return name == FileName || name == tempName }

// Check refuses a directory in which something else has a name that Save uses: Save would
// replace it. Check changes nothing.
func Check(fsys vfs.FS) error {
	for _, name := range []string{FileName, tempName} {
		head, err := read(fsys, name, len(fileMagic))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return fmt.Errorf("witness: %w", err)
		case !wal.Resembles(head, fileMagic):
			return fmt.Errorf("witness: the file %s was not written by this program, which has one of that name: move it away", name)
		}
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Load reads the records in the directory of this member of this cluster: an empty book if
// there are none. With an error the book is empty too, which is no reason to stop: it only
// notices less.
func Load(fsys vfs.FS, self wal.Identity) (*Book, error) {
	data, err := read(fsys, FileName, maxFile+1) // one that is longer is damaged
	if errors.Is(err, fs.ErrNotExist) {
		return NewBook(nil), nil
	}
	if err != nil {
		return NewBook(nil), fmt.Errorf("witness: read: %w", err)
	}
	records, err := decode(data, self)
	return NewBook(records), err
}

// read returns the beginning of a file, up to limit.
func read(fsys vfs.FS, name string, limit int) (data []byte, err error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	data = make([]byte, min(size, int64(limit)))
	if n, err := f.ReadAt(data, 0); n < len(data) {
		return nil, err
	}
	return data, nil
}

// Save replaces the records in a directory. A crash leaves the old ones or the new ones.
// A failure leaves nothing behind that makes the next Save fail.
func (b *Book) Save(fsys vfs.FS, self wal.Identity) error {
	if err := save(fsys, b.encode(self)); err != nil {
		return fmt.Errorf("witness: save: %w", err)
	}
	return nil
}

func save(fsys vfs.FS, data []byte) error {
	if err := fsys.Remove(tempName); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return vfs.Replace(fsys, tempName, FileName, func(f vfs.File) error {
		_, err := f.WriteAt(data, 0)
		return err
	})
}

// Remove deletes the files of Save, if there are any.
func Remove(fsys vfs.FS) error {
	for _, name := range []string{tempName, FileName} {
		if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("witness: remove %s: %w", name, err)
		}
	}
	return nil
}

func (b *Book) encode(self wal.Identity) []byte {
	data := []byte(fileMagic)
	data = binary.LittleEndian.AppendUint64(data, self.ClusterID)
	data = binary.LittleEndian.AppendUint64(data, self.MemberID)
	data = binary.LittleEndian.AppendUint32(data, uint32(len(b.records)))
	for _, member := range slices.Sorted(maps.Keys(b.records)) {
		r := b.records[member]
		for _, n := range []uint64{member, r.Term, r.Index, r.Committed} {
			data = binary.LittleEndian.AppendUint64(data, n)
		}
	}
	return binary.LittleEndian.AppendUint32(data, crc32.Checksum(data, castagnoli))
}

// decode reads what encode wrote. A file of another member or cluster holds nothing.
func decode(data []byte, self wal.Identity) (map[uint64]Record, error) {
	if len(data) < headSize+sumSize || string(data[:len(fileMagic)]) != fileMagic {
		return nil, ErrDamaged
	}
	body := data[:len(data)-sumSize]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(data[len(body):]) {
		return nil, ErrDamaged
	}
	u64 := func(at int) uint64 { return binary.LittleEndian.Uint64(body[at:]) }
	count := int(binary.LittleEndian.Uint32(body[24:]))
	if len(body) != headSize+count*recordSize {
		return nil, ErrDamaged
	}
	if u64(8) != self.ClusterID || u64(16) != self.MemberID {
		return nil, nil
	}
	records := make(map[uint64]Record, count)
	for at := headSize; at < len(body); at += recordSize {
		records[u64(at)] = Record{Term: u64(at + 8), Index: u64(at + 16), Committed: u64(at + 24)}
	}
	return records, nil
}
