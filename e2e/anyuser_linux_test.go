package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// sealed runs a command as the user $1, who has no account, in a file system that is read-only but for
// the directory $2: without HOME, TMPDIR and any other variable, and with a umask that protects nothing.
const sealed = `set -e
user=$1 data=$2
shift 2
mount --bind "$data" "$data"
mount -o remount,bind,ro /
umask 0
exec setpriv --reuid "$user" --regid "$user" --clear-groups --no-new-privs --bounding-set=-all env -i "$@"`

// TestAnyUser checks that a machine needs no account, no privilege, no environment and no place to write
// but its data directory, and that this belongs to its user alone whatever the umask is.
func TestAnyUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 || needMount.absent() {
		t.Skip("this needs root and the right to mount, to take both away from a machine")
	}
	const user = 54321
	s := newServer(t, "--peer-auto-tls")
	program, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	s.program = filepath.Join(s.dir, "etcd")
	if err := os.WriteFile(s.program, program, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(s.data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(s.data, user, user); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(s.dir), 0o711); err != nil { // on the way to the program
		t.Fatal(err)
	}
	s.under = []string{"unshare", "--mount", "sh", "-c", sealed, "sh", "54321", s.data}
	s.start()
	s.event(post("/v1/keys/a", "value", "1"))
	s.kill()
	s.start()
	if e := s.event(get("/v1/keys/a")); e.Value != "1" {
		t.Errorf("after a restart: %+v", e)
	}
	s.stop()
	files := 0
	err = filepath.WalkDir(s.data, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		files++
		if owner := info.Sys().(*syscall.Stat_t).Uid; owner != user || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %s of user %d", path, info.Mode(), owner)
		}
		return nil
	})
	if err != nil || files < 5 {
		t.Errorf("%d files: %v", files, err)
	}
}
