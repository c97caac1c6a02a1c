package server

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"etcd/actors"
	"etcd/endpoint"
	"etcd/store"
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
	case c.PeerAutoTLS && c.PeerTLS.Given():
		return errors.New("--peer-auto-tls and --peer-cert-file, --peer-key-file, --peer-trusted-ca-file or --peer-crl-file (-serverCert, -serverKey, -serverCAFile, -serverCRLFile) are mutually exclusive")
	case c.SelfSignedYears > maxSelfSignedYears:
		return fmt.Errorf("--self-signed-cert-validity %d: want 1 to %d years", c.SelfSignedYears, maxSelfSignedYears)
	case c.ClientAddr != "" && len(c.ClientURLs) > 0:
		return errors.New("-c and --advertise-client-urls both say what is advertised to clients: leave one of them out")
	case len(c.InitialPeerURLs) > 1:
		return fmt.Errorf("--initial-advertise-peer-urls names %d URLs, and a member has one here: leave the others out", len(c.InitialPeerURLs))
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
	case c.MaxBody < 1 || c.MaxBody > maxBodyLimit:
		return fmt.Errorf("-max-body %d: want 1 to %d", c.MaxBody, maxBodyLimit)
	case c.MaxBodyMemory < int64(c.MaxBody):
		return fmt.Errorf("-max-body-memory %d: want at least -max-body, %d", c.MaxBodyMemory, c.MaxBody)
	case c.MaxListing < actors.MaxChildren:
		return fmt.Errorf("-max-listing %d: want at least %d", c.MaxListing, actors.MaxChildren)
	case c.MaxTxnOps < 1 || c.MaxTxnOps > maxTxnOps:
		return fmt.Errorf("--max-txn-ops %d: want 1 to %d", c.MaxTxnOps, maxTxnOps)
	case c.PingEvery < 0:
		return fmt.Errorf("--grpc-keepalive-min-time %s: want a time, or 0 for no limit", c.PingEvery)
	case c.PingAfter < time.Second && c.PingAfter != 0:
		return fmt.Errorf("--grpc-keepalive-interval %s: want at least 1s, or 0 for the default", c.PingAfter)
	case c.PingTimeout < time.Second && c.PingTimeout != 0:
		return fmt.Errorf("--grpc-keepalive-timeout %s: want at least 1s, or 0 for the default", c.PingTimeout)
	case c.MaxAnswers < 1:
		return fmt.Errorf("-max-answer-memory %d: want at least 1", c.MaxAnswers)
	case c.MaxConnections < 0:
		return fmt.Errorf("-max-connections %d: want at least 1", c.MaxConnections)
	case c.Quota < store.MinQuota || c.Quota > store.MaxQuota:
		return fmt.Errorf("-quota %d: want %d to %d bytes", c.Quota, int64(store.MinQuota), int64(store.MaxQuota))
	case c.MaxInFlight < 1:
		return fmt.Errorf("-max-requests-in-flight %d: want at least 1", c.MaxInFlight)
	case c.MaxWatchers < 1:
		return fmt.Errorf("-max-watchers %d: want at least 1", c.MaxWatchers)
	case c.MaxPerAddress < 0:
		return fmt.Errorf("-max-connections-per-address %d: want at least 1", c.MaxPerAddress)
	case c.History > maxHistory:
		return fmt.Errorf("-m %d: want at most %d", c.History, maxHistory)
	}
	for _, limit := range []struct {
		flag string
		time time.Duration
	}{{"-header-timeout", c.HeaderTimeout}, {"-body-timeout", c.BodyTimeout}, {"-idle-timeout", c.IdleTimeout}} {
		if limit.time < minClientTimeout || limit.time > maxClientTimeout {
			return fmt.Errorf("%s %s: want %s to %s", limit.flag, limit.time, minClientTimeout, maxClientTimeout)
		}
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
	if _, err := c.tlsLimits(); err != nil {
		return err
	}
	for _, advertised := range []struct {
		flag string
		urls []string
	}{{"--advertise-client-urls", c.ClientURLs}, {"--initial-advertise-peer-urls", c.InitialPeerURLs}} {
		for _, text := range advertised.urls {
			if _, _, err := splitURL(text); err != nil {
				return fmt.Errorf("%s %q: %w", advertised.flag, text, err)
			}
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
	for _, addr := range []struct{ flag, value string }{{"-c", c.ClientAddr}, {"-s", c.PeerAddr}} {
		if _, err := hostPort(addr.value, c.Host); err != nil {
			return fmt.Errorf("%s %q: %w", addr.flag, addr.value, err)
		}
	}
	if clients, peers := c.advertised(c.ClientAddr), c.advertised(c.PeerAddr); conflict(clients, peers) {
		return fmt.Errorf("-c %s and -s %s are the same address, and clients and peers need one each: give them different ports", clients, peers)
	}
	_, err := c.sites()
	return err
}

// checkInitialPeerURL refuses a peer URL of a new machine whose scheme is not the one it speaks.
func (c *Config) checkInitialPeerURL() error {
	if len(c.InitialPeerURLs) == 0 {
		return nil
	}
	at, err := c.sites()
	if err != nil {
		return err
	}
	advertised, speaks := c.InitialPeerURLs[0], at.peers[0].scheme
	if given := endpoint.Scheme(advertised); given != speaks {
		return fmt.Errorf("--initial-advertise-peer-urls %s: this machine speaks %s with other machines; "+
			"its certificate, or the scheme in --listen-peer-urls, decides that", advertised, speaks)
	}
	return nil
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
