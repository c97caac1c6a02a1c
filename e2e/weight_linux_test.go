package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// plainBinary is the server without the race detector, whose memory says nothing.
var plainBinary = sync.OnceValues(func() (string, error) {
	if !raceBuild {
		return binary, nil
	}
	path := filepath.Join(filepath.Dir(binary), "etcd-plain")
	out, err := exec.Command("go", "build", "-o", path, "etcd/cmd/etcd").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// weighed is a server whose memory is watched.
type weighed struct{ *server }

// weigh starts a server without the race detector.
func weigh(t *testing.T, args ...string) *weighed {
	t.Helper()
	path, err := plainBinary()
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, args...)
	s.program, s.data = path, inMemory(t)
	s.env = append(s.env, "GOMEMLIMIT=", "GOGC=")
	s.start()
	return &weighed{s}
}

// memory returns a figure of /proc/PID/status, in bytes: VmRSS is what it has, and VmHWM the most that it had.
func (w *weighed) memory(name string) int {
	w.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.proc.cmd.Process.Pid))
	if err != nil {
		w.t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			kib, err := strconv.Atoi(strings.Fields(value)[0])
			if err != nil {
				w.t.Fatal(err)
			}
			return kib << 10
		}
	}
	w.t.Fatalf("no %s", name)
	return 0
}
