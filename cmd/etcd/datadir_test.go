package main

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"etcd/wal"
	"etcd/wal/vfs"
)

const storedWhole = `{"name":"a","clientAddr":"","peerAddr":""}`

// dataDir is an empty directory, which nobody else can write in whatever the umask is.
func dataDir(t *testing.T) string {
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

// contents are all files below a directory, and what they are if they are no regular files.
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

// TestInspect checks whose data directories are told from new ones, that nothing of
// somebody else is used, and that nothing is changed to find that out.
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
			dir := dataDir(t)
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

// takeAll does to a data directory what a start does before it reads the log.
func takeAll(t *testing.T, dir string, shared bool) (err error) {
	t.Helper()
	p, err := inspect(dir, shared, false)
	if err != nil {
		return err
	}
	lock, err := p.take()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if _, err := autoTLS(p, "127.0.0.1", quiet); err != nil {
		return err
	}
	return stored{Name: "a"}.save(p.fsys)
}

// TestPlanted plants what is no file of this program at each of its names, in a
// directory that is trusted and in one that is not. No link may be followed, nothing may
// wait, and what a link leads to stays as it is.
func TestPlanted(t *testing.T) {
	planters := map[string]func(victim, path string) error{
		"a symbolic link": os.Symlink,
		"a link to nowhere": func(victim, path string) error {
			return os.Symlink(filepath.Join(filepath.Dir(victim), "absent"), path)
		},
		"a hard link": os.Link,
		"a pipe":      func(_, path string) error { return unix.Mkfifo(path, 0o600) },
		"a socket":    func(_, path string) error { return unix.Mknod(path, unix.S_IFSOCK|0o600, 0) },
		"a directory": func(_, path string) error { return os.Mkdir(path, 0o700) },
	}
	for what, plant := range planters {
		for _, name := range ours {
			for _, shared := range []bool{false, true} {
				above := t.TempDir()
				victim, dir := filepath.Join(above, "victim"), filepath.Join(above, "data")
				lay(t, above, map[string]string{"victim": "precious", "data/": ""})
				if err := plant(victim, filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
				before := contents(t, above)
				err := takeAll(t, dir, shared)
				if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "move it away") {
					t.Errorf("%s as %s: %v", what, name, err)
				}
				after := contents(t, above)
				delete(after, filepath.Join(dir, "lock")) // may be there when auto-tls.key is looked at
				delete(before, filepath.Join(dir, "lock"))
				if !maps.Equal(before, after) {
					t.Errorf("%s as %s: it was changed:\n%v\n%v", what, name, before, after)
				}
			}
		}
	}
}

// TestPlantedTemporaries plants links at the names under which earlier versions wrote
// files before they renamed them. They are neither followed nor in the way.
func TestPlantedTemporaries(t *testing.T) {
	above := t.TempDir()
	dir := filepath.Join(above, "data")
	lay(t, above, map[string]string{"victim": "precious", "data/": ""})
	names := []string{"config.json.tmp", "auto-tls.key.tmp", "config.json.0123456789abcdef.tmp"}
	for _, name := range names {
		if err := os.Symlink("../victim", filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	lay(t, dir, map[string]string{"config.json.fedcba9876543210.tmp": "torn", "config.json.tmp2": "x", "auto-tls.key.00.tmp": "x"})
	if err := takeAll(t, dir, true); err != nil {
		t.Fatal(err)
	}
	found := contents(t, above)
	if found[filepath.Join(above, "victim")] != "precious" {
		t.Error("a link was followed")
	}
	for _, name := range append(names, "config.json.tmp2", "auto-tls.key.00.tmp") {
		if _, ok := found[filepath.Join(dir, name)]; !ok {
			t.Errorf("%s, which is not of this program, is gone", name)
		}
	}
	if _, ok := found[filepath.Join(dir, "config.json.fedcba9876543210.tmp")]; ok {
		t.Error("what a crash has left is still there")
	}
	for _, name := range []string{storedFile, autoTLSKey, autoTLSCert, "lock"} {
		info, err := os.Lstat(filepath.Join(dir, name))
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

// TestStartOverDeletesOnlyItsOwn checks what -f leaves.
func TestStartOverDeletesOnlyItsOwn(t *testing.T) {
	segment := "etcdwal\n damaged"
	own := map[string]string{
		"0000000000000001.wal": segment, "0000000000000002.wal.tmp": "", "0000000000000001-0000000000000009.snap.bad": "etcdsnp\n",
		"witness": "etcdwit1 damaged", "config.json": storedWhole,
	}
	others := map[string]string{"a.wallet": "1", "notes.txt": "2", "lost+found/": "", "b.snap.tmp": "3", "config.json.tmp": "4", "wal.d/x.wal": "5"}
	dir := dataDir(t)
	lay(t, dir, own)
	lay(t, dir, others)
	startOver := func() error {
		p, err := inspect(dir, false, true)
		if err != nil {
			return err
		}
		lock, err := p.take()
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

// TestSafeDirectory checks that a directory in which others can write, or that they could
// swap, is refused with what to do, unless that is insisted on.
func TestSafeDirectory(t *testing.T) {
	const stranger = 12345
	asRoot := os.Geteuid() == 0
	type step struct {
		path string // below the temporary directory
		mode os.FileMode
		uid  int // 0: as it is
	}
	for _, test := range []struct {
		name  string
		steps []step
		says  string // empty: it may be used
		root  bool   // needs another owner, whom only root can make one
	}{
		{"as it is made", []step{{"data", 0o700, 0}}, "", false},
		{"that others can read", []step{{"data", 0o755, 0}}, "", false},
		{"that a group can write", []step{{"data", 0o775, 0}}, "chmod go-w ", false},
		{"that anybody can write", []step{{"data", 0o777, 0}}, "chmod go-w ", false},
		{"that anybody can write, as /tmp", []step{{"data", 0o777 | os.ModeSticky, 0}}, "chmod go-w ", false},
		{"of somebody else", []step{{"data", 0o700, stranger}}, "chown ", true},
		{"that is missing, where anybody can write", []step{{"open", 0o777, 0}}, "chmod o-w ", false},
		{"where anybody can write", []step{{"open", 0o777, 0}, {"open/data", 0o700, 0}}, "chmod o-w ", false},
		{"that is missing, in one like /tmp", []step{{"tmp", 0o777 | os.ModeSticky, 0}}, "", false},
		{"in one like /tmp", []step{{"tmp", 0o777 | os.ModeSticky, 0}, {"tmp/data", 0o700, 0}}, "", false},
		{"in one like /tmp, below one of somebody else", []step{{"tmp", 0o777 | os.ModeSticky, 0}, {"tmp/a", 0o755, stranger}, {"tmp/a/data", 0o700, 0}}, "another place", true},
		{"below one of a group", []step{{"group", 0o775, 0}, {"group/data", 0o700, 0}}, "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			above := t.TempDir()
			path := above
			for _, s := range test.steps {
				path = filepath.Join(above, s.path)
				if err := errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, s.mode)); err != nil {
					t.Fatal(err)
				}
				if s.uid != 0 && asRoot {
					if err := os.Chown(path, s.uid, -1); err != nil {
						t.Fatal(err)
					}
				}
			}
			if filepath.Base(path) != "data" {
				path = filepath.Join(path, "data")
			}
			says := test.says
			if test.root && !asRoot {
				says = "" // nobody but root can give files away
			}
			before := contents(t, above)
			_, err := inspect(path, false, false)
			if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
				t.Errorf("%v, want %q", err, says)
			}
			if err != nil && !strings.Contains(insisting(err).Error(), "-trust-data-dir") {
				t.Errorf("how to insist is missing: %v", insisting(err))
			}
			if after := contents(t, above); !maps.Equal(before, after) {
				t.Errorf("it was changed:\n%v\n%v", before, after)
			}
			if err := takeAll(t, path, true); err != nil {
				t.Errorf("insisted on: %v", err)
			}
		})
	}
}

// TestPlantedSymlinkToDirectory checks that a link which somebody else has left where
// anybody can leave one is not taken for the data directory, and one of our own is.
func TestPlantedSymlinkToDirectory(t *testing.T) {
	above := t.TempDir()
	tmp := filepath.Join(above, "tmp")
	if err := errors.Join(os.Mkdir(tmp, 0o700), os.Chmod(tmp, 0o777|os.ModeSticky)); err != nil {
		t.Fatal(err)
	}
	lay(t, above, map[string]string{"private/": ""})
	link := filepath.Join(tmp, "data")
	if err := os.Symlink("../private", link); err != nil {
		t.Fatal(err)
	}
	if _, err := inspect(link, false, false); err != nil {
		t.Errorf("a link of our own: %v", err)
	}
	if os.Geteuid() == 0 {
		if err := errors.Join(os.Lchown(link, 12345, -1), os.Chown(tmp, 12346, -1)); err != nil {
			t.Fatal(err)
		}
		if _, err := inspect(link, false, false); err == nil || !strings.Contains(err.Error(), link) {
			t.Errorf("a link of somebody else: %v", err)
		}
	}
}

// TestFilesOfOthers checks that files with our names and headers that others own or can
// write to are refused, with what to do, and that those which others can only read are not.
func TestFilesOfOthers(t *testing.T) {
	for _, test := range []struct {
		name string
		mode os.FileMode
		uid  int
		says string
	}{
		{"readable", 0o644, 0, ""},
		{"writable", 0o666, 0, "chmod 600 "},
		{"of somebody else", 0o600, 12345, "chown "},
	} {
		dir := dataDir(t)
		lay(t, dir, map[string]string{"0000000000000001.wal": "etcdwal\n", "config.json": storedWhole})
		path := filepath.Join(dir, "0000000000000001.wal")
		if err := os.Chmod(path, test.mode); err != nil {
			t.Fatal(err)
		}
		says := test.says
		if test.uid != 0 {
			if os.Geteuid() != 0 {
				says = ""
			} else if err := os.Chown(path, test.uid, -1); err != nil {
				t.Fatal(err)
			}
		}
		_, err := inspect(dir, false, false)
		if (err == nil) != (says == "") || err != nil && !(strings.Contains(err.Error(), says) && strings.Contains(err.Error(), path)) {
			t.Errorf("%s: %v, want %q", test.name, err, says)
		}
		if _, err := inspect(dir, true, false); err != nil {
			t.Errorf("%s, insisted on: %v", test.name, err)
		}
	}
}

// TestLockedFirst checks that a start which finds the directory in use writes nothing.
func TestLockedFirst(t *testing.T) {
	dir := dataDir(t)
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

// TestLockKeepsContent checks that a file called lock is used as it is: it may be
// somebody's.
func TestLockKeepsContent(t *testing.T) {
	dir := dataDir(t)
	lay(t, dir, map[string]string{"lock": "a pid, perhaps"})
	if err := takeAll(t, dir, false); err != nil {
		t.Fatal(err)
	}
	if got := contents(t, dir)[filepath.Join(dir, "lock")]; got != "a pid, perhaps" {
		t.Errorf("lock holds %q", got)
	}
}

// TestDiscard checks that a refused start removes the directories it has made, and no other.
func TestDiscard(t *testing.T) {
	above := t.TempDir()
	path := filepath.Join(above, "a", "b")
	use := func() *place {
		t.Helper()
		p, err := inspect(path, false, false)
		if err != nil {
			t.Fatal(err)
		}
		lock, err := p.take()
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

// TestUmask checks the modes of what is made, which no umask may widen.
func TestUmask(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	above := t.TempDir()
	if err := os.Chmod(above, 0o700); err != nil { // t.TempDir obeys the umask, too
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(above), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := takeAll(t, filepath.Join(above, "a", "b"), false); err != nil {
		t.Fatal(err)
	}
	for name := range contents(t, filepath.Join(above, "a")) {
		info, err := os.Lstat(name)
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}
