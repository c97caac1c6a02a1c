package e2e

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"etcd/internal/freeport"
)

// TestTerminate checks that SIGTERM under load drains: requests in flight and
// watches are answered, the process ends in time, and nothing is lost.
func TestTerminate(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	watch := s.background(get("/v1/watch/never"))
	s.waitWatchers(1)

	var mu sync.Mutex
	acknowledged := map[string]int{} // the value is the highest number written
	var unanswered []time.Time
	var wg sync.WaitGroup
	enough := make(chan struct{})
	for id := range 16 {
		c := s.dial()
		wg.Go(func() {
			key := "/v1/keys/w" + strconv.Itoa(id)
			for i := 0; ; i++ {
				sent := time.Now()
				answer, err := c.roundTrip(post(key, "value", strconv.Itoa(i)))
				mu.Lock()
				switch {
				case err != nil:
					unanswered = append(unanswered, sent)
				case answer.status == 200:
					acknowledged[key] = i
				}
				mu.Unlock()
				if err != nil || answer.status != 200 {
					return
				}
				if id == 0 && i == 50 {
					close(enough)
				}
			}
		})
	}
	<-enough
	signalled := time.Now()
	s.stop()
	wg.Wait()
	for _, sent := range unanswered {
		if sent.Before(signalled) {
			t.Errorf("a request sent %s before SIGTERM was not answered", signalled.Sub(sent))
		}
	}
	answer := watch.wait(t)
	if e, err := answer.event(); err != nil || answer.status != 500 || e.ErrorCode != 500 || e.Message != "watcher is cleared due to etcd recovery" {
		t.Errorf("the watch is answered %d %s", answer.status, answer.body)
	}
	if _, err := watch.conn.in.ReadByte(); err == nil {
		t.Error("the connection of the watch is not closed")
	}

	s.start()
	for key, highest := range acknowledged {
		if got, err := strconv.Atoi(s.event(get(key)).Value); err != nil || got < highest {
			t.Errorf("%s is %d after the restart (%v), %d was acknowledged", key, got, err, highest)
		}
	}
}

// TestTerminateQuiet checks that idle connections do not hold up a stop: to the
// client port or the peer port, or after the answer of a watch.
func TestTerminateQuiet(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	watched := s.background(get("/v1/watch/a"))
	s.waitWatchers(1)
	s.event(post("/v1/keys/a", "value", "1"))
	watched.wait(t)
	quiet := []*conn{watched.conn, s.dial()}
	machine, err := dial(s.peer)
	if err != nil {
		t.Fatal(err)
	}
	defer machine.Close()
	s.do(get("/version")) // earlier connections have been accepted by now
	s.stop()
	for _, c := range append(quiet, machine) {
		if _, err := c.in.ReadByte(); err == nil {
			t.Error("a connection is not closed")
		}
	}
	if log := s.proc.stderr(); strings.Contains(log, "cut off") {
		t.Errorf("somebody was cut off:\n%s", log)
	}
}

// TestKernelPort checks that port 0 lets the kernel choose and that the
// chosen address is the one announced.
func TestKernelPort(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.client = "127.0.0.1:0"
	s.start()
	if strings.HasSuffix(s.client, ":0") {
		t.Fatalf("the announced address is %s", s.client)
	}
	s.want(get("/machines"), 200, s.client)
}

// TestRefusesToStart checks command lines that must end at once, with one
// clear line and the right exit code.
func TestRefusesToStart(t *testing.T) {
	t.Parallel()
	running := startServer(t)
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	// Should a command line be accepted after all, it does no harm.
	free := func() []string { return []string{"-c", freeport.Address(t), "-s", freeport.Address(t)} }
	tests := []struct {
		name string
		args []string
		env  []string
		code int
		says string
	}{
		{"data directory in use", append(free(), "-d", running.data), nil, 1, running.data},
		{"client port in use", append(free(), "-c", busy.Addr().String()), nil, 1, busy.Addr().String()},
		{"unknown flag", append(free(), "-nosuch"), nil, 2, "nosuch"},
		{"value of the wrong type", append(free(), "-m", "many"), nil, 2, "many"},
		{"value of the wrong type in the environment", free(), []string{"ETCD_M=many"}, 2, "ETCD_M"},
		{"argument that is no flag", append(free(), "serve"), nil, 2, "serve"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			code, stdout, stderr := run(t, test.env, test.args...)
			if code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			if lines := strings.Count(stderr, "\n"); lines != 1 || !strings.Contains(stderr, test.says) || stdout != "" {
				t.Errorf("want one line that contains %q, got\n%s%s", test.says, stdout, stderr)
			}
		})
	}
	running.want(post("/v1/keys/a", "value", "1"), 200, `{"action":"SET","key":"/a","value":"1","newKey":true,"index":3}`)
}

