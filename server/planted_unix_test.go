//go:build unix

package server

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestPlanted plants something else at each name that this program uses for a file, in a
// directory that is trusted and in one that is not. No link may be followed, nothing may
// block, and the target of a link stays as it is.
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
				delete(after, filepath.Join(dir, "lock")) // may exist when auto-tls.key is checked
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
	for _, name := range []string{storedFile, clientPair.key, clientPair.cert, "lock"} {
		info, err := os.Lstat(filepath.Join(dir, name))
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

// TestSafeDirectory checks that a directory in which others can write, or that they could
// replace, is refused with what to do, unless -trust-data-dir overrides that.
func TestSafeDirectory(t *testing.T) {
	const stranger = 12345
	asRoot := os.Geteuid() == 0
	type step struct {
		path string // below the temporary directory
		mode os.FileMode
		uid  int // 0: unchanged
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
			if err != nil && !strings.Contains(withOverride(err).Error(), "-trust-data-dir") {
				t.Errorf("how to insist is missing: %v", withOverride(err))
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

// TestPlantedSymlinkToDirectory checks that a link which another user has made where anybody
// can make one is not followed to a data directory, and that one of our own is.
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
		dir := tempDataDir(t)
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
