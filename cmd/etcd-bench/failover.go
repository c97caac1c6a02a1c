package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	machines  = 3
	heartbeat = 100 * time.Millisecond
	election  = time.Second

	probeEvery      = 5 * time.Millisecond // a new write to each survivor
	failoverTimeout = 30 * time.Second
	settleTime      = time.Second // between a restart and the next kill, and up to a heartbeat more
)

// cluster is a cluster of machines of one kind.
type cluster struct {
	name    string
	base    string
	path    string
	members []*target
	args    [][]string // of each member
	peers   []string
	leads   func(g *cluster, i int) bool // reports whether a member leads
	times   []time.Duration              // from kill to write, one for each run
}

// measureFailover kills the leaders of both clusters in turns and writes the
// table to out.
func measureFailover(base, ours, other string, runs int, out io.Writer) error {
	clusters := []*cluster{newOurs(base, ours)}
	if isAvailable(other) {
		clusters = append(clusters, newOther(base, other))
	}
	for _, g := range clusters {
		defer g.stop()
		if err := g.start(); err != nil {
			return err
		}
	}
	for range runs {
		for _, g := range clusters {
			took, err := g.failover()
			if err != nil {
				return fmt.Errorf("%s: %w", g.name, err)
			}
			g.times = append(g.times, took)
		}
	}
	fmt.Fprintf(out, "%d runs, %d machines, heartbeat %s, election timeout %s: from kill -9 of the leader to the first write acknowledged by a survivor\n\n",
		runs, machines, heartbeat, election)
	fmt.Fprintln(out, "| server | best ms | median ms | worst ms |")
	fmt.Fprintln(out, "|---|---:|---:|---:|")
	for _, g := range clusters {
		slices.Sort(g.times)
		fmt.Fprintf(out, "| %s | %d | %d | %d |\n", g.name, g.times[0].Milliseconds(),
			g.times[len(g.times)/2].Milliseconds(), g.times[len(g.times)-1].Milliseconds())
	}
	return nil
}

// newOurs prepares machines of this project.
func newOurs(base, path string) *cluster {
	g := &cluster{name: "ours", base: base, path: path, leads: func(g *cluster, i int) bool {
		body, err := g.get(i, "/leader")
		return err == nil && string(body) == g.peers[i]
	}}
	for i := range machines {
		g.members = append(g.members, &target{name: fmt.Sprintf("ours-%d", i), writeMethod: "POST", prefix: "/v1/keys/bench/"})
	}
	return g
}

// newOther prepares machines of etcd 3.4.
func newOther(base, path string) *cluster {
	g := &cluster{name: "etcd 3.4", base: base, path: path, leads: func(g *cluster, i int) bool {
		body, err := g.get(i, "/v2/stats/self")
		var stats struct{ State string }
		return err == nil && json.Unmarshal(body, &stats) == nil && stats.State == "StateLeader"
	}}
	for i := range machines {
		g.members = append(g.members, &target{name: fmt.Sprintf("other-%d", i), writeMethod: "PUT", prefix: "/v2/keys/bench/"})
	}
	return g
}

// start chooses the addresses and starts all machines for the first time.
func (g *cluster) start() error {
	var initial []string
	for _, t := range g.members {
		client, peer, err := freeAddresses()
		if err != nil {
			return err
		}
		t.address = client
		g.peers = append(g.peers, peer)
		initial = append(initial, t.name+"=http://"+peer)
	}
	for i, t := range g.members {
		data, peer := filepath.Join(g.base, t.name), g.peers[i]
		if g.name == "ours" {
			args := []string{"-n", t.name, "-d", data, "-c", t.address, "-s", peer,
				"-heartbeat", heartbeat.String(), "-election", election.String()}
			if i > 0 {
				args = append(args, "-C", g.peers[0])
			}
			g.args = append(g.args, args)
			if err := t.start(g.base, g.path, args...); err != nil {
				return err
			}
			continue
		}
		g.args = append(g.args, []string{"--enable-v2", "--name", t.name, "--data-dir", data,
			"--heartbeat-interval", fmt.Sprint(heartbeat.Milliseconds()), "--election-timeout", fmt.Sprint(election.Milliseconds()),
			"--listen-client-urls", "http://" + t.address, "--advertise-client-urls", "http://" + t.address,
			"--listen-peer-urls", "http://" + peer, "--initial-advertise-peer-urls", "http://" + peer,
			"--initial-cluster", strings.Join(initial, ",")})
		if err := t.launch(g.base, g.path, g.args[i]...); err != nil {
			return err
		}
	}
	for _, t := range g.members {
		if err := t.waitReady(); err != nil {
			return err
		}
	}
	return nil
}

// stop ends all machines that were started.
func (g *cluster) stop() {
	for _, t := range g.members {
		if t.exited != nil {
			t.stop()
		}
	}
}

// get asks one machine for a page.
func (g *cluster) get(i int, path string) ([]byte, error) {
	c, err := load{}.connect(g.members[i])
	if err != nil {
		return nil, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(answerTimeout))
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", path); err != nil {
		return nil, err
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return bytes.TrimSpace(body), err
}

// failover kills the leader, returns how long it takes until a survivor has
// acknowledged a write, and makes the cluster whole again.
func (g *cluster) failover() (time.Duration, error) {
	<-time.After(settleTime + rand.N(heartbeat))
	leader := -1
	for i := range g.members {
		if g.leads(g, i) {
			leader = i
		}
	}
	if leader < 0 {
		return 0, errors.New("no machine says that it is the leader")
	}
	dead := g.members[leader]
	begin := time.Now()
	if err := dead.cmd.Process.Kill(); err != nil {
		return 0, err
	}
	took, err := g.firstWrite(begin, dead)
	if err != nil {
		return 0, err
	}
	<-dead.exited
	if err := dead.launch(g.base, g.path, g.args[leader]...); err != nil {
		return 0, err
	}
	return took, dead.waitReady()
}

// firstWrite returns when a survivor acknowledges a write. New writes are sent
// all the time, because one that was sent too early may wait for a leader that
// is dead.
func (g *cluster) firstWrite(begin time.Time, dead *target) (time.Duration, error) {
	acknowledged := make(chan time.Duration, 1)
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	limit := time.After(failoverTimeout)
	for {
		for _, t := range g.members {
			if t == dead {
				continue
			}
			go func() {
				c, err := load{size: 1}.connect(t)
				if err != nil {
					return
				}
				defer c.Close()
				c.SetDeadline(time.Now().Add(failoverTimeout))
				if c.request(write, 0) == nil {
					select {
					case acknowledged <- time.Since(begin):
					default:
					}
				}
			}()
		}
		select {
		case took := <-acknowledged:
			return took, nil
		case <-tick.C:
		case <-limit:
			return 0, fmt.Errorf("no write is acknowledged within %s", failoverTimeout)
		}
	}
}
