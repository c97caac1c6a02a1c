package upstream

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

var program = flag.String("etcd", "", "the `program` to test, if it is not the server of this repository")

// work is the environment variable that has the directory of what TestMain has built and
// fetched. It is set in the process that runs the tests.
const work = "ETCD_UPSTREAM_WORK"

// reference is Debian's etcd 3.4, which answers beside ours where a test compares the two.
const reference = "/usr/bin/etcd"

// TestMain prepares what the tests need, and then runs this program again, in a network and
// with process IDs of its own.
func TestMain(m *testing.M) {
	flag.Parse()
	if os.Getenv(work) != "" {
		// Debian's etcd wants to be told that it has the v2 API, and that members may change
		// in its first five seconds.
		os.Setenv("ETCD_ENABLE_V2", "true")
		os.Setenv("ETCD_STRICT_RECONFIG_CHECK", "false")
		os.Exit(m.Run())
	}
	if exec.Command("unshare", isolated("true")...).Run() != nil {
		os.Exit(m.Run()) // in which each test skips
	}
	code, err := prepareAndRun()
	if err != nil {
		fmt.Fprintln(os.Stderr, "upstream:", err)
		code = 1
	}
	os.Exit(code)
}

func prepareAndRun() (code int, err error) {
	dir, err := os.MkdirTemp("", "etcd-upstream-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if *program == "" {
		*program = filepath.Join(dir, "etcd")
		build := exec.Command("go", "build", "-o", *program, "./cmd/etcd")
		build.Dir = filepath.Join("..", "..")
		if out, err := build.CombinedOutput(); err != nil {
			return 1, fmt.Errorf("%s: %w\n%s", build, err, out)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	fetched := make(chan error, 1)
	go func() { fetched <- fetchNodeEtcd(ctx, dir) }()
	defer func() { // before its directory goes
		cancel()
		err = errors.Join(err, <-fetched)
	}()
	again := exec.Command("unshare", isolated(append(os.Args, "-etcd", *program)...)...)
	again.Env = append(os.Environ(), work+"="+dir)
	again.Stdout, again.Stderr = os.Stdout, os.Stderr
	again.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err = again.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	return 0, err
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

// begin begins a test that needs a file, which a Debian package has.
func begin(t *testing.T, needed ...pkg) {
	t.Helper()
	if os.Getenv(work) == "" {
		t.Skip("no network of its own for the tests, which takes unshare and ip (Debian: apt-get install util-linux iproute2) and the right to make one")
	}
	for _, p := range needed {
		if _, err := exec.LookPath(p.file); err != nil && !exists(p.file) {
			t.Skipf("no %s (Debian: apt-get install %s)", p.file, p.name)
		}
	}
	t.Parallel()
}

// pkg is a Debian package, and a command or a file of it.
type pkg struct{ name, file string }

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
