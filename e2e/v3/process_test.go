package v3

import (
	"bytes"
	"context"
	"fmt"
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

// server is a process of a machine.
type server struct {
	t    testing.TB
	name string
	place
	log   string
	data  string
	args  []string
	cmd   *exec.Cmd
	alive context.Context // until it has ended
}

// nextPort counts ports, all of which are free in a network of our own. It begins below those
// that upstream's tests expect.
var nextPort atomic.Int32

func init() { nextPort.Store(10000) }

func newURL(scheme string) string { return fmt.Sprintf("%s://127.0.0.1:%d", scheme, nextPort.Add(1)) }

// place is where a machine is.
type place struct{ client, peer string } // URLs

func newPlaces(size int, tls bool) (places []place) {
	scheme := "http"
	if tls {
		scheme = "https"
	}
	for range size {
		places = append(places, place{newURL(scheme), newURL(scheme)})
	}
	return places
}

// startServer starts a cluster of one.
func startServer(t testing.TB, program string) *server {
	t.Helper()
	return startCluster(t, program, 1, false)[0]
}

// startCluster starts machines that found a cluster, and waits until they serve.
func startCluster(t testing.TB, program string, size int, tls bool) (machines []*server) {
	t.Helper()
	return startClusterAt(t, program, newPlaces(size, tls))
}

func startClusterAt(t testing.TB, program string, places []place) (machines []*server) {
	t.Helper()
	var tls []string
	if strings.HasPrefix(places[0].client, "https:") {
		for _, whom := range []string{"", "peer-"} {
			tls = append(tls, "--"+whom+"cert-file", prepared("fixtures", "server.crt"), "--"+whom+"key-file", prepared("fixtures", "server.key.insecure"),
				"--"+whom+"trusted-ca-file", prepared("fixtures", "ca.crt"), "--"+whom+"client-cert-auth")
		}
	}
	var founders []string
	for i, at := range places {
		dir := t.TempDir()
		s := &server{t: t, name: fmt.Sprintf("machine%d", i), place: at, log: filepath.Join(dir, "log"), data: filepath.Join(dir, "data")}
		s.args = append([]string{program, "--name", s.name, "--data-dir", s.data,
			"--listen-client-urls", s.client, "--advertise-client-urls", s.client,
			"--listen-peer-urls", s.peer, "--initial-advertise-peer-urls", s.peer}, tls...)
		machines = append(machines, s)
		founders = append(founders, s.name+"="+s.peer)
	}
	for _, s := range machines {
		s.args = append(s.args, "--initial-cluster", strings.Join(founders, ","))
		s.launch()
	}
	for _, s := range machines {
		s.waitServing()
	}
	return machines
}

func (s *server) launch() {
	s.t.Helper()
	log, err := os.Create(s.log)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	s.cmd = exec.Command(s.args[0], s.args[1:]...)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	cmd := s.cmd
	alive, ended := context.WithCancel(context.Background())
	s.alive = alive
	go func() {
		cmd.Wait()
		ended()
	}()
	s.t.Cleanup(func() {
		cmd.Process.Kill()
		<-alive.Done()
	})
}

// lastLines returns the end of the log, or why the process has crashed.
func (s *server) lastLines() string {
	log, _ := os.ReadFile(s.log)
	for _, crash := range []string{"panic", `"level":"fatal"`} {
		if at := bytes.Index(log, []byte(crash)); at >= 0 {
			return string(log[at:min(len(log), at+2000)])
		}
	}
	lines := strings.SplitAfter(string(log), "\n")
	return strings.Join(lines[max(0, len(lines)-10):], "")
}

func (s *server) kill() {
	s.cmd.Process.Kill()
	<-s.alive.Done()
}

// wipe removes the data of a process that has ended.
func (s *server) wipe() {
	if err := os.RemoveAll(s.data); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) waitServing() {
	s.t.Helper()
	waitUntil(s.t, s.args[0]+" serves", func() bool {
		if s.alive.Err() != nil {
			s.t.Fatalf("%s has ended instead of serving:\n%s", strings.Join(s.args, " "), s.lastLines())
		}
		log, err := os.ReadFile(s.log)
		return err == nil && bytes.Contains(log, []byte("ready to serve client requests"))
	})
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
