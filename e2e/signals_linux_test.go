package e2e

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// unread is a server whose log goes to a pipe of the test.
type unread struct {
	*server
	cmd   *exec.Cmd
	log   *os.File // read end
	write *os.File // write end, which the server has as well
}

// startUnread starts a server in a session of its own, without a terminal, with stdout and
// stderr on one pipe. prepare is called with both ends before the server starts.
func startUnread(t *testing.T, prepare func(read, write *os.File)) *unread {
	t.Helper()
	noteSources()
	s := newServer(t)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	prepare(read, write)
	cmd := exec.Command(binary, s.flags()...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, write, write
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		read.Close()
		write.Close()
	})
	u := &unread{server: s, cmd: cmd, log: read, write: write}
	waitUntil(t, "the server serves", func() bool {
		answer, err := exchange(s.client, get("/machines"))
		return err == nil && answer.status == 200
	})
	return u
}

// signal sends a signal.
func (u *unread) signal(sig syscall.Signal) {
	u.t.Helper()
	if err := u.cmd.Process.Signal(sig); err != nil {
		u.t.Fatal(err)
	}
}

// lives checks that the process accepts a write.
func (u *unread) lives(value string) {
	u.t.Helper()
	if e := u.event(post("/v1/keys/a", "value", value)); e.Action != "SET" {
		u.t.Errorf("a write answers %+v", e)
	}
}

// ends checks that SIGTERM stops it as usual.
func (u *unread) ends() {
	u.t.Helper()
	u.signal(syscall.SIGTERM)
	if err := u.cmd.Wait(); err != nil {
		u.t.Errorf("after SIGTERM: %v", err)
	}
}

// lost returns how many log lines the server reports as lost.
func (u *unread) lost() (n int) {
	u.t.Helper()
	_, after, found := strings.Cut(u.do(get("/v1/stats/self")).body, `"lostLogLines":`)
	if found {
		fmt.Sscan(after, &n)
	}
	return n
}

