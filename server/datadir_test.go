package server

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"etcd/wal"
	"etcd/wal/vfs"
)

const storedWhole = `{"name":"a","clientAddr":"","peerAddr":""}`

// tempDataDir returns an empty directory, in which nobody else can write whatever the umask is.
func tempDataDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// lay makes files in a directory; a name that ends in a slash is a directory.
func lay(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(path), 0o700)
		if strings.HasSuffix(name, "/") {
			err = errors.Join(err, os.MkdirAll(path, 0o700))
		} else {
			err = errors.Join(err, os.WriteFile(path, []byte(content), 0o600))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// contents returns all files below a directory, and the type of those that are not regular.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			found[path] = d.Type().String()
			return err
		}
		data, err := os.ReadFile(path)
		found[path] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestInspect checks which data directories are told from new ones, that nobody else's data
// is used, and that inspecting changes nothing.
func TestInspect(t *testing.T) {
	const joining = `{"name":"a","clientAddr":"","peerAddr":"","joining":"17"}`
	const gone, foreignConfig = "its log is gone", "config.json is not what this program keeps"
	segment, snapshot := "etcdwal\nx", "etcdsnp\nx"
	tests := []struct {
		name  string
		files map[string]string // a name that ends in a slash is a directory
		says  string            // empty: it may be used
	}{
		{"empty", nil, ""},
		{"a new disk", map[string]string{"lost+found/": ""}, ""},
		{"etcd 0.1", map[string]string{"conf": "", "log": "", "snapshot/": ""}, "a data directory of etcd 0.x"},
		{"etcd 0.4 without a snapshot", map[string]string{"conf": "", "log": ""}, "a data directory of etcd 0.x"},
		{"etcd 0.x, directories", map[string]string{"conf/": "", "log": "", "snapshot/": ""}, "a data directory of etcd 0.x"},
		{"etcd 2", map[string]string{"member/snap/0000000000000002-0000000000002711.snap": "", "member/wal/0000000000000000-0000000000000000.wal": ""}, "a data directory of etcd 2"},
		{"etcd 2 without a snapshot", map[string]string{"member/snap/": "", "member/wal/0000000000000000-0000000000000000.wal": ""}, "a data directory of etcd 2"},
		{"a proxy of etcd 2", map[string]string{"proxy/cluster": ""}, "a data directory of a proxy"},
		{"a proxy of etcd 2 that has heard of no cluster", map[string]string{"proxy/x": ""}, "a data directory of a proxy"},
		{"a standby of etcd 0.4", map[string]string{"standby_info": "{}"}, "a data directory of a standby"},
		{"etcd 3", map[string]string{"member/snap/db": "", "member/wal/0.tmp": ""}, "a data directory of etcd 3"},
		{"one directory too deep, etcd 3", map[string]string{"snap/db": "", "wal/": ""}, "the directory member"},
		{"one directory too deep, etcd 2", map[string]string{"snap/": "", "wal/": ""}, "the directory member"},
		{"two directories too deep", map[string]string{"0000000000000000-0000000000000000.wal": ""}, "not the name of a segment"},
		{"snapshots of etcd 2", map[string]string{"0000000000000002-0000000000002711.snap": "\x08\x9a\x88\x8b\xfe\x09\x12\x9c"}, "0000000000000002-0000000000002711.snap"},
		{"ours", map[string]string{"0000000000000001.wal": segment, "config.json": storedWhole, "lock": ""}, ""},
		{"ours, with a snapshot only", map[string]string{"0000000000000001-0000000000000009.snap": snapshot, "config.json": storedWhole}, ""}, // wal.Open says what is missing
		{"ours without its log", map[string]string{"config.json": storedWhole, "lock": ""}, gone},
		{"ours, and only a damaged snapshot is left", map[string]string{"0000000000000001-0000000000000009.snap.bad": snapshot}, gone},
		{"ours, and only what it knows of others is left", map[string]string{"witness": "etcdwit1", "lock": ""}, gone},
		{"ours, killed while it joined", map[string]string{"config.json": joining, "lock": ""}, ""},
		{"ours, killed in the first steps", map[string]string{"lock": "", "0000000000000001.wal.tmp": "", "auto-tls.crt": "", "config.json.0123456789abcdef.tmp": ""}, ""},
		{"a configuration of another program", map[string]string{"config.json": `{"debug": true, "name": "x"}`}, foreignConfig},
		{"a configuration of another program beside our log", map[string]string{"config.json": `{"debug": true}`, "0000000000000001.wal": segment}, foreignConfig},
		{"a configuration that is no object", map[string]string{"config.json": `[]`}, foreignConfig},
		{"a configuration of other types", map[string]string{"config.json": `{"name":1,"clientAddr":{},"peerAddr":[]}`}, foreignConfig},
		{"a configuration that is empty", map[string]string{"config.json": ``}, foreignConfig},
		{"a configuration that is very long", map[string]string{"config.json": strings.Repeat(" ", 2<<20)}, "config.json"},
		{"a segment of somebody else", map[string]string{"0000000000000001.wal": "hello world"}, "0000000000000001.wal"},
		{"an unfinished segment of somebody else", map[string]string{"0000000000000001.wal": segment, "0000000000000002.wal.tmp": "hello world"}, "0000000000000002.wal.tmp"},
		{"a log that was renamed", map[string]string{"old.wal": segment}, "old.wal"},
		{"a snapshot of something", map[string]string{"photos.snap": "", "config.json": storedWhole}, "photos.snap"},
		{"a name to upset a terminal", map[string]string{"\x1b[2J.wal": ""}, `\x1b[2J.wal`},
		{"a file called witness", map[string]string{"witness": "I saw it all"}, "witness"},
		{"a file called witness.tmp", map[string]string{"witness.tmp": "I saw it all"}, "witness.tmp"},
		{"files whose names only look like ours", map[string]string{"a.wallet": "", "b.snapshot": "", "c.wal.tmp": "", "d.wal.new": "", "e.snap.bad": "", "backup.wal/": ""}, ""},
		{"a directory with the name of a segment", map[string]string{"0000000000000001.wal/": ""}, "a directory"},
		{"a directory with the name of the configuration", map[string]string{"config.json/": ""}, "a directory"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := tempDataDir(t)
			lay(t, dir, test.files)
			before := contents(t, dir)
			for _, startOver := range []bool{false, true} {
				says := test.says
				if startOver && says == gone {
					says = "" // that is what -f is for
				}
				_, err := inspect(dir, false, startOver)
				if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
					t.Errorf("with -f %v: %v, want %q", startOver, err, says)
				}
			}
			if after := contents(t, dir); !maps.Equal(before, after) {
				t.Errorf("it was changed:\n%v\n%v", before, after)
			}
		})
	}
}

