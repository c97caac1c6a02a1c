package e2e

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// binary is the path of the server built for this test run.
var binary string

// TestMain builds the server once, runs the tests and checks that they left
// no goroutine behind.
func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "etcd-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e: temporary directory:", err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "etcd")
	args := []string{"build", "-o", binary}
	if raceBuild {
		args = append(args, "-race")
	}
	build := exec.Command("go", append(args, "etcd/cmd/etcd")...)
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "e2e: go build etcd/cmd/etcd: %v\n%s", err, out)
		os.RemoveAll(dir)
		os.Exit(1)
	}
	// The race detector would delay the exit of every server by a second.
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// noteSources stats all source files of the server. The go command caches test
// results and invalidates them by the files that the test has opened or statted;
// it does not see that the test has built the server.
var noteSources = sync.OnceFunc(func() {
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != ".." {
			return fs.SkipDir
		}
		if strings.HasSuffix(path, ".go") || d.Name() == "go.mod" {
			_, err = os.Stat(path)
		}
		return err
	})
	if err != nil {
		panic(err)
	}
})

// flagRun returns the value of -run, empty if all tests run.
func flagRun() string {
	return flag.Lookup("test.run").Value.String()
}
