package e2e

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"etcd/internal/freeport"
)

// Limits of the harness, which end a test that hangs. They are no performance goals: with
// the race detector, on a host that stalls for seconds because others use its disk and
// processors, everything may take long. Promises about time are checked in simulated time.
const (
	startLimit = time.Minute // from exec to "ready to serve client requests"
	stopLimit  = time.Minute // from SIGTERM to exit
	waitLimit  = time.Minute // for a condition or an answer
)

// server is one etcd process with a working directory and ports of its own.
// The process may be killed and started again; addresses and data stay.
type server struct {
	t       testing.TB
	name    string
	dir     string                // working directory of the process
	data    string                // data directory
	client  string                // client address, host:port
	peer    string                // peer address, host:port, as advertised
	listen  string                // peer address it listens on, if that is another one
	args    []string              // further flags
	today   bool                  // the flags of the harness are those of etcd 3
	env     []string              // further environment variables, NAME=value
	program string                // the binary, if it is not the one of this test run
	foreign bool                  // it is an etcd of others, with their log lines and exit codes
	under   []string              // a command that runs the binary, with its arguments
	begin   func(*exec.Cmd) error // starts the process in another way than usual

	proc *process // the running or last process
}

// newServer prepares a server named node1 with free ports and an empty data
// directory, without starting it. args come after the flags of the harness.
func newServer(t testing.TB, args ...string) *server {
	t.Helper()
	return newMachine(t, "node1", args...)
}

// newMachine is newServer with another name.
func newMachine(t testing.TB, name string, args ...string) *server {
	t.Helper()
	dir := t.TempDir()
	return &server{
		t:      t,
		name:   name,
		dir:    dir,
		data:   filepath.Join(dir, "data"),
		client: freeport.Address(t),
		peer:   freeport.Address(t),
		args:   args,
	}
}

// startServer is newServer followed by start.
func startServer(t testing.TB, args ...string) *server {
	t.Helper()
	s := newServer(t, args...)
	s.start()
	return s
}

// flags returns the command line of the server.
func (s *server) flags() []string {
	if s.today {
		client, peer := "http://"+s.client, "http://"+s.peer
		return append([]string{
			"--name", s.name, "--data-dir", s.data, "--listen-client-urls", client, "--advertise-client-urls", client,
			"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
		}, s.args...)
	}
	flags := []string{"-n", s.name, "-d", s.data, "-c", s.client, "-s", s.peer}
	if s.listen != "" {
		flags = append(flags, "-sl", s.listen)
	}
	return append(flags, s.args...)
}

// start runs the process and returns once it serves clients.
func (s *server) start() {
	s.t.Helper()
	s.launch()
	s.waitServing()
}

// waitServing returns once the process serves clients.
func (s *server) waitServing() {
	s.t.Helper()
	if !s.foreign {
		s.client = s.proc.waitServing()
		return
	}
	waitUntil(s.t, s.name+" is healthy", func() bool {
		if !s.runs() {
			s.t.Fatalf("%s has ended:\n%s", s.name, s.proc.stderr())
		}
		answer, err := exchange(s.client, get("/health"))
		return err == nil && answer.status == 200
	})
}

// launch runs the process without waiting for anything.
func (s *server) launch() {
	s.t.Helper()
	program := s.program
	if program == "" {
		program = binary
	}
	command := append(append(slices.Clone(s.under), program), s.flags()...)
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), s.env...)
	begin := s.begin
	if begin == nil {
		begin = (*exec.Cmd).Start
	}
	s.proc = launchBy(s.t, cmd, begin)
}

// runs says that the process has been started and has not ended.
func (s *server) runs() bool {
	return s.proc != nil && s.proc.runs()
}

// runs says that the process has not ended.
func (p *process) runs() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// peerListen returns the address at which other machines really reach it.
func (s *server) peerListen() string {
	if s.listen != "" {
		return s.listen
	}
	return s.peer
}

// kill kills the process with SIGKILL, as a crash would.
func (s *server) kill() {
	s.t.Helper()
	s.proc.signal(syscall.SIGKILL)
	s.proc.waitExit(stopLimit)
}

