package e2e

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func isFull(err error) bool { return errors.Is(err, syscall.ENOSPC) }

// copyDirectory copies the files of a data directory, without the zeros that
// are preallocated and not written.
func copyDirectory(t testing.TB, from, to string) {
	t.Helper()
	if err := os.MkdirAll(to, 0o700); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		writeAll(t, filepath.Join(to, f.Name()), readAll(t, filepath.Join(from, f.Name())))
	}
}

// written returns the length of a file without the zeros at its end.
func written(data []byte) int {
	const block = 64 << 10
	zeros := make([]byte, block)
	for len(data) >= block && bytes.Equal(data[len(data)-block:], zeros) {
		data = data[:len(data)-block]
	}
	return len(bytes.TrimRight(data, "\x00"))
}

// damage is something done to a data directory whose machine is down.
type damage struct {
	what  string
	files string // the newest of these is damaged
	do    func(o *ordeal, path string)
	says  string // how the machine names it when it refuses to start
}

// inflict does the damage.
func (d damage) inflict(o *ordeal, s *server) {
	o.t.Helper()
	files, err := filepath.Glob(filepath.Join(s.data, d.files))
	if err != nil || len(files) == 0 {
		o.t.Fatalf("%s: there is no %s, %v", d.what, d.files, err)
	}
	d.do(o, slices.MaxFunc(files, func(a, b string) int { return strings.Compare(afterDash(a), afterDash(b)) }))
}

const segmentFiles, snapshotFiles = "*.wal", "*.snap"

// refused is damage that makes a machine refuse to start.
var refused = []damage{
	{"a flipped bit in the header of the log", segmentFiles, flipAt(func(*ordeal, []byte) int { return 40 }),
		".wal is damaged at offset"},
	{"a flipped bit in the middle of the log", segmentFiles, flipAt(func(o *ordeal, data []byte) int {
		n := written(data)
		return n/4 + o.rng.IntN(n/4)
	}), ".wal is damaged at offset"},
	{"a log cut short", segmentFiles, func(o *ordeal, path string) {
		data := readAll(o.t, path)
		if err := os.Truncate(path, int64(written(data)/2)); err != nil {
			o.t.Fatal(err)
		}
	}, ".wal is damaged at offset"},
	{"a log that is gone", segmentFiles, func(o *ordeal, path string) {
		if err := os.Remove(path); err != nil {
			o.t.Fatal(err)
		}
	}, "log is incomplete"},
	{"a block of zeros in the log", segmentFiles, func(o *ordeal, path string) {
		data := readAll(o.t, path)
		at := written(data) / 2 &^ 511
		clear(data[at : at+512])
		writeAll(o.t, path, data)
	}, ".wal is damaged at offset"},
	{"a log under another name", segmentFiles, func(o *ordeal, path string) {
		if err := os.Rename(path, filepath.Join(filepath.Dir(path), "00000000000000ff.wal")); err != nil {
			o.t.Fatal(err)
		}
	}, "damaged"},
}

// harmless is damage that the rest of the directory compensates.
var harmless = []damage{
	{"a flipped bit in the newest snapshot", snapshotFiles, flipAt(func(o *ordeal, data []byte) int { return o.rng.IntN(len(data)) }), ""},
	{"a newest snapshot that is gone", snapshotFiles, func(o *ordeal, path string) {
		if err := os.Remove(path); err != nil {
			o.t.Fatal(err)
		}
	}, ""},
	{"a stored configuration that is gone", "config.json", func(o *ordeal, path string) {
		if err := os.Remove(path); err != nil {
			o.t.Fatal(err)
		}
	}, ""},
}

// flipAt flips one bit of a file.
func flipAt(where func(*ordeal, []byte) int) func(*ordeal, string) {
	return func(o *ordeal, path string) {
		data := readAll(o.t, path)
		data[where(o, data)] ^= 1 << o.rng.IntN(8)
		writeAll(o.t, path, data)
	}
}

func readAll(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// writeAll replaces a file and keeps its preallocated length.
func writeAll(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data[:written(data)], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, int64(len(data))); err != nil {
		t.Fatal(err)
	}
}

// damageDirectory damages the data directory of a machine while it is down, in
// many ways. It must refuse to start, or lose nothing; if it refuses, it must
// come back by what its message says.
func (o *ordeal) damageDirectory() {
	s := o.any()
	kept := s.data + ".kept"
	restore := func() {
		if err := os.RemoveAll(s.data); err != nil {
			o.t.Fatal(err)
		}
		copyDirectory(o.t, kept, s.data)
	}
	for _, d := range variants(o, 1, harmless) {
		waitUntil(o.t, s.name+" has two snapshots", func() bool {
			files, err := filepath.Glob(filepath.Join(s.data, snapshotFiles))
			return err == nil && len(files) >= 2
		})
		o.c.kill(s)
		d.inflict(o, s)
		s.start()
		o.mustAccept(s)
		o.progress()
	}
	o.c.kill(s)
	copyDirectory(o.t, s.data, kept)
	for _, d := range variants(o, 3, refused) {
		d.inflict(o, s)
		s.launch()
		o.mustEnd(s, d.says, "let the member join again")
		if strings.Contains(s.proc.stderr(), "ready to serve client requests") {
			o.t.Errorf("%s: %s has served before it refused:\n%s", d.what, s.name, s.proc.stderr())
		}
		restore()
	}
	o.progress()
	if o.long { // undamaged, the directory is as good as before
		o.c.start(s)
		o.mustAccept(s)
		o.c.kill(s)
	}
	if err := os.RemoveAll(kept); err != nil {
		o.t.Fatal(err)
	}

	// As the message says.
	o.leave(s)
	if err := os.RemoveAll(s.data); err != nil {
		o.t.Fatal(err)
	}
	s.start()
	o.c.waitVoters()
}

// leave removes a machine that is down from the cluster, and has it join when
// it starts.
func (o *ordeal) leave(s *server) {
	o.t.Helper()
	ask := o.c.others(s)[0]
	waitUntil(o.t, s.name+" is no member any more", func() bool {
		list, err := ask.list()
		if err != nil {
			return false
		}
		i := slices.IndexFunc(list, func(m clusterMember) bool { return m.Name == s.name })
		if i >= 0 {
			exchange(ask.client, del("/v2/members/"+list[i].ID)) // the list shows whether it was done
		}
		return i < 0
	})
	s.args = append(slices.Clone(crueltyFlags), "-C", ask.peer)
}

// afterDash orders snapshots by their index and segments by their number.
func afterDash(path string) string {
	name := filepath.Base(path)
	if _, index, ok := strings.Cut(name, "-"); ok {
		return index
	}
	return name
}
