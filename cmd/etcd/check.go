package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"

	"etcd/endpoint"
)

// check refuses what cannot work, before anything is touched.
func (c *config) check() error {
	switch {
	case c.reads != "linearizable" && c.reads != "local":
		return errUsage{fmt.Errorf("-reads %q: want linearizable or local", c.reads)}
	case c.requestTimeout < minRequestTime || c.requestTimeout > maxRequestTime:
		return errUsage{fmt.Errorf("-request-timeout %s: want %s to %s", c.requestTimeout, minRequestTime, maxRequestTime)}
	case c.heartbeat < minHeartbeat || c.heartbeat > maxHeartbeat:
		return errUsage{fmt.Errorf("-heartbeat %s: want %s to %s", c.heartbeat, minHeartbeat, maxHeartbeat)}
	case c.electionAfter < 5*c.heartbeat || c.electionAfter > 100*c.heartbeat:
		return errUsage{fmt.Errorf("-election %s: want 5 to 100 heartbeats of %s", c.electionAfter, c.heartbeat)}
	case c.maxMembers < 1 || c.maxMembers > maxMembersLimit:
		return errUsage{fmt.Errorf("-maxsize %d: want 1 to %d", c.maxMembers, maxMembersLimit)}
	case c.autoTLS && c.clientTLS.Given():
		return errUsage{errors.New("-auto-tls and -clientCert, -clientKey, -clientCAFile or -clientCRLFile exclude each other")}
	case c.allowedCN != "" && c.allowedHostname != "":
		return errUsage{errors.New("-serverAllowedCN and -serverAllowedHostname exclude each other: one or the other is demanded of machines")}
	case (c.allowedCN != "" || c.allowedHostname != "") && c.serverTLS.CA == "":
		return errUsage{errors.New("-serverAllowedCN and -serverAllowedHostname demand something of certificates that are verified: give -serverCAFile, too")}
	case c.forceNewCluster && c.startOver:
		return errUsage{errors.New("-force-new-cluster keeps the data and -f deletes it: they exclude each other")}
	case c.joinRetries < 1:
		return errUsage{fmt.Errorf("-r %d: want at least 1", c.joinRetries)}
	case c.join != "" && c.joinFile != "":
		return errUsage{errors.New("-C and -CF exclude each other")}
	case c.maxBody < 1 || c.maxBody > maxBodyLimit:
		return errUsage{fmt.Errorf("-max-body %d: want 1 to %d", c.maxBody, maxBodyLimit)}
	case c.maxBodyMemory < int64(c.maxBody):
		return errUsage{fmt.Errorf("-max-body-memory %d: want at least -max-body, %d", c.maxBodyMemory, c.maxBody)}
	case c.maxConnections < 0:
		return errUsage{fmt.Errorf("-max-connections %d: want at least 1", c.maxConnections)}
	case c.history > maxHistory:
		return errUsage{fmt.Errorf("-m %d: want at most %d", c.history, maxHistory)}
	case c.snapshotCount == 0 && c.given["snapshot-count"]:
		return errUsage{errors.New("-snapshot-count 0: want at least 1; -snapshot=false turns snapshots off")}
	}
	for _, list := range []struct{ flag, given string }{{"-serverAllowedCN", c.allowedCN}, {"-serverAllowedHostname", c.allowedHostname}} {
		if list.given != "" && len(listed(list.given)) == 0 {
			return errUsage{fmt.Errorf("%s %q names nothing: name something, or leave it out", list.flag, list.given)}
		}
	}
	for _, origin := range listed(c.cors) {
		if err := checkOrigin(origin); err != nil {
			return errUsage{fmt.Errorf("-cors %q: %w", origin, err)}
		}
	}
	for _, host := range listed(c.hostWhitelist) {
		if err := checkHost(host); err != nil && host != "*" {
			return errUsage{fmt.Errorf("-host-whitelist %q: %w", host, err)}
		}
	}
	if err := c.readSkips(); err != nil {
		return err
	}
	if err := c.checkAddresses(); err != nil {
		return err
	}
	if err := c.checkName(); err != nil {
		return err
	}
	return c.readSeeds()
}

// checkOrigin refuses what no browser sends as the origin of a page.
func checkOrigin(origin string) error {
	if origin == "*" {
		return nil
	}
	u, err := url.Parse(origin)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return errors.New("want origins such as http://example.com, or *")
	}
	if err := endpoint.CheckHost(u.Hostname()); err != nil {
		return err
	}
	if u.Port() != "" {
		if err := endpoint.CheckAddress(u.Host); err != nil {
			return err
		}
	}
	sent := strings.TrimSuffix(strings.ToLower(u.Scheme+"://"+u.Host), ":")
	switch u.Scheme + ":" + u.Port() {
	case "http:80", "https:443":
		sent = strings.TrimSuffix(sent, ":"+u.Port())
	}
	if origin != sent {
		return fmt.Errorf("no browser sends this as an origin; write %s", sent)
	}
	return nil
}