// TestLogReaderGone checks that a server survives the end of the process that reads its log.
func TestLogReaderGone(t *testing.T) {
	t.Parallel()
	t.Run("it was gone before the start", func(t *testing.T) {
		t.Parallel()
		u := startUnread(t, func(read, _ *os.File) { read.Close() })
		u.lives("1")
		waitUntil(t, "lines are counted as lost", func() bool { return u.lost() > 0 })
		u.ends()
	})
	t.Run("it goes", func(t *testing.T) {
		t.Parallel()
		u := startUnread(t, func(_, _ *os.File) {})
		u.log.Close()
		u.signal(syscall.SIGHUP) // logs a line
		waitUntil(t, "a line is counted as lost", func() bool { return u.lost() > 0 })
		u.lives("1")
		u.ends()
	})
	// full fills the pipe to its capacity.
	full := func(_, write *os.File) {
		const size = 4096 // the smallest pipe
		_, err := unix.FcntlInt(write.Fd(), unix.F_SETPIPE_SZ, size)
		if err == nil {
			_, err = write.Write(bytes.Repeat([]byte("x"), size))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Run("it reads nothing", func(t *testing.T) {
		t.Parallel()
		u := startUnread(t, full)
		u.signal(syscall.SIGHUP)
		u.lives("1")
		u.ends()
		u.write.Close()
		if log, err := io.ReadAll(u.log); err != nil || len(bytes.Trim(log, "x")) > 0 {
			t.Errorf("the pipe was not full: %v, %s", err, log)
		}
	})
	t.Run("it begins to read", func(t *testing.T) {
		t.Parallel()
		u := startUnread(t, full)
		u.write.Close()
		log := make(chan string, 1)
		go func() {
			text, _ := io.ReadAll(u.log)
			log <- string(text)
		}()
		u.ends()
		if text := <-log; !strings.Contains(text, "etcd is starting") || !strings.Contains(text, "msg=stopped") {
			t.Errorf("the log is not whole:\n%s", strings.TrimLeft(text, "x"))
		}
	})
}

// TestRefusesIntoDeadPipe checks that a refused start has its exit code even if nobody reads
// the reason.
func TestRefusesIntoDeadPipe(t *testing.T) {
	t.Parallel()
	noteSources()
	for _, test := range []struct {
		flag string
		code int
	}{{"-nosuch", 2}, {"-CF=nosuch", 1}, {"-help", 0}, {"-version", 0}} {
		read, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		read.Close()
		cmd := exec.Command(binary, test.flag, "-d", t.TempDir(), "-c", "127.0.0.1:0", "-s", "127.0.0.1:0")
		cmd.Stdout, cmd.Stderr = write, write
		err = cmd.Run()
		write.Close()
		if code := cmd.ProcessState.ExitCode(); code != test.code {
			t.Errorf("%s: exit code %d (%v), want %d", test.flag, code, err, test.code)
		}
	}
}

// TestHangUp checks that SIGHUP changes nothing without a terminal, and that a machine
// started in a terminal stops cleanly when that hangs up.
func TestHangUp(t *testing.T) {
	t.Parallel()
	t.Run("no terminal", func(t *testing.T) {
		t.Parallel()
		u := startUnread(t, func(_, _ *os.File) {})
		u.signal(syscall.SIGHUP)
		u.lives("1")
		u.ends()
		u.write.Close()
		log, err := io.ReadAll(u.log)
		if err != nil || !strings.Contains(string(log), "SIGHUP changes nothing") || !strings.Contains(string(log), "msg=stopped") {
			t.Errorf("%v, the log is\n%s", err, log)
		}
	})
	t.Run("terminal", func(t *testing.T) {
		t.Parallel()
		screen, terminal := openTerminal(t)
		s := newServer(t)
		s.begin = func(cmd *exec.Cmd) error {
			cmd.Stdin = terminal
			cmd.SysProcAttr.Setsid, cmd.SysProcAttr.Setctty, cmd.SysProcAttr.Ctty = true, true, 0
			return cmd.Start()
		}
		s.start()
		terminal.Close()
		screen.Close() // hangs up
		if code := s.proc.waitExit(stopLimit); code != 0 {
			t.Errorf("exit code %d, want 0", code)
		}
		if log := s.proc.stderr(); !strings.Contains(log, "signal=hangup") || !strings.Contains(log, "msg=stopped") {
			t.Errorf("the log is\n%s", log)
		}
	})
}

// openTerminal returns both ends of a new pseudoterminal.
func openTerminal(t *testing.T) (screen, terminal *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo terminals: %v", err)
	}
	fd := int(screen.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		screen.Close()
		terminal.Close()
	})
	return screen, terminal
}

// TestStopWhileReading checks that a machine stops on SIGTERM while it still reads its data
// directory, which takes long here.
func TestStopWhileReading(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.stop()
	segment := filepath.Join(s.data, "0000000000000001.wal")
	if err := os.Truncate(segment, 1<<42); err != nil { // a sparse file
		t.Fatal(err)
	}
	s.launch()
	waitUntil(t, "it has begun to read", func() bool {
		fds := fmt.Sprintf("/proc/%d/fd", s.proc.cmd.Process.Pid)
		names, err := os.ReadDir(fds)
		return err == nil && slices.ContainsFunc(names, func(name os.DirEntry) bool {
			to, err := os.Readlink(filepath.Join(fds, name.Name()))
			return err == nil && to == segment
		})
	})
	s.proc.signal(syscall.SIGTERM)
	if code := s.proc.waitExit(stopLimit); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestStopsOnce checks that two SIGTERM in a row, as timeout(1) sends them, count as one.
func TestStopsOnce(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.proc.signal(syscall.SIGTERM)
	waitUntil(t, "the machine stops", func() bool { return strings.Contains(s.proc.stderr(), "stopping") })
	s.proc.signal(syscall.SIGTERM)
	if code := s.proc.waitExit(stopLimit); code != 0 || strings.Contains(s.proc.stderr(), "second signal") {
		t.Errorf("exit code %d", code)
	}
}
