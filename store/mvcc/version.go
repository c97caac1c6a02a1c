package mvcc

import (
	"cmp"
	"strings"
	"unsafe"
)

// Version is a key as it was written once, or its deletion. It never changes. A keyspace has millions of them, so
// its size is chosen to be 64 bytes.
type Version struct {
	key   string
	value *byte
	size  uint32 // of the value, in bytes
	sub   uint32

	// Mod is the revision of the write, Create the one at which the key came to be, 0 for a deletion, and Count
	// how often it was written since then.
	Mod, Create, Count int64
	// Lease is the lease that the key is attached to, 0 for none.
	Lease int64
}

func newVersion(key string, value []byte) *Version {
	return &Version{key: key, value: unsafe.SliceData(value), size: uint32(len(value))}
}

// Key returns the key.
func (v *Version) Key() string { return v.key }

// KeyBytes returns the key, which must not be written to.
func (v *Version) KeyBytes() []byte { return unsafe.Slice(unsafe.StringData(v.key), len(v.key)) }

// Value returns the value, which must not be written to.
func (v *Version) Value() []byte { return unsafe.Slice(v.value, v.size) }

// Sub returns the place of the change among those of its revision.
func (v *Version) Sub() uint32 { return v.sub }

// Deleted reports whether it is a deletion.
func (v *Version) Deleted() bool { return v.Create == 0 }

// Overhead is what a version counts beside its key and its value, see [Keyspace.Size].
const Overhead = 128

func (v *Version) bytes() uint64 { return Overhead + uint64(len(v.key)) + uint64(v.size) }

// compare orders versions by key, and those of one key by age, the oldest first.
func (v *Version) compare(key string, mod int64, sub uint32) int {
	if c := strings.Compare(v.key, key); c != 0 {
		return c
	}
	return cmp.Or(cmp.Compare(v.Mod, mod), cmp.Compare(v.sub, sub))
}
