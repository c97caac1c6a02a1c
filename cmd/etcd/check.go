package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strconv"
	"strings"

	"etcd/endpoint"
	"etcd/httpfront/ops"
	"etcd/server"
	"etcd/store"
)

// check completes the configuration of the machine from what was given, and refuses one that
// cannot work before anything is touched.
func (c *config) check() error {
	m := &c.machine
	if m.SnapshotEntries == 0 && c.isGiven("snapshot-count") {
		return errUsage{errors.New("-snapshot-count 0: want at least 1; -snapshot=false turns snapshots off")}
	}
	m.LocalReads = c.reads == "local"
	m.NoSnapshots = !c.snapshot
	m.SetHistory, m.SetMaxMembers, m.SetQuota = c.isGiven("m"), c.isGiven("maxsize"), c.isGiven("quota") && m.Quota != 0
	switch { // as in etcd 3, whose sample configuration has a 0
	case m.Quota == 0:
		m.Quota = store.DefaultQuota
	case m.Quota < 0:
		m.Quota = store.MaxQuota
	}
	if c.isGiven("max-body") {
		m.MaxRequest = m.MaxBody
	}
	m.JoinExisting = c.clusterState == "existing"
	m.ClientListen = append(c.clientListen, c.clientListenHTTP...)
	for _, read := range []func() error{c.readLogLevel, c.readIdentity, c.checkBootstrap, c.checkTLS, c.readSkips, m.Validate} {
		if err := read(); err != nil {
			return errUsage{err}
		}
	}
	return c.readSeeds()
}

// readLogLevel reads --log-level, -v and -vv.
func (c *config) readLogLevel() error {
	name := c.logLevel
	switch name {
	case "panic", "fatal": // of etcd 3; this program says all that is worse than a warning as an error
		name = "error"
	}
	level, err := ops.ParseLevel(name)
	if err != nil {
		return fmt.Errorf("-log-level: %w", err)
	}
	if c.verbose || c.veryVerbose {
		if c.isGiven("log-level") && level != slog.LevelDebug {
			return errors.New("-v and -vv are -log-level debug: leave one of them out")
		}
		level = slog.LevelDebug
	}
	c.machine.LogLevel.Set(level)
	return nil
}

// readIdentity reads what defaults to what the data directory remembers. A flag that is given and
// empty is an error: a script whose variable is not set.
func (c *config) readIdentity() error {
	for _, addr := range []struct {
		flag, value string
		to          *string
	}{{"c", c.clientAddr, &c.machine.ClientAddr}, {"s", c.peerAddr, &c.machine.PeerAddr}} {
		if !c.isGiven(addr.flag) {
			continue
		}
		if addr.value == "" {
			return fmt.Errorf("-%s is empty: want a port, :port, or host:port", addr.flag)
		}
		*addr.to = addr.value
	}
	for _, g := range c.given {
		if old := c.givenBy(g.standsFor); g.standsFor != "" && old != "" {
			return fmt.Errorf("%s and %s both say where this machine is reached: leave one of them out", g.by, old)
		}
	}
	for _, g := range c.given {
		if g.key() == "cl" && !g.isOurs(g.by) && len(c.clientListen) > 0 && len(c.machine.ClientURLs) == 0 && !c.isGiven("c") {
			return fmt.Errorf("%s needs --advertise-client-urls: say at which of them clients reach this machine", g.by)
		}
	}
	if c.isGiven("n") {
		if err := endpoint.CheckName(c.machine.Name); err != nil {
			return fmt.Errorf("-n %q: not a valid name: %w", c.machine.Name, err)
		}
	}
	return nil
}

// checkBootstrap refuses more than one way to find the other members.
func (c *config) checkBootstrap() error {
	first := ""
	for _, way := range []struct {
		key   string
		given bool
	}{
		{"initial-cluster", c.machine.InitialCluster != ""}, {"discovery", c.machine.Discovery != ""},
		{"discovery-srv", c.machine.DiscoverySRV != ""}, {"C", c.join != ""}, {"CF", c.joinFile != ""},
	} {
		switch {
		case !way.given:
		case first != "":
			return fmt.Errorf("-%s and -%s are mutually exclusive: each says which machines the cluster has", first, way.key)
		default:
			first = way.key
		}
	}
	if fallback := c.value("discovery-fallback"); fallback == "proxy" && (c.machine.Discovery != "" || c.machine.DiscoverySRV != "") {
		return errors.New("-discovery-fallback proxy: this program has no proxy to fall back to; write exit, or leave it out")
	}
	return nil
}

// checkTLS refuses to serve more than was asked for.
func (c *config) checkTLS() error {
	for _, side := range []struct{ auth, ca, file string }{
		{"client-cert-auth", "clientCAFile", c.machine.ClientTLS.CA}, {"peer-client-cert-auth", "serverCAFile", c.machine.PeerTLS.CA},
	} {
		if on, err := strconv.ParseBool(c.value(side.auth)); err == nil && on && side.file == "" {
			return fmt.Errorf("--%s needs the CA whose certificates are accepted: give --%s, too", side.auth, strings.TrimPrefix(c.find(side.ca).title(), "--"))
		}
	}
	return nil
}

// find returns the setting with a key.
func (c *config) find(key string) *setting {
	for _, s := range c.settings {
		if s.key() == key {
			return s
		}
	}
	panic("no setting " + key)
}

// value returns the value of a setting.
func (c *config) value(key string) string { return c.find(key).value.String() }

// readSkips reads the indexes of -skip-entry.
func (c *config) readSkips() error {
	for _, text := range c.skipEntry {
		index, err := strconv.ParseUint(text, 10, 64)
		if err != nil || index == 0 {
			return fmt.Errorf("-skip-entry %q: want indexes of entries of the log, comma separated", text)
		}
		c.machine.SkipEntries = append(c.machine.SkipEntries, index)
	}
	return nil
}

// readSeeds reads the machines to join.
func (c *config) readSeeds() error {
	name, list := "-C", c.join
	if c.joinFile != "" {
		data, err := os.ReadFile(c.joinFile)
		if err != nil {
			if path := (*fs.PathError)(nil); errors.As(err, &path) {
				err = path.Err
			}
			return fmt.Errorf("-CF %s: %w; it is to list machines of the cluster to join, as host:peerport", c.joinFile, err)
		}
		name, list = "-CF "+c.joinFile, string(data)
	}
	for text := range strings.FieldsFuncSeq(list, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) }) {
		seed, err := server.ParseSeed(text, c.machine.Host)
		if err != nil {
			return errUsage{fmt.Errorf("%s: %w", name, err)}
		}
		c.machine.Join = append(c.machine.Join, seed)
	}
	if len(c.machine.Join) == 0 && (c.isGiven("C") || c.isGiven("CF")) {
		return errUsage{fmt.Errorf("%s names no machine: name one or more as host:peerport, or leave it out to found a cluster", name)}
	}
	return nil
}
