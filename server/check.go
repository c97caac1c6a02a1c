package server

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"etcd/endpoint"
)

// Validate refuses a configuration that cannot work whatever the data directory holds, before
// anything is touched.
func (c *Config) Validate() error {
	switch {
	case c.RequestTimeout < minRequestTimeout || c.RequestTimeout > maxRequestTimeout:
		return fmt.Errorf("-request-timeout %s: want %s to %s", c.RequestTimeout, minRequestTimeout, maxRequestTimeout)
	case c.Heartbeat < minHeartbeat || c.Heartbeat > maxHeartbeat:
		return fmt.Errorf("-heartbeat %s: want %s to %s", c.Heartbeat, minHeartbeat, maxHeartbeat)
	case c.Election < 5*c.Heartbeat || c.Election > 100*c.Heartbeat:
		return fmt.Errorf("-election %s: want 5 to 100 heartbeats of %s", c.Election, c.Heartbeat)
	case c.MaxMembers < 1 || c.MaxMembers > maxMembersLimit:
		return fmt.Errorf("-maxsize %d: want 1 to %d", c.MaxMembers, maxMembersLimit)
	case c.AutoTLS && c.ClientTLS.Given():
		return errors.New("-auto-tls and -clientCert, -clientKey, -clientCAFile or -clientCRLFile are mutually exclusive")
	case len(c.AllowedCN) > 0 && len(c.AllowedHostname) > 0:
		return errors.New("-serverAllowedCN and -serverAllowedHostname are mutually exclusive")
	case len(c.AllowedCN)+len(c.AllowedHostname) > 0 && c.PeerTLS.CA == "":
		return errors.New("-serverAllowedCN and -serverAllowedHostname need certificates that are verified: give -serverCAFile, too")
	case c.ForceNewCluster && c.StartOver:
		return errors.New("-force-new-cluster keeps the data and -f deletes it: they are mutually exclusive")
	case c.JoinRetries < 1:
		return fmt.Errorf("-r %d: want at least 1", c.JoinRetries)
	case c.Slow < 0:
		return fmt.Errorf("-slow %s: want a time, or 0 for no log of slow requests", c.Slow)
	case c.Pprof && len(c.MetricsListen) == 0:
		return errors.New("-pprof serves profiles at the metrics listener: give -metrics, too")
	case c.MaxBody < 1 || c.MaxBody > maxBodyLimit:
		return fmt.Errorf("-max-body %d: want 1 to %d", c.MaxBody, maxBodyLimit)
	case c.MaxBodyMemory < int64(c.MaxBody):
		return fmt.Errorf("-max-body-memory %d: want at least -max-body, %d", c.MaxBodyMemory, c.MaxBody)
	case c.MaxConnections < 0:
		return fmt.Errorf("-max-connections %d: want at least 1", c.MaxConnections)
	case c.History > maxHistory:
		return fmt.Errorf("-m %d: want at most %d", c.History, maxHistory)
	}
	for _, origin := range c.CORS {
		if err := checkOrigin(origin); err != nil {
			return fmt.Errorf("-cors %q: %w", origin, err)
		}
	}
	for _, host := range c.HostWhitelist {
		if err := checkHost(host); err != nil && host != "*" {
			return fmt.Errorf("-host-whitelist %q: %w", host, err)
		}
	}
	known := c.withDefaults(stored{})
	if err := known.checkAddresses(); err != nil {
		return err
	}
	if err := known.checkName(); err != nil {
		return err
	}
	if err := c.checkFounders(); err != nil {
		return err
	}
	for _, seed := range c.Join {
		if _, err := ParseSeed(seed, c.Host); err != nil {
			return fmt.Errorf("-C: %w", err)
		}
	}
	return nil
}

// checkOrigin refuses a value that no browser sends as the origin of a page.
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
func (c *Config) checkAddresses() error {
	if err := checkHost(c.Host); err != nil {
		return fmt.Errorf("-h %q: %w", c.Host, err)
	}
	for _, addrs := range []struct {
		flag   string
		values []string
	}{
		{"-c", []string{c.ClientAddr}}, {"-s", []string{c.PeerAddr}},
		{"-cl", c.ClientListen}, {"-sl", c.PeerListen}, {"-metrics", c.MetricsListen},
	} {
		for _, addr := range addrs.values {
			if _, err := hostPort(addr, c.Host); err != nil {
				return fmt.Errorf("%s %q: %w", addrs.flag, addr, err)
			}
		}
	}
	if clients, peers := c.advertised(c.ClientAddr), c.advertised(c.PeerAddr); conflict(clients, peers) {
		return fmt.Errorf("-c %s and -s %s are the same address, and clients and peers need one each: give them different ports", clients, peers)
	}
	clients, peers := c.listenAddr(c.ClientListen, c.ClientAddr), c.listenAddr(c.PeerListen, c.PeerAddr)
	if conflict(clients, peers) {
		return fmt.Errorf("this machine cannot listen at %s for clients and at %s for other machines: give them different ports (-c, -s, -cl, -sl)", clients, peers)
	}
	if len(c.MetricsListen) == 0 {
		return nil
	}
	if metrics := c.advertised(c.MetricsListen[0]); conflict(metrics, clients) || conflict(metrics, peers) {
		return fmt.Errorf("-metrics %s is where this machine listens for clients or for other machines: give it a port of its own; clients' port serves /metrics as well", metrics)
	}
	return nil
}

// conflict reports whether two addresses cannot both be listened at.
func conflict(a, b string) bool {
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

// ParseSeed parses the address of a machine to join, with or without a scheme. A bare port
// is one of host. Parsing the result again gives the same.
func ParseSeed(seed, host string) (string, error) {
	addr := strings.TrimSuffix(seed, "/")
	scheme, rest, given := strings.Cut(addr, "://")
	if given {
		addr = strings.Replace(rest, "%25", "%", 1) // of a zone
	}
	switch {
	case given && scheme != "http" && scheme != "https":
		return "", fmt.Errorf("%q: machines are reached by http or https", seed)
	case !strings.ContainsAny(addr, ":0123456789"):
		return "", fmt.Errorf("%q has no port: write %s:7001, if its peer port (-s) is 7001", seed, addr)
	}
	full, err := hostPort(addr, host)
	if err == nil {
		err = endpoint.CheckAddress(full)
	}
	if err != nil {
		return "", fmt.Errorf("%q: %w", seed, err)
	}
	if given {
		full = scheme + "://" + full
	}
	return full, nil
}

// checkName refuses a name that no member may have, also one derived from the address.
func (c *Config) checkName() error {
	if c.Name != "" {
		if err := endpoint.CheckName(c.Name); err != nil {
			return fmt.Errorf("-n %q: not a valid name: %w", c.Name, err)
		}
		return nil
	}
	if err := endpoint.CheckName(c.machineName()); err != nil {
		return fmt.Errorf("the name of this machine would be %s, which is not valid: %w; give it one with -n", c.machineName(), err)
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
		return "", fmt.Errorf("%w, and %q is not a port: ports are numbers up to 65535", want, port)
	}
	if h == "" {
		h = host
	}
	if err := endpoint.CheckHost(h); err != nil {
		return "", err
	}
	return net.JoinHostPort(h, strconv.FormatUint(n, 10)), nil
}
