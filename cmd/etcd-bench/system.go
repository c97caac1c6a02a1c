package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	heartbeat = 100 * time.Millisecond // of all servers that have one
	election  = time.Second
)

// system is a kind of server that is measured.
type system struct {
	name string
	// version is the command that tells it.
	version []string
	// command returns the command line of one member. It may write files beside the data.
	command func(c *cluster, i int) ([]string, error)
	connect func(m *member, size int) (client, error)
	// watches returns how many watches a member counts; nil if a watch is known to be open
	// when the client has returned from opening it.
	watches func(m *member) (int, error)
	leads   func(c *cluster, i int) bool
	http    *dialect // nil: it speaks something else
}

// ownSystem is this project's server. With certificate files it serves clients over TLS.
func ownSystem(path string, d *dialect, flags ...string) *system {
	s := &system{name: ours, version: []string{path, "-version"}}
	s.command = func(c *cluster, i int) ([]string, error) {
		m := c.members[i]
		args := []string{path, "-n", m.name, "-d", m.dir, "-c", m.clients, "-s", m.peers,
			"-heartbeat", heartbeat.String(), "-election", election.String()}
		if i > 0 {
			args = append(args, "-C", c.members[0].peers)
		}
		return append(args, flags...), nil
	}
	s.speaks(d)
	s.leads = func(c *cluster, i int) bool {
		body, err := d.page(c.members[i], "/leader")
		return err == nil && string(body) == c.members[i].peers
	}
	return s
}

// etcdSystem is an etcd 3.4 with its v2 API.
func etcdSystem(path string) *system {
	s := &system{name: etcd34, version: []string{path, "--version"}, command: officialCommand(path, "--enable-v2")}
	s.speaks(v2)
	s.leads = func(c *cluster, i int) bool {
		body, err := v2.page(c.members[i], "/v2/stats/self")
		var stats struct{ State string }
		return err == nil && json.Unmarshal(body, &stats) == nil && stats.State == "StateLeader"
	}
	return s
}

// officialCommand returns the command line of an etcd of any version from 3.
func officialCommand(path string, flags ...string) func(c *cluster, i int) ([]string, error) {
	return func(c *cluster, i int) ([]string, error) {
		var initial []string
		for _, m := range c.members {
			initial = append(initial, m.name+"=http://"+m.peers)
		}
		m := c.members[i]
		return append([]string{path, "--name", m.name, "--data-dir", m.dir,
			"--heartbeat-interval", fmt.Sprint(heartbeat.Milliseconds()), "--election-timeout", fmt.Sprint(election.Milliseconds()),
			"--listen-client-urls", "http://" + m.clients, "--advertise-client-urls", "http://" + m.clients,
			"--listen-peer-urls", "http://" + m.peers, "--initial-advertise-peer-urls", "http://" + m.peers,
			"--initial-cluster", strings.Join(initial, ",")}, flags...), nil
	}
}

// speaks says how clients talk to a server over HTTP.
func (s *system) speaks(d *dialect) {
	s.http, s.connect = d, d.connect
	s.watches = func(m *member) (int, error) {
		body, err := d.page(m, d.stats)
		if err != nil {
			return 0, err
		}
		var stats struct{ Watchers int }
		return stats.Watchers, json.Unmarshal(body, &stats)
	}
}

const (
	etcd34      = "etcd 3.4"
	etcd37      = "etcd 3.7"
	zookeeper38 = "ZooKeeper 3.8"
	fasthttp    = "bare fasthttp"
	grpcGo      = "bare grpc-go"
)

// installed returns the servers that can be compared: ours first. It builds ours into dir
// unless it is told where it is. missing has a sentence for each that is not there.
func installed(o *options, dir string) (all []*system, missing []string, err error) {
	ours := o.ours
	if ours == "" {
		ours = filepath.Join(dir, "etcd")
		build := exec.Command("go", "build", "-o", ours, "etcd/cmd/etcd")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			return nil, nil, fmt.Errorf("building the server (this works inside the module only; -ours takes a built one): %w", err)
		}
	}
	all = append(all, ownSystem(ours, v1))
	if path, err := exec.LookPath(o.etcd); err == nil {
		all = append(all, etcdSystem(path))
	} else {
		missing = append(missing, etcd34+": no "+o.etcd+" (Debian: apt-get install etcd-server)")
	}
	java, err := exec.LookPath("java")
	if _, noJar := os.Stat(o.zookeeper); err == nil && noJar == nil {
		all = append(all, zookeeperSystem(java, o.zookeeper))
	} else {
		missing = append(missing, zookeeper38+": no java or no "+o.zookeeper+" (Debian: apt-get install zookeeper)")
	}
	return all, missing, nil
}

// versionOf returns the first line of what a server says of its version. That of ours says for which
// etcd it stands in, and the next one what it is.
func (s *system) versionOf() string {
	if len(s.version) == 0 {
		return ""
	}
	out, err := exec.Command(s.version[0], s.version[1:]...).Output()
	if err != nil {
		return "unknown: " + err.Error()
	}
	if _, own, found := strings.Cut(string(out), "\nServer Version: "); found {
		out = []byte("etcd " + own)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}

// awaitWatches returns when all members together count so many watches.
func (c *cluster) awaitWatches(n int) error {
	if c.watches == nil {
		return nil
	}
	var total int
	var failed error
	for limit := time.Now().Add(overtime); time.Now().Before(limit); time.Sleep(quietWindow) {
		total, failed = 0, nil
		for _, m := range c.members {
			open, err := c.watches(m)
			total += open
			failed = errors.Join(failed, err) // it may be too busy to answer
		}
		if total >= n {
			return nil
		}
	}
	return errors.Join(fmt.Errorf("of %d watches only %d are open", n, total), failed)
}

// named returns the systems of those names.
func named(all []*system, names ...string) (some []*system) {
	for _, s := range all {
		if slices.Contains(names, s.name) {
			some = append(some, s)
		}
	}
	return some
}