// stop asks the process to end and checks that it does so in time and with
// exit code 0.
func (s *server) stop() {
	s.t.Helper()
	s.proc.signal(syscall.SIGTERM)
	if code := s.proc.waitExit(stopLimit); code != 0 && !s.foreign {
		s.t.Fatalf("exit code after SIGTERM is %d, want 0", code)
	}
}

// process is one run of the binary.
type process struct {
	t       testing.TB
	cmd     *exec.Cmd
	serving chan string   // receives the client address once
	exited  chan struct{} // closed when the process is gone and its log read

	mu  sync.Mutex
	log []string // lines of stderr
}

// servingLine finds the client address in the line a server logs when it
// begins to serve, also as older builds say it.
var servingLine = regexp.MustCompile(`msg="(?:ready to serve client requests|serving clients)".*\baddr="?([^"\s]+)`)

// launch starts a command and collects its stderr. The process is killed when
// the test ends and when the test binary dies; its log is printed if the test
// failed.
func launch(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	return launchBy(t, cmd, (*exec.Cmd).Start)
}

// launchBy is launch with another way to start the command.
func launchBy(t testing.TB, cmd *exec.Cmd, begin func(*exec.Cmd) error) *process {
	t.Helper()
	noteSources()
	p := &process{
		t:       t,
		cmd:     cmd,
		serving: make(chan string, 1),
		exited:  make(chan struct{}),
	}
	cmd.SysProcAttr = endsWithTest()
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatalf("stderr of %s: %v", cmd, err)
	}
	if err := begin(cmd); err != nil {
		t.Fatalf("start %s: %v", cmd, err)
	}
	go p.collect(stderr)
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-p.exited
		if strings.Contains(p.stderr(), "WARNING: DATA RACE") {
			t.Error("the race detector reported a race in the server")
		}
		if t.Failed() {
			t.Logf("%s\n%s", cmd, p.stderr())
		}
	})
	return p
}

// collect reads the log until the process closes it and then waits for the
// process.
func (p *process) collect(stderr io.Reader) {
	lines := bufio.NewReader(stderr)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			p.mu.Lock()
			p.log = append(p.log, strings.TrimSuffix(line, "\n"))
			p.mu.Unlock()
		}
		if m := servingLine.FindStringSubmatch(line); m != nil {
			select {
			case p.serving <- m[1]:
			default:
			}
		}
		if err != nil {
			break
		}
	}
	p.cmd.Wait() // the exit code is read from ProcessState
	close(p.exited)
}

// stderr returns what the process has logged so far.
func (p *process) stderr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.log, "\n")
}

// waitServing returns the client address the process announces.
func (p *process) waitServing() string {
	p.t.Helper()
	select {
	case address := <-p.serving:
		return address
	case <-p.exited:
		p.t.Fatalf("the server ended with exit code %d instead of serving:\n%s", p.cmd.ProcessState.ExitCode(), p.stderr())
	case <-time.After(startLimit):
		p.t.Fatalf("the server does not serve after %s:\n%s", startLimit, p.stderr())
	}
	return ""
}

// signal sends a signal. A process that has already ended is no error: its
// exit code is checked elsewhere.
func (p *process) signal(sig os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatalf("signal %v: %v", sig, err)
	}
}

// waitExit returns the exit code of the process, -1 if a signal ended it.
func (p *process) waitExit(limit time.Duration) int {
	p.t.Helper()
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(limit):
		p.t.Fatalf("the server has not ended after %s:\n%s", limit, p.stderr())
		return 0
	}
}

// run executes the binary to its end and returns exit code and output. It is
// for command lines that are expected to end by themselves.
func run(t testing.TB, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	noteSources()
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = endsWithTest()
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if ctx.Err() != nil {
		t.Fatalf("etcd %s is still running after %s:\n%s", strings.Join(args, " "), startLimit, errs.String())
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("etcd %s: %v", strings.Join(args, " "), err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// waitUntil polls a condition until it holds.
func waitUntil(t testing.TB, what string, condition func() bool) {
	t.Helper()
	if !holdsSoon(condition) {
		t.Fatalf("not within %s: %s", waitLimit, what)
	}
}

// holdsSoon polls a condition and reports whether it holds in time.
func holdsSoon(condition func() bool) bool {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(waitLimit)
	for !condition() {
		select {
		case <-tick.C:
		case <-limit:
			return false
		}
	}
	return true
}
