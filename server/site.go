package server

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"etcd/endpoint"
)

// site is where a machine listens.
type site struct {
	flag   string // that says so
	scheme string // http, https or unix; empty: a certificate decides
	addr   string // host:port, or the path of a socket
	spare  bool   // nobody has asked for it: the machine can do without
}

func (s site) String() string {
	switch s.scheme {
	case "":
		return s.addr
	case "unix":
		return "unix://" + s.addr
	}
	return endpoint.URL(s.scheme, s.addr)
}

// host returns the host of a site; empty for a socket.
func (s site) host() string {
	if s.scheme == "unix" {
		return ""
	}
	host, _, err := net.SplitHostPort(s.addr)
	if err != nil {
		panic(err) // it was parsed
	}
	return host
}

// side is what a machine listens for, and how it may do that.
type side struct {
	flag, today string   // the flags of its addresses and of its URLs
	schemes     []string // of those
}

var (
	clientSide  = side{"-cl", "--listen-client-urls", []string{"http", "https", "unix"}}
	peerSide    = side{"-sl", "--listen-peer-urls", []string{"http", "https"}}
	metricsSide = side{"--listen-metrics-urls", "--listen-metrics-urls", []string{"http", "https"}}
)

// maxSocketPath bounds the path of a socket, in bytes: what systems take.
const maxSocketPath = 103

// site parses where to listen. An address without a host is one of host.
func (s side) site(text, host string) (site, error) {
	scheme, rest, given := strings.Cut(text, "://")
	at := site{flag: s.flag, addr: text}
	if given {
		at = site{flag: s.today, scheme: scheme, addr: rest}
	}
	var err error
	switch {
	case !given:
		at.addr, err = hostPort(text, host)
	case !slices.Contains(s.schemes, scheme):
		err = fmt.Errorf("want a URL that begins with %s://", strings.Join(s.schemes, ":// or "))
	case scheme != "unix":
		_, at.addr, err = splitURL(text)
	case rest == "":
		err = errors.New("want the path of the socket, such as unix:///run/etcd.sock")
	case len(rest) > maxSocketPath:
		err = fmt.Errorf("the path of a socket has at most %d bytes; choose a shorter one", maxSocketPath)
	}
	if err != nil {
		return site{}, fmt.Errorf("%s %q: %w", at.flag, text, err)
	}
	return at, nil
}

// splitURL returns the scheme and the address, host:port, of a URL of this machine. Its port may
// be 0.
func splitURL(text string) (scheme, addr string, err error) {
	scheme, rest, given := strings.Cut(text, "://")
	host, port, splitErr := net.SplitHostPort(rest)
	switch {
	case !given || scheme != "http" && scheme != "https":
		return "", "", errors.New("want a URL, http://host:port or https://host:port")
	case strings.ContainsAny(rest, "/?#@"):
		return "", "", fmt.Errorf("want a URL with nothing behind its port: %s://host:port", scheme)
	case splitErr == nil && host == "":
		return "", "", fmt.Errorf("the URL names no host; to listen on all addresses write %s://0.0.0.0:%s", scheme, port)
	case splitErr == nil && port == "0":
		rest = net.JoinHostPort(host, "1") // whose rules are the same otherwise
	}
	addr, err = endpoint.Address(scheme + "://" + rest)
	if err == nil && port == "0" {
		host, _, err = net.SplitHostPort(addr)
		addr = net.JoinHostPort(host, port)
	}
	return scheme, addr, err
}

// sites are the places at which a machine listens. In those of a configuration that was checked
// every scheme is known.
type sites struct{ clients, peers, metrics []site }

// sites returns where to listen, or why that is not possible.
func (c *Config) sites() (s sites, err error) {
	if s.clients, err = c.sitesOf(clientSide, "-c", c.ClientAddr, c.ClientListen); err != nil {
		return sites{}, err
	}
	if s.peers, err = c.sitesOf(peerSide, "-s", c.PeerAddr, c.PeerListen); err != nil {
		return sites{}, err
	}
	if s.metrics, err = c.sitesOf(metricsSide, "", "", c.MetricsListen); err != nil {
		return sites{}, err
	}
	if err := s.checkDistinct(); err != nil {
		return sites{}, err
	}
	if c.spare != "" {
		spare := site{addr: c.spare, spare: true}
		if !slices.ContainsFunc(slices.Concat(s.peers, s.metrics), func(other site) bool { return conflict(other.addr, spare.addr) }) {
			s.clients = append(s.clients, spare)
		}
	}
	return s, c.resolveSchemes(s)
}

