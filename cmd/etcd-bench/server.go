package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	startTimeout = 3 * time.Minute // a large state is read first
	stopTimeout  = 20 * time.Second
	startPoll    = 5 * time.Millisecond

	// answerTimeout bounds one request to a server that may be unable to answer.
	answerTimeout = 2 * time.Second

	quietWindow  = 50 * time.Millisecond
	quietTimeout = 2 * time.Second
)

// cluster is a number of servers of one kind that run on this computer.
type cluster struct {
	*system
	members []*member
}

// member is one server, and its process.
type member struct {
	name    string
	dir     string // of its data
	clients string // address for clients, host:port
	peers   string // address for other members
	votes   string // a second address for other members, for those that need one
	command []string

	cmd    *exec.Cmd
	exited chan struct{}
}

// start starts that many machines of a kind with empty data directories below base, and
// returns when all of them serve.
func (s *system) start(base string, machines int) (c *cluster, err error) {
	dir, err := os.MkdirTemp(base, strings.Map(safeInPaths, s.name)+"-")
	if err != nil {
		return nil, err
	}
	c = &cluster{system: s}
	defer func() {
		if err != nil {
			c.stop()
		}
	}()
	for i := range machines {
		addresses, err := freeAddresses(3)
		if err != nil {
			return nil, err
		}
		name := "m" + strconv.Itoa(i)
		c.members = append(c.members, &member{name: name, dir: filepath.Join(dir, name), clients: addresses[0], peers: addresses[1], votes: addresses[2]})
	}
	for i, m := range c.members {
		if m.command, err = s.command(c, i); err != nil {
			return nil, err
		}
		if err := m.launch(); err != nil {
			return nil, err
		}
	}
	for _, m := range c.members {
		if err := c.waitReady(m); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func safeInPaths(r rune) rune {
	if r == ' ' || r == ',' {
		return '-'
	}
	return r
}

// freeAddresses returns addresses on which nobody listens.
func freeAddresses(n int) (free []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		free = append(free, l.Addr().String())
	}
	return free, nil
}

func (m *member) log() string { return m.dir + ".log" }

// launch runs the server. Its output goes to a file, after that of earlier runs.
func (m *member) launch() error {
	log, err := os.OpenFile(m.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	m.cmd = exec.Command(m.command[0], m.command[1:]...)
	m.cmd.Stdout, m.cmd.Stderr = log, log
	m.cmd.SysProcAttr = killWithParent()
	if err := m.cmd.Start(); err != nil {
		return err
	}
	m.exited = make(chan struct{})
	go func() {
		m.cmd.Wait()
		close(m.exited)
	}()
	return nil
}

// waitReady returns when the server commits a write.
func (c *cluster) waitReady(m *member) error {
	tick := time.NewTicker(startPoll)
	defer tick.Stop()
	limit := time.After(startTimeout)
	for {
		select {
		case <-tick.C:
			if c.answers(m) {
				return nil
			}
			continue
		case <-m.exited:
		case <-limit:
		}
		text, _ := os.ReadFile(m.log())
		return fmt.Errorf("%s does not start:\n%s", c.name, text)
	}
}

// answers reports whether the server commits a write.
func (c *cluster) answers(m *member) bool {
	probe, err := net.Dial("tcp", m.clients)
	if err != nil {
		return false
	}
	probe.Close()
	one, err := c.connect(m, 1)
	if err != nil {
		return false
	}
	defer one.Close()
	one.SetDeadline(time.Now().Add(answerTimeout))
	return one.do(write, 0) == nil
}

// stop ends all members, and removes their data.
func (c *cluster) stop() {
	for _, m := range c.members {
		if m.exited != nil {
			m.cmd.Process.Signal(syscall.SIGTERM)
		}
	}
	for _, m := range c.members {
		if m.exited != nil {
			select {
			case <-m.exited:
			case <-time.After(stopTimeout):
				m.kill()
			}
		}
		os.RemoveAll(m.dir)
	}
}

// kill ends the server at once.
func (m *member) kill() {
	m.cmd.Process.Kill()
	<-m.exited
}

// dial opens a number of connections, in turns to all members.
func (c *cluster) dial(n, size int) (clients, error) {
	all := make(clients, n)
	err := atOnce(n, func(i int) (err error) {
		all[i], err = c.connect(c.members[i%len(c.members)], size)
		return err
	})
	if err != nil {
		all = slices.DeleteFunc(all, func(one client) bool { return one == nil })
		all.Close()
		return nil, fmt.Errorf("opening %d connections: %w", n, err)
	}
	return all, nil
}

// cpu returns the CPU time that all members have used so far.
func (c *cluster) cpu() (total time.Duration, err error) {
	for _, m := range c.members {
		used, err := processCPU(m.cmd.Process.Pid)
		if err != nil {
			return 0, fmt.Errorf("%s: CPU time: %w", c.name, err)
		}
		total += used
	}
	return total, nil
}

// quiet waits until the servers have nothing to do, but not for ever: some have always.
func (c *cluster) quiet() error {
	before, err := c.cpu()
	if err != nil {
		return err
	}
	limit := time.Now().Add(quietTimeout)
	for still := 0; still < 2 && time.Now().Before(limit); {
		time.Sleep(quietWindow)
		now, err := c.cpu()
		if err != nil {
			return err
		}
		if now-before < quietWindow/25*time.Duration(len(c.members)) {
			still++
		} else {
			still = 0
		}
		before = now
	}
	return nil
}

// resident returns how much memory of all members is resident, in bytes.
func (c *cluster) resident() (total int, err error) {
	for _, m := range c.members {
		kib, err := m.procField("status", "VmRSS:")
		if err != nil {
			return 0, err
		}
		total += kib << 10
	}
	return total, nil
}

// procField returns the number behind a name in a file of the process in /proc.
func (m *member) procField(file, name string) (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", m.cmd.Process.Pid, file))
	if err != nil {
		return 0, err
	}
	_, rest, _ := bytes.Cut(text, []byte(name))
	fields := bytes.Fields(rest)
	if len(fields) == 0 {
		return 0, errors.New("/proc has no " + name)
	}
	return strconv.Atoi(string(fields[0]))
}
