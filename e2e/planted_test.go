package e2e

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// fill writes files into a directory, which it creates.
func fill(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	err := os.MkdirAll(dir, 0o700)
	for name, content := range files {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestForeignFiles checks that files of other programs are neither overwritten nor
// deleted, whatever the flags, and that a start that would have to says so.
func TestForeignFiles(t *testing.T) {
	t.Parallel()
	const config = `{"theme": "dark", "name": "my editor"}`
	for _, test := range []struct {
		name  string
		files map[string]string
		says  string
	}{
		{"a configuration", map[string]string{"config.json": config}, "config.json"},
		{"a log of something", map[string]string{"notes.wal": "precious"}, "notes.wal"},
		{"a snapshot of something", map[string]string{"photos.snap": "precious"}, "photos.snap"},
		{"a file with a name of ours", map[string]string{"0000000000000001.wal": "precious"}, "0000000000000001.wal"},
		{"a witness", map[string]string{"witness": "precious"}, "witness"},
	} {
		s := newServer(t)
		fill(t, s.data, test.files)
		before := allBelow(t, s.data)
		for _, more := range [][]string{{"-f", "-i"}, {"-auto-tls", "-trust-data-dir"}} {
			checkRefusal(t, append(s.flags(), more...), s.data, test.says, "move it away")
			if after := allBelow(t, s.data); !slices.Equal(after, before) {
				t.Errorf("%s, %v: the directory was changed:\n%s", test.name, more, strings.Join(after, "\n"))
			}
		}
	}

	// Beside the machine's data they stay: -f deletes only that data.
	s := newServer(t)
	others := map[string]string{"a.wallet": "coins", "c.wal.tmp": "x", "d.snap.bad": "x", "config.json.tmp": "x", "notes.txt": "x"}
	fill(t, s.data, others)
	s.start()
	if !strings.Contains(s.proc.stderr(), "is it the right one?") {
		t.Errorf("no word about what was there:\n%s", s.proc.stderr())
	}
	s.do(post("/v1/keys/a", "value", "1"))
	s.stop()
	fill(t, s.data, map[string]string{"notes.wal": "precious"})
	before := allBelow(t, s.data)
	checkRefusal(t, append(s.flags(), "-f"), "notes.wal")
	if after := allBelow(t, s.data); !slices.Equal(after, before) {
		t.Error("-f has changed something before it was refused")
	}
	if err := os.Remove(filepath.Join(s.data, "notes.wal")); err != nil {
		t.Fatal(err)
	}
	s.args = []string{"-f"}
	s.start()
	if answer := s.do(get("/v1/keys/a")); answer.status != 404 {
		t.Errorf("after -f: %d %s", answer.status, answer.body)
	}
	for name, want := range others {
		if got, err := os.ReadFile(filepath.Join(s.data, name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// TestPlantedLinks plants links where a machine writes, in a directory that others can write
// to. It starts there only if forced, and follows none of them even then.
func TestPlantedLinks(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		starts bool
	}{
		{"config.json.tmp", true}, {"config.json.0123456789abcdef.tmp", true}, {"auto-tls.key.tmp", true},
		{"config.json", false}, {"auto-tls.key", false}, {"lock", false}, {"witness.tmp", false}, {"0000000000000001.wal", false},
	} {
		s := newServer(t, "-auto-tls", "-trust-data-dir")
		victim := filepath.Join(s.dir, "victim")
		fill(t, s.dir, map[string]string{"victim": "precious"})
		fill(t, s.data, nil)
		if err := errors.Join(os.Chmod(victim, 0o644), os.Chmod(s.data, 0o777), os.Symlink(victim, filepath.Join(s.data, test.name))); err != nil {
			t.Fatal(err)
		}
		if test.starts {
			s.start()
			s.stop()
		} else {
			checkRefusal(t, s.flags(), test.name, "a symbolic link", "move it away")
		}
		info, err := os.Stat(victim)
		if got, readErr := os.ReadFile(victim); readErr != nil || err != nil || string(got) != "precious" || info.Mode() != 0o644 {
			t.Errorf("%s was followed: %q, %v, %v", test.name, got, info.Mode(), errors.Join(err, readErr))
		}
	}
}

// TestDirectoryOpenToOthers checks that a data directory in which others can write is
// refused, with the command that fixes it.
func TestDirectoryOpenToOthers(t *testing.T) {
	t.Parallel()
	for _, mode := range []os.FileMode{0o777, 0o775, 0o777 | os.ModeSticky} {
		s := newServer(t)
		fill(t, s.data, nil)
		if err := os.Chmod(s.data, mode); err != nil {
			t.Fatal(err)
		}
		checkRefusal(t, s.flags(), s.data, "-trust-data-dir", "chmod go-w")
		if left := allBelow(t, s.data); len(left) != 1 {
			t.Errorf("left behind:\n%s", strings.Join(left[1:], "\n"))
		}
		_, _, stderr := run(t, nil, s.flags()...)
		command := regexp.MustCompile(`chmod go-w [^ .]*`).FindString(stderr)
		if out, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
		s.start()
		s.stop()
		if err := os.Chmod(s.data, mode); err != nil {
			t.Fatal(err)
		}
		s.env = []string{"ETCD_TRUST_DATA_DIR=true"}
		s.start()
		if !strings.Contains(s.proc.stderr(), "-trust-data-dir: other users can change") {
			t.Errorf("no warning:\n%s", s.proc.stderr())
		}
		s.stop()
	}
}

// TestDirectoryOfEarlierVersions checks that a directory created by hand, as most are, opens
// with the modes that it has.
func TestDirectoryOfEarlierVersions(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	fill(t, s.data, nil)
	s.start()
	s.do(post("/v1/keys/a", "value", "1"))
	s.stop()
	err := os.Chmod(s.data, 0o755)
	entries, readErr := os.ReadDir(s.data)
	for _, e := range entries {
		err = errors.Join(err, os.Chmod(filepath.Join(s.data, e.Name()), 0o644))
	}
	if err := errors.Join(err, readErr); err != nil {
		t.Fatal(err)
	}
	s.start()
	if e := s.event(get("/v1/keys/a")); e.Value != "1" {
		t.Errorf("%+v", e)
	}
}

// TestModesOfFiles checks that all files are accessible to their owner only, whatever the umask.
func TestModesOfFiles(t *testing.T) {
	t.Parallel()
	s := newServer(t, "-auto-tls", "-snapshot-count", "5")
	s.under = []string{"sh", "-c", `umask 0; exec "$0" "$@"`}
	s.data = filepath.Join(s.dir, "above", "data")
	s.start()
	overTLS.Store(s.client, autoTLSOf(t, s))
	for range 20 {
		s.event(post("/v1/keys/a", "value", "1"))
	}
	s.stop()
	modes := map[string]os.FileMode{}
	for _, dir := range []string{filepath.Join(s.dir, "above"), s.data} {
		info, err := os.Lstat(dir)
		if err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", dir, info.Mode(), err)
		}
	}
	entries, err := os.ReadDir(s.data)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", e.Name(), info.Mode(), err)
		}
		modes[e.Name()] = info.Mode()
	}
	if len(modes) < 6 {
		t.Errorf("only %v: this tests little", modes)
	}
}

// TestSecondProcessWritesNothing checks that -auto-tls makes no key pair in the directory of
// a running machine.
func TestSecondProcessWritesNothing(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	other := newMachine(t, "other", "-auto-tls")
	other.data = s.data
	checkRefusal(t, other.flags(), "another etcd is using this data directory")
	if files, err := filepath.Glob(filepath.Join(s.data, "auto-tls*")); err != nil || len(files) > 0 {
		t.Errorf("it has made %v, %v", files, err)
	}
}
