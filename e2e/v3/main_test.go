package v3

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

var program = flag.String("etcd", "", "the `program` to test, if it is not the server of this repository; official is upstream's")

// work is the environment variable that has the directory of what TestMain has prepared: in
// bin, as upstream's tests expect it, etcd (the server to test), etcdctl and etcdutl; beside it
// the official server, upstream's tests, and fixtures, the certificates that come with them.
// It is set in the process that runs the tests.
const work = "ETCD_V3_WORK"

// prepared returns the path of something in the directory work.
func prepared(elements ...string) string {
	return filepath.Join(append([]string{os.Getenv(work)}, elements...)...)
}

// TestMain prepares what the tests need, and then runs this program again, in a network and
// with process IDs of its own.
func TestMain(m *testing.M) {
	flag.Parse()
	if os.Getenv(work) != "" || exec.Command("unshare", isolated("true")...).Run() != nil {
		os.Exit(m.Run()) // in which each test skips if there is no such network
	}
	code, err := prepareAndRun()
	if err != nil {
		fmt.Fprintln(os.Stderr, "v3:", err)
		code = 1
	}
	os.Exit(code)
}

func prepareAndRun() (code int, err error) {
	dir, err := os.MkdirTemp(inMemory(), "etcd-v3-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if err := prepare(dir); err != nil {
		return 1, err
	}
	again := exec.Command("unshare", isolated(os.Args...)...)
	again.Env = append(os.Environ(), work+"="+dir, "TMPDIR="+dir)
	again.Stdout, again.Stderr = os.Stdout, os.Stderr
	again.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err = again.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	return 0, err
}

// prepare fills the directory work. The go command keeps what it has built of upstream.
func prepare(dir string) error {
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o755); err != nil {
		return err
	}
	for tool, link := range map[string]string{"etcdctl": "bin/etcdctl", "etcdutl": "bin/etcdutl", "server": "official"} {
		path, err := output("go", "tool", "-n", "go.etcd.io/etcd/"+tool+"/v3")
		if err != nil {
			return err
		}
		if err := os.Symlink(path, filepath.Join(dir, link)); err != nil {
			return err
		}
	}
	tests, err := output("go", "list", "-m", "-f", "{{.Dir}}", "go.etcd.io/etcd/tests/v3")
	if err != nil {
		return err
	}
	if err := os.Symlink(filepath.Join(tests, "fixtures"), filepath.Join(dir, "fixtures")); err != nil {
		return err
	}
	if _, err := output("go", "test", "-c", "-tags", "e2e", "-o", filepath.Join(dir, "common"), "go.etcd.io/etcd/tests/v3/common"); err != nil {
		return err
	}
	etcd := filepath.Join(dir, "bin", "etcd")
	switch *program {
	case "":
		_, err = output("go", "build", "-C", filepath.Join("..", ".."), "-o", etcd, "./cmd/etcd")
	case "official":
		err = os.Symlink(filepath.Join("..", "official"), etcd)
	default:
		err = os.Symlink(*program, etcd)
	}
	return err
}

// output returns what a command prints.
func output(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", cmd, err, complaint.String())
	}
	return strings.TrimSpace(string(out)), nil
}

// inMemory returns a directory in memory if one has room for the data of a few clusters, and
// otherwise the usual one for temporary files.
func inMemory() string {
	const tmpfs, room = "/dev/shm", 2 << 30
	var fs syscall.Statfs_t
	if os.Getenv("TMPDIR") != "" || syscall.Statfs(tmpfs, &fs) != nil || fs.Bavail < room/uint64(fs.Bsize) {
		return ""
	}
	return tmpfs
}

// isolated returns the arguments of unshare(1) that run a command where there are no other
// processes, and no network but a loopback interface.
func isolated(command ...string) []string {
	args := []string{"--net", "--pid", "--mount-proc", "--fork", "--kill-child"}
	if os.Geteuid() != 0 {
		args = append(args, "--map-root-user")
	}
	return append(append(args, "sh", "-c", `ip link set lo up && exec "$@"`, "sh"), command...)
}

// begin begins a test that may need a file, which a Debian package has.
func begin(t *testing.T, needed ...pkg) {
	t.Helper()
	if os.Getenv(work) == "" {
		t.Skip("no network of its own for the tests, which takes unshare and ip (Debian: apt-get install util-linux iproute2) and the right to make one")
	}
	for _, p := range needed {
		if _, err := os.Stat(p.file); err != nil {
			t.Skipf("no %s (Debian: apt-get install %s)", p.file, p.name)
		}
	}
}

// pkg is a Debian package, and a file of it.
type pkg struct{ name, file string }

// subject names the server under test.
func subject() string { return cmp.Or(*program, "ours") }
