package upstream

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// waitLimit ends a test that hangs.
const waitLimit = time.Minute

// server is a running process of ours or of the reference.
type server struct {
	t      testing.TB
	name   string
	client string // client URL
	peer   string // peer URL
	data   string
	log    string
	cmd    *exec.Cmd
	exited chan struct{}
}

// nextPort counts ports, all of which are free in a network of our own. It begins above those
// that the suites expect.
var nextPort atomic.Int32

func init() { nextPort.Store(10000) }

func newURL() string { return fmt.Sprintf("http://127.0.0.1:%d", nextPort.Add(1)) }

// startServer starts a cluster of one.
func startServer(t testing.TB, program string) *server {
	t.Helper()
	return startCluster(t, program, newURL())[0]
}

// startCluster starts machines that found a cluster, one for each client URL, and waits until
// they serve.
func startCluster(t testing.TB, program string, clients ...string) (machines []*server) {
	t.Helper()
	var founders []string
	for i, client := range clients {
		dir := t.TempDir()
		s := &server{t: t, name: fmt.Sprintf("machine%d", i), client: client, peer: newURL(),
			data: filepath.Join(dir, "data"), log: filepath.Join(dir, "log")}
		machines = append(machines, s)
		founders = append(founders, s.name+"="+s.peer)
	}
	for _, s := range machines {
		s.launch(program, "--initial-cluster", strings.Join(founders, ","))
	}
	for _, s := range machines {
		s.waitServing()
	}
	return machines
}

func (s *server) launch(program string, args ...string) {
	s.t.Helper()
	log, err := os.Create(s.log)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	s.cmd = exec.Command(program, append([]string{"--name", s.name, "--data-dir", s.data,
		"--listen-client-urls", s.client, "--advertise-client-urls", s.client,
		"--listen-peer-urls", s.peer, "--initial-advertise-peer-urls", s.peer}, args...)...)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.exited = make(chan struct{})
	go func() {
		s.cmd.Wait()
		close(s.exited)
	}()
	s.t.Cleanup(func() {
		s.kill()
		if s.t.Failed() {
			s.t.Logf("%s\n%s", s.cmd, s.lastLines())
		}
	})
}

// lastLines returns the end of the log.
func (s *server) lastLines() string {
	log, _ := os.ReadFile(s.log)
	lines := strings.SplitAfter(string(log), "\n")
	return strings.Join(lines[max(0, len(lines)-30):], "")
}

func (s *server) waitServing() {
	s.t.Helper()
	waitUntil(s.t, s.name+" serves", func() bool {
		select {
		case <-s.exited:
			s.t.Fatalf("%s has ended instead of serving:\n%s", s.name, s.lastLines())
		default:
		}
		log, err := os.ReadFile(s.log)
		return err == nil && bytes.Contains(log, []byte("ready to serve client requests")) // both say so
	})
}

func (s *server) kill() {
	s.cmd.Process.Kill()
	<-s.exited
}

// finish runs a command to its end and returns what it prints.
func finish(cmd *exec.Cmd) (text string, err error) {
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second // if a process that it leaves holds its output
	if err := cmd.Start(); err != nil {
		return "", err
	}
	timer := time.AfterFunc(waitLimit, func() { cmd.Process.Kill() })
	defer timer.Stop()
	err = cmd.Wait()
	return out.String(), err
}

// waitUntil polls a condition until it holds.
func waitUntil(t testing.TB, what string, condition func() bool) {
	t.Helper()
	limit := time.Now().Add(waitLimit)
	for !condition() {
		if time.Now().After(limit) {
			t.Fatalf("not within %s: %s", waitLimit, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// waitForWatchers waits until a machine counts so many watchers.
func waitForWatchers(t testing.TB, s *server, n int) {
	t.Helper()
	waitUntil(t, fmt.Sprintf("%s has %d watchers", s.name, n), func() bool {
		var stats struct{ Watchers int }
		answer, err := http.Get(s.client + "/v2/stats/store")
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		return json.NewDecoder(answer.Body).Decode(&stats) == nil && stats.Watchers == n
	})
}