// sitesOf returns where to listen for one side: where its flag says, or else at the address that
// is advertised.
func (c *Config) sitesOf(s side, advertiseFlag, advertised string, listen []string) ([]site, error) {
	if len(listen) == 0 && advertiseFlag != "" {
		return []site{{flag: advertiseFlag, addr: c.advertised(advertised)}}, nil
	}
	var all []site
	for _, text := range listen {
		at, err := s.site(text, c.Host)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(all, at) { // port 0 twice is one port, too
			all = append(all, at)
		}
	}
	return all, nil
}

// checkDistinct refuses sites that cannot all be listened at.
func (s sites) checkDistinct() error {
	for _, at := range s.clients {
		for _, peers := range s.peers {
			if conflict(at.addr, peers.addr) {
				return fmt.Errorf("this machine cannot listen at %s for clients and at %s for other machines: give them different ports (-c, -s, -cl, -sl)", at, peers)
			}
		}
	}
	for _, metrics := range s.metrics {
		for _, other := range slices.Concat(s.clients, s.peers) {
			if conflict(metrics.addr, other.addr) {
				return fmt.Errorf("%s %s is where this machine listens for clients or for other machines: give it a port of its own; clients' port serves /metrics as well", metrics.flag, metrics)
			}
		}
	}
	for _, of := range [][]site{s.clients, s.peers, s.metrics} {
		for i, at := range of {
			for _, other := range of[:i] {
				if conflict(at.addr, other.addr) {
					return fmt.Errorf("%s: %s and %s cannot both be listened at: leave one of them out", at.flag, other, at)
				}
			}
		}
	}
	return nil
}

// resolveSchemes fills in the schemes of bare addresses, and refuses those for which there is no
// certificate.
func (c *Config) resolveSchemes(s sites) error {
	certified := c.ClientTLS.Given() || c.AutoTLS
	if err := resolve(s.clients, certified, certified, "--cert-file and --key-file (-clientCert and -clientKey), or --auto-tls"); err != nil {
		return err
	}
	if err := resolve(s.metrics, false, certified, "--cert-file and --key-file (-clientCert and -clientKey), or --auto-tls"); err != nil {
		return err
	}
	certified = c.PeerTLS.Given() || c.PeerAutoTLS
	if err := resolve(s.peers, certified, certified, "--peer-cert-file and --peer-key-file (-serverCert and -serverKey), or --peer-auto-tls"); err != nil {
		return err
	}
	for _, at := range s.peers[1:] {
		if first := s.peers[0]; at.scheme != first.scheme {
			return fmt.Errorf("%s: %s and %s: machines speak either http or https with each other: give all URLs the same scheme", at.flag, first, at)
		}
	}
	return nil
}

// resolve gives bare addresses the scheme that they have with a certificate, or without one.
func resolve(of []site, bareOverTLS, certified bool, flags string) error {
	for i, at := range of {
		switch {
		case at.scheme == "https" && !certified:
			return fmt.Errorf("%s %s: https needs a certificate: give %s", at.flag, at, flags)
		case at.scheme == "" && bareOverTLS:
			of[i].scheme = "https"
		case at.scheme == "":
			of[i].scheme = "http"
		}
	}
	return nil
}

// overTLS reports whether any of the sites has TLS.
func overTLS(of []site) bool {
	return slices.ContainsFunc(of, func(s site) bool { return s.scheme == "https" })
}

// conflict reports whether two addresses cannot both be listened at.
func conflict(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil {
		return a == b // sockets
	}
	return portA == portB && portA != "0" && (hostA == hostB || endpoint.Unspecified(hostA) || endpoint.Unspecified(hostB))
}