// ours are the names under which this program opens files in a data directory.
var ours = []string{
	"config.json", "witness", "witness.tmp", "auto-tls.key", "auto-tls.crt", "lock", "0000000000000001.wal", "0000000000000002.wal.tmp",
	"0000000000000001.wal.new", "0000000000000001-0000000000000002.snap", "received-0000000000000001-0000000000000002.snap.tmp",
}

// takeAll does what a start does with a data directory before it reads the log.
func takeAll(t *testing.T, dir string, shared bool) (err error) {
	t.Helper()
	p, err := inspect(dir, shared, false)
	if err != nil {
		return err
	}
	lock, err := p.acquire()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if _, err := clientPair.ensure(p, []string{"127.0.0.1"}, year, quiet); err != nil {
		return err
	}
	return stored{Name: "a"}.save(p.fsys)
}

// TestStartOverDeletesOnlyItsOwn checks what -f leaves.
func TestStartOverDeletesOnlyItsOwn(t *testing.T) {
	segment := "etcdwal\n damaged"
	own := map[string]string{
		"0000000000000001.wal": segment, "0000000000000002.wal.tmp": "", "0000000000000001-0000000000000009.snap.bad": "etcdsnp\n",
		"witness": "etcdwit1 damaged", "config.json": storedWhole,
	}
	others := map[string]string{"a.wallet": "1", "notes.txt": "2", "lost+found/": "", "b.snap.tmp": "3", "config.json.tmp": "4", "wal.d/x.wal": "5"}
	dir := tempDataDir(t)
	lay(t, dir, own)
	lay(t, dir, others)
	startOver := func() error {
		p, err := inspect(dir, false, true)
		if err != nil {
			return err
		}
		lock, err := p.acquire()
		if err != nil {
			return err
		}
		return errors.Join(wipe(p.path, p.fsys, quiet), lock.Close())
	}
	for _, name := range []string{"notes.wal", "photos.snap"} {
		lay(t, dir, map[string]string{name: "precious"})
		before := contents(t, dir)
		if err := startOver(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("with %s: %v", name, err)
		}
		if after := contents(t, dir); !maps.Equal(before, after) {
			t.Errorf("with %s it was changed:\n%v\n%v", name, before, after)
		}
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := startOver(); err != nil {
		t.Fatal(err)
	}
	found := contents(t, dir)
	for name := range own {
		if _, ok := found[filepath.Join(dir, name)]; ok {
			t.Errorf("%s is left", name)
		}
	}
	for name, content := range others {
		if got, ok := found[filepath.Join(dir, name)]; !ok || content != "" && got != content {
			t.Errorf("%s of somebody else is gone", name)
		}
	}
}

// TestLockedFirst checks that a start which finds the directory in use writes nothing.
func TestLockedFirst(t *testing.T) {
	dir := tempDataDir(t)
	fsys, err := vfs.Dir(dir)
	if err != nil {
		t.Fatal(err)
	}
	held, err := wal.Lock(fsys)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	before := contents(t, dir)
	if err := takeAll(t, dir, false); !errors.Is(err, vfs.ErrLocked) {
		t.Error(err)
	}
	if after := contents(t, dir); !maps.Equal(before, after) {
		t.Errorf("it was changed:\n%v\n%v", before, after)
	}
}

// TestLockKeepsContent checks that the content of a file called lock is kept: it may be
// somebody else's.
func TestLockKeepsContent(t *testing.T) {
	dir := tempDataDir(t)
	lay(t, dir, map[string]string{"lock": "a pid, perhaps"})
	if err := takeAll(t, dir, false); err != nil {
		t.Fatal(err)
	}
	if got := contents(t, dir)[filepath.Join(dir, "lock")]; got != "a pid, perhaps" {
		t.Errorf("lock holds %q", got)
	}
}

// TestDiscard checks that a refused start removes the directories it has made, and no others.
func TestDiscard(t *testing.T) {
	above := t.TempDir()
	path := filepath.Join(above, "a", "b")
	use := func() *dataDir {
		t.Helper()
		p, err := inspect(path, false, false)
		if err != nil {
			t.Fatal(err)
		}
		lock, err := p.acquire()
		if err != nil {
			t.Fatal(err)
		}
		if err := lock.Close(); err != nil {
			t.Fatal(err)
		}
		return p
	}
	use().discard()
	if left, err := os.ReadDir(above); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	use()
	use().discard()
	if _, err := os.Stat(filepath.Join(path, "lock")); err != nil {
		t.Error("a directory that was there before was touched")
	}
}
