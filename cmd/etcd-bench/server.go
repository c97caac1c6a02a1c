package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// target is a server under measurement.
type target struct {
	name        string
	address     string // of its clients, host:port
	writeMethod string
	prefix      string // path of the keys
	query       map[operation]string
	tls         *tls.Config // of its clients; nil: plain HTTP

	cmd    *exec.Cmd
	exited chan struct{}
	log    string // path of its output
}

const (
	startTimeout = 10 * time.Second
	stopTimeout  = 10 * time.Second

	// answerTimeout bounds one request to a server that may be unable to answer.
	answerTimeout = 2 * time.Second

	// clockTick is the unit of CPU times in /proc on Linux.
	clockTick = 10 * time.Millisecond
)

// startOurs starts this project's server under a name of its own. Clients use TLS if
// there is a configuration for it; flags are passed on to the server.
func startOurs(base, path, name string, clients *tls.Config, flags ...string) (*target, error) {
	client, peer, err := freeAddresses()
	if err != nil {
		return nil, err
	}
	t := &target{
		name: name, address: client, writeMethod: "POST", prefix: "/v1/keys/bench/",
		query: map[operation]string{localRead: "?quorum=false"}, tls: clients,
	}
	return t, t.start(base, path, append(flags, "-n", "bench", "-d", filepath.Join(base, t.name), "-c", client, "-s", peer)...)
}

// startOther starts an etcd 3.4 with the v2 API.
func startOther(base, path string) (*target, error) {
	client, peer, err := freeAddresses()
	if err != nil {
		return nil, err
	}
	t := &target{
		name: "etcd 3.4", address: client, writeMethod: "PUT", prefix: "/v2/keys/bench/",
		query: map[operation]string{linearizableRead: "?quorum=true"},
	}
	return t, t.start(base, path, "--enable-v2", "--name", "bench", "--data-dir", filepath.Join(base, "other"),
		"--listen-client-urls", "http://"+client, "--advertise-client-urls", "http://"+client,
		"--listen-peer-urls", "http://"+peer, "--initial-advertise-peer-urls", "http://"+peer,
		"--initial-cluster", "bench=http://"+peer)
}

// freeAddresses returns two addresses on which nobody listens.
func freeAddresses() (client, peer string, err error) {
	for _, address := range []*string{&client, &peer} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", "", err
		}
		defer l.Close()
		*address = l.Addr().String()
	}
	return client, peer, nil
}

// start runs the server and returns when it answers.
func (t *target) start(base, path string, args ...string) error {
	if err := t.launch(base, path, args...); err != nil {
		return err
	}
	return t.waitReady()
}

// launch runs the server. Its output goes to a file, after that of earlier
// runs.
func (t *target) launch(base, path string, args ...string) error {
	t.log = filepath.Join(base, strings.ReplaceAll(t.name, " ", "-")+".log")
	log, err := os.OpenFile(t.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	t.cmd = exec.Command(path, args...)
	t.cmd.Stdout, t.cmd.Stderr = log, log
	t.cmd.SysProcAttr = killWithParent()
	if err := t.cmd.Start(); err != nil {
		return err
	}
	t.exited = make(chan struct{})
	go func() {
		t.cmd.Wait()
		close(t.exited)
	}()
	return nil
}

// waitReady returns when the server answers, and stops it if it does not.
func (t *target) waitReady() error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(startTimeout)
	for {
		select {
		case <-tick.C:
			if t.answers() {
				return nil
			}
			continue
		case <-t.exited:
		case <-limit:
			t.stop()
		}
		text, _ := os.ReadFile(t.log)
		return fmt.Errorf("%s does not start:\n%s", t.name, text)
	}
}

// answers reports whether the server commits a write.
func (t *target) answers() bool {
	c, err := load{size: 1}.connect(t)
	if err != nil {
		return false
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(answerTimeout))
	return c.request(write, 0) == nil
}

// stop ends the server.
func (t *target) stop() {
	t.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-t.exited:
	case <-time.After(stopTimeout):
		t.cmd.Process.Kill()
		<-t.exited
	}
}

// cpu returns the CPU time that the server has used so far.
func (t *target) cpu() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", t.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	// The name of the program is in parentheses and may hold spaces; what
	// follows it starts with the third field of proc(5).
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	var ticks int64
	for _, field := range []int{14, 15} { // utime and stime
		n, err := strconv.ParseInt(fields[field-3], 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick, nil
}