// TestVersionAndHelp checks the output of -version and -h.
func TestVersionAndHelp(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"-version", "--version"} {
		code, stdout, stderr := run(t, nil, flag)
		if code != 0 || !regexp.MustCompile(`^etcd Version: \d+\.\d+\.\d+\nServer Version: v\d+\.\d+\.\d+\S*\nGit SHA: \S+\nGo Version: go\S.*\nGo OS/Arch: \w+/\w+\n$`).MatchString(stdout) || stderr != "" {
			t.Errorf("%s: exit code %d, %q, %q", flag, code, stdout, stderr)
		}
	}
	for _, flag := range []string{"-help", "--help", "-h"} {
		code, stdout, stderr := run(t, nil, flag)
		if code != 0 || stderr != "" {
			t.Errorf("%s: exit code %d, stderr %q", flag, code, stderr)
		}
		for _, word := range []string{"-c", "-s", "-n", "-d", "-m", "--initial-cluster", "-snapshot-count", "-cors", "4001", "7001", "ETCD_"} {
			if !strings.Contains(stdout, word) {
				t.Errorf("%s does not mention %s", flag, word)
			}
		}
		if groups := regexp.MustCompile(`(?m)^\S.*:$`).FindAllString(stdout, -1); len(groups) < 3 {
			t.Errorf("%s has no groups: %q", flag, groups)
		}
	}
}

// TestEnvironment checks that every setting can come from the environment
// and that the command line wins.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.env = []string{"ETCD_M=0", "ETCD_N=fromenvironment", "ETCD_SNAPSHOT_COUNT=100"}
	s.start()
	if e := s.event(get("/v1/keys/_etcd/machines/node1")); e.Key != "/_etcd/machines/node1" {
		t.Errorf("the name given on the command line is not taken: %+v", e)
	}
	s.do(post("/v1/keys/a", "value", "1"))
	if e := s.event(post("/v1/watch/a", "index", "3")); e.ErrorCode != 401 {
		t.Errorf("a history of no events answers %+v", e)
	}
}

// TestStartOver checks that -f deletes all data.
func TestStartOver(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.do(post("/v1/keys/a", "value", "1"))
	s.stop()
	s.args = []string{"-f"}
	s.start()
	s.want(get("/v1/keys/a"), 404, `{"errorCode":100,"message":"Key Not Found","cause":"/a"}`)
	s.want(post("/v1/keys/b", "value", "1"), 200, `{"action":"SET","key":"/b","value":"1","newKey":true,"index":3}`)
}

// TestDamagedLog checks that a start truncates a torn tail, and refuses a
// damaged log.
func TestDamagedLog(t *testing.T) {
	t.Parallel()
	const writes = 100
	// crashed writes a log of known contents, kills the server, and returns the
	// only segment and the offset at which its last record ends.
	crashed := func(t *testing.T) (s *server, segment string, end int) {
		s = startServer(t)
		c := s.dial()
		for i := range writes {
			if _, err := c.roundTrip(post("/v1/keys/a", "value", strconv.Itoa(i))); err != nil {
				t.Fatal(err)
			}
		}
		s.kill()
		segments, err := filepath.Glob(filepath.Join(s.data, "*.wal"))
		if err != nil || len(segments) != 1 {
			t.Fatalf("segments of the log: %v %v", segments, err)
		}
		content, err := os.ReadFile(segments[0])
		if err != nil {
			t.Fatal(err)
		}
		return s, segments[0], len(bytes.TrimRight(content, "\x00"))
	}

	t.Run("changed byte", func(t *testing.T) {
		s, segment, end := crashed(t)
		at := int64(end / 2)
		overwrite(t, segment, at, func(b []byte) { b[0] ^= 0x40 })
		code, _, stderr := run(t, nil, s.flags()...)
		if code != 1 {
			t.Errorf("exit code %d, want 1", code)
		}
		m := regexp.MustCompile(`offset (\d+)`).FindStringSubmatch(stderr)
		if m == nil || !strings.Contains(stderr, filepath.Base(segment)) {
			t.Fatalf("want the file and the offset of the damage in\n%s", stderr)
		}
		if offset, _ := strconv.ParseInt(m[1], 10, 64); offset > at || offset < at-200 {
			t.Errorf("the damage at %d is reported at %d", at, offset)
		}
	})

	t.Run("shortened file", func(t *testing.T) {
		s, segment, end := crashed(t)
		if err := os.Truncate(segment, int64(end/2)); err != nil {
			t.Fatal(err)
		}
		code, _, stderr := run(t, nil, s.flags()...)
		if code != 1 || !strings.Contains(stderr, filepath.Base(segment)) {
			t.Errorf("exit code %d, want 1 and the name of the file in\n%s", code, stderr)
		}
	})

	t.Run("torn tail", func(t *testing.T) {
		s, segment, end := crashed(t)
		overwrite(t, segment, int64(end)-3, func(b []byte) { clear(b[:3]) })
		s.start()
		if !regexp.MustCompile(`level=WARN .*bytes=\d+`).MatchString(s.proc.stderr()) {
			t.Errorf("no warning that says how many bytes were cut:\n%s", s.proc.stderr())
		}
		// The truncated record holds the last write, or only the HardState after
		// it.
		if e := s.event(get("/v1/keys/a")); e.Value != strconv.Itoa(writes-1) && e.Value != strconv.Itoa(writes-2) {
			t.Errorf("after the cut the last of %d writes is %q", writes, e.Value)
		}
		if e := s.event(post("/v1/keys/a", "value", "more")); e.Action != "SET" {
			t.Errorf("a write after the cut: %+v", e)
		}
	})
}

// overwrite changes some bytes of a file in place.
func overwrite(t *testing.T, path string, at int64, change func([]byte)) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	b := make([]byte, 16)
	if _, err := file.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	change(b)
	if _, err := file.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}

// TestInterrupt checks that SIGINT stops the server as SIGTERM does.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.proc.signal(syscall.SIGINT)
	if code := s.proc.waitExit(stopLimit); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