// checkAddresses refuses addresses at which this machine cannot listen or be reached.
func (c *config) checkAddresses() error {
	if err := checkHost(c.host); err != nil {
		return errUsage{fmt.Errorf("-h %q: %w", c.host, err)}
	}
	for _, addr := range []struct {
		flag, value string
		needed      bool
	}{
		{"-c", c.clientAddr, true}, {"-s", c.peerAddr, true}, {"-cl", c.clientListen, false}, {"-sl", c.peerListen, false},
	} {
		if _, err := hostPort(addr.value, c.host); (addr.needed || addr.value != "") && err != nil {
			return errUsage{fmt.Errorf("%s %q: %w", addr.flag, addr.value, err)}
		}
	}
	if clients, peers := c.advertised(c.clientAddr), c.advertised(c.peerAddr); clash(clients, peers) {
		return errUsage{fmt.Errorf("-c %s and -s %s are one address, and clients and machines need one each: give them different ports", clients, peers)}
	}
	clients, peers := c.listenAddr(c.clientListen, c.clientAddr), c.listenAddr(c.peerListen, c.peerAddr)
	if clash(clients, peers) {
		return errUsage{fmt.Errorf("this machine cannot listen at %s for clients and at %s for other machines: give them different ports (-c, -s, -cl, -sl)", clients, peers)}
	}
	return nil
}

// clash says whether two addresses cannot both be listened at.
func clash(a, b string) bool {
	hostA, portA, _ := net.SplitHostPort(a)
	hostB, portB, _ := net.SplitHostPort(b)
	return portA == portB && portA != "0" && (hostA == hostB || endpoint.Unspecified(hostA) || endpoint.Unspecified(hostB))
}

func checkHost(host string) error {
	bare := strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	switch {
	case host == "":
		return errors.New("want an address or a name; 0.0.0.0 stands for all interfaces")
	case bare != host && net.ParseIP(bare) != nil:
		return fmt.Errorf("write %s; brackets are for an address with a port", bare)
	case strings.Contains(host, "://"):
		return errors.New("want an address or a name, without a scheme")
	case strings.Contains(host, ":") && endpoint.CheckHost(host) != nil:
		return errors.New("want an address or a name, without a port; ports are in -c and -s")
	case endpoint.CheckHost(host) != nil:
		return errors.New("this is neither an address nor a name")
	}
	return nil
}

// readSkips reads which entries of the log are to do nothing.
func (c *config) readSkips() error {
	for text := range strings.SplitSeq(c.skipEntry, ",") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		index, err := strconv.ParseUint(text, 10, 64)
		if err != nil || index == 0 {
			return errUsage{fmt.Errorf("-skip-entry %q: want indexes of entries of the log, comma separated", c.skipEntry)}
		}
		c.skips = append(c.skips, index)
	}
	return nil
}

// readSeeds reads which machines to join.
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
	c.seeds = nil
	for seed := range strings.FieldsFuncSeq(list, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) }) {
		addr := strings.TrimSuffix(seed, "/")
		scheme, rest, given := strings.Cut(addr, "://")
		if given {
			addr = strings.Replace(rest, "%25", "%", 1) // of a zone
		}
		switch {
		case given && scheme != "http" && scheme != "https":
			return errUsage{fmt.Errorf("%s: %q: machines are reached by http or https", name, seed)}
		case !strings.ContainsAny(addr, ":0123456789"):
			return errUsage{fmt.Errorf("%s: %q has no port: write %s:7001, if its peer port (-s) is 7001", name, seed, addr)}
		}
		full, err := hostPort(addr, c.host)
		if err == nil {
			err = endpoint.CheckAddress(full)
		}
		if err != nil {
			return errUsage{fmt.Errorf("%s: %q: %w", name, seed, err)}
		}
		if given {
			full = scheme + "://" + full
		}
		c.seeds = append(c.seeds, full)
	}
	if len(c.seeds) == 0 && (c.given["C"] || c.given["CF"]) {
		return errUsage{fmt.Errorf("%s names no machine: name one or more as host:peerport, or leave it out to found a cluster", name)}
	}
	return nil
}

// checkName refuses a name that no member may have, also one that is made of the address.
func (c *config) checkName() error {
	if c.given["n"] || c.name != "" {
		if err := endpoint.CheckName(c.name); err != nil {
			return errUsage{fmt.Errorf("-n %q: this cannot be a name: %w", c.name, err)}
		}
		return nil
	}
	if err := endpoint.CheckName(c.machineName()); err != nil {
		return errUsage{fmt.Errorf("the name of this machine would be %s, and cannot be: %w; give it one with -n", c.machineName(), err)}
	}
	return nil
}

// hostPort completes an address: a bare port and ":port" get the host.
func hostPort(addr, host string) (string, error) {
	want := errors.New("want a port, :port, or host:port")
	if strings.Count(addr, ":") > 1 && !strings.Contains(addr, "[") && net.ParseIP(addr) != nil {
		return "", fmt.Errorf("an IPv6 address is in brackets before its port: [%s]:PORT", addr)
	}
	if !strings.Contains(addr, ":") {
		addr = ":" + addr
	}
	h, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", want
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "", fmt.Errorf("%w, and %q is no port: ports are numbers up to 65535", want, port)
	}
	if h == "" {
		h = host
	}
	if err := endpoint.CheckHost(h); err != nil {
		return "", err
	}
	return net.JoinHostPort(h, strconv.FormatUint(n, 10)), nil
}

// listed are the parts of a flag whose value is a list, comma separated.
func listed(value string) []string {
	var parts []string
	for part := range strings.SplitSeq(value, ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}
