package crashfs

import (
	"math/rand/v2"
	"slices"
)

// Killed copies the directory as a killed process leaves it, while the host goes on: all
// that was written is there, and no more is durable than was before. What a failed sync did
// not write looks the same to the next process, and its syncs do not write it either.
func (d *Disk) Killed() *Disk {
	c := New()
	c.changed = d.changed
	copies := map[*file]*file{}
	for _, dir := range []struct{ from, to map[string]*file }{{d.names, c.names}, {d.durable, c.durable}} {
		for name, f := range dir.from {
			if copies[f] == nil {
				copies[f] = &file{
					data: slices.Clone(f.data), synced: slices.Clone(f.synced),
					dirty: slices.Clone(f.dirty), lost: slices.Clone(f.lost),
				}
			}
			dir.to[name] = copies[f]
		}
	}
	return c
}

// Clone copies the directory as the process sees it, with everything durable.
func (d *Disk) Clone() *Disk {
	c := New()
	for name, f := range d.names {
		c.Put(name, f.data)
	}
	return c
}

// Crash copies what a power cut may leave: of each unsynced name the old or the new
// state, and of the unsynced parts of a file any mix of old and new blocks.
func (d *Disk) Crash(rnd *rand.Rand) *Disk {
	c := New()
	seen := map[string]bool{}
	for _, dir := range []map[string]*file{d.names, d.durable} {
		for name := range dir {
			seen[name] = true
		}
	}
	sorted := make([]string, 0, len(seen))
	for name := range seen {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted)
	for _, name := range sorted {
		f := d.names[name]
		if f != d.durable[name] && rnd.IntN(2) == 0 {
			f = d.durable[name]
		}
		if f != nil {
			c.Put(name, f.torn(rnd))
		}
	}
	return c
}

func (f *file) torn(rnd *rand.Rand) []byte {
	size := len(f.data)
	if rnd.IntN(2) == 0 {
		size = len(f.synced)
	}
	block := []int{1, 8, 64, 512}[rnd.IntN(4)]
	mostly := rnd.IntN(10) // how many tenths of the blocks are new
	out := make([]byte, size)
	copy(out, f.synced)
	for _, s := range slices.Concat(f.dirty, f.lost) {
		from, to := int(s.from), min(int(s.to), size)
		for off := from - from%block; off < to; off += block {
			if rnd.IntN(10) < mostly {
				first, end := max(off, from), min(off+block, to)
				copy(out[first:end], f.data[first:end])
			}
		}
	}
	return out
}

// Put adds a durable file, or replaces it.
func (d *Disk) Put(name string, data []byte) {
	f := &file{data: slices.Clone(data), synced: slices.Clone(data)}
	d.names[name], d.durable[name] = f, f
}

// Delete removes a file, durably.
func (d *Disk) Delete(name string) {
	delete(d.names, name)
	delete(d.durable, name)
}

// Has reports whether there is a file of this name.
func (d *Disk) Has(name string) bool { return d.names[name] != nil }

// Content returns what the process sees in a file. Changing it damages the file.
func (d *Disk) Content(name string) []byte { return d.names[name].data }

// Contents returns that of the whole directory, to compare it later.
func (d *Disk) Contents() map[string]string {
	out := map[string]string{}
	for name, f := range d.names {
		out[name] = string(f.data)
	}
	return out
}
