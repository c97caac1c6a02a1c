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
)

// check completes the configuration of the machine from the flags, and refuses one that cannot
// work before anything is touched.
func (c *config) check() error {
	m := &c.machine
	switch {
	case c.reads != "linearizable" && c.reads != "local":
		return errUsage{fmt.Errorf("-reads %q: want linearizable or local", c.reads)}
	case c.join != "" && c.joinFile != "":
		return errUsage{errors.New("-C and -CF are mutually exclusive")}
	case m.SnapshotEntries == 0 && c.given["snapshot-count"]:
		return errUsage{errors.New("-snapshot-count 0: want at least 1; -snapshot=false turns snapshots off")}
	case c.logFormat != "text" && c.logFormat != "json":
		return errUsage{fmt.Errorf("-log-format %q: want text or json", c.logFormat)}
	}
	if err := c.readLogLevel(); err != nil {
		return errUsage{err}
	}
	m.LocalReads = c.reads == "local"
	m.NoSnapshots = !c.snapshot
	m.SetHistory, m.SetMaxMembers = c.given["m"], c.given["maxsize"]
	for _, list := range []struct {
		flag, given string
		to          *[]string
	}{
		{"-serverAllowedCN", c.allowedCN, &m.AllowedCN}, {"-serverAllowedHostname", c.allowedHostname, &m.AllowedHostname},
		{"-cl", c.clientListen, &m.ClientListen}, {"-sl", c.peerListen, &m.PeerListen}, {"-metrics", c.metricsListen, &m.MetricsListen},
		{"-cors", c.cors, &m.CORS}, {"-host-whitelist", c.hostWhitelist, &m.HostWhitelist},
	} {
		if *list.to = splitList(list.given); list.given != "" && len(*list.to) == 0 {
			return errUsage{fmt.Errorf("%s %q names nothing: name something, or leave it out", list.flag, list.given)}
		}
	}
	if err := c.readIdentity(); err != nil {
		return errUsage{err}
	}
	if err := c.readSkips(); err != nil {
		return errUsage{err}
	}
	if err := m.Validate(); err != nil {
		return errUsage{err}
	}
	return c.readSeeds()
}

// readLogLevel reads -log-level, -v and -vv.
func (c *config) readLogLevel() error {
	level, err := ops.ParseLevel(c.logLevel)
	if err != nil {
		return fmt.Errorf("-log-level: %w", err)
	}
	if c.verbose || c.veryVerbose {
		if c.given["log-level"] && level != slog.LevelDebug {
			return errors.New("-v and -vv are -log-level debug: leave one of them out")
		}
		level = slog.LevelDebug
	}
	c.machine.LogLevel.Set(level)
	return nil
}

// readIdentity reads the flags that default to what the data directory remembers. One that is
// given and empty is an error: a script whose variable is not set.
func (c *config) readIdentity() error {
	for _, addr := range []struct {
		flag, value string
		to          *string
	}{{"c", c.clientAddr, &c.machine.ClientAddr}, {"s", c.peerAddr, &c.machine.PeerAddr}} {
		if !c.given[addr.flag] {
			continue
		}
		if addr.value == "" {
			return fmt.Errorf("-%s is empty: want a port, :port, or host:port", addr.flag)
		}
		*addr.to = addr.value
	}
	if c.given["n"] {
		if err := endpoint.CheckName(c.machine.Name); err != nil {
			return fmt.Errorf("-n %q: not a valid name: %w", c.machine.Name, err)
		}
	}
	return nil
}

// readSkips reads the indexes of -skip-entry.
func (c *config) readSkips() error {
	for _, text := range splitList(c.skipEntry) {
		index, err := strconv.ParseUint(text, 10, 64)
		if err != nil || index == 0 {
			return fmt.Errorf("-skip-entry %q: want indexes of entries of the log, comma separated", c.skipEntry)
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
	if len(c.machine.Join) == 0 && (c.given["C"] || c.given["CF"]) {
		return errUsage{fmt.Errorf("%s names no machine: name one or more as host:peerport, or leave it out to found a cluster", name)}
	}
	return nil
}

// splitList returns the elements of a comma-separated flag.
func splitList(value string) []string {
	var parts []string
	for part := range strings.SplitSeq(value, ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}
