package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"

	"etcd/endpoint"
	"etcd/store"
)

// opened is a port that is open.
type opened struct {
	net.Listener
	site
}

// listeners are those of one side of a machine, in the order in which they were asked for.
type listeners []opened

// ports are the listeners of a machine. Others than for metrics have one at least.
type ports struct{ clients, peers, metrics listeners }

// open opens a port.
func (s site) open() (net.Listener, error) {
	if s.scheme == "unix" {
		return s.openSocket()
	}
	l, err := net.Listen("tcp", s.addr)
	switch {
	case err != nil && s.spare:
		return nil, err
	case errors.Is(err, errAddrInUse):
		return nil, fmt.Errorf("%s %s: another process listens there already; stop it, or choose another port", s.flag, s.addr)
	case errors.Is(err, errAddrNotAvailable):
		return nil, fmt.Errorf("%s %s: this host does not have that address; %s", s.flag, s.addr, s.elsewhere())
	case errors.Is(err, errNotPermitted):
		return nil, fmt.Errorf("%s %s: not permitted; choose a port from 1024 on", s.flag, s.addr)
	case err != nil:
		return nil, fmt.Errorf("%s %s: %w", s.flag, s.addr, err)
	}
	return l, nil
}

// elsewhere says how to listen at another address than that of a site.
func (s site) elsewhere() string {
	const elsewhere = "if others reach it there all the same, say with %s where to listen, such as 0.0.0.0:PORT"
	switch s.flag {
	case "-c":
		return fmt.Sprintf(elsewhere, "-cl")
	case "-s":
		return fmt.Sprintf(elsewhere, "-sl")
	}
	return "listen at one that it has, or at 0.0.0.0 for all of them"
}

// listenAll opens all ports.
func (c *Config) listenAll() (p ports, err error) {
	at, err := c.sites()
	if err != nil {
		return ports{}, err
	}
	for _, side := range []struct {
		sites []site
		to    *listeners
	}{{at.clients, &p.clients}, {at.peers, &p.peers}, {at.metrics, &p.metrics}} {
		for _, site := range side.sites {
			l, err := site.open()
			if err != nil && site.spare {
				c.Log.Warn("clients are not served at the port of later versions of etcd, which cannot be opened; say with -c or --listen-client-urls where to listen",
					"error", err)
				continue
			}
			if err != nil {
				p.close()
				return ports{}, err
			}
			*side.to = append(*side.to, opened{l, site})
		}
	}
	return p, nil
}

// close closes those that are open. A listener that a server has closed already is no error.
func (p ports) close() {
	for _, l := range slices.Concat(p.clients, p.peers, p.metrics) {
		_ = l.Close()
	}
}

// log logs where the machine listens, and what of that others are not told.
func (p ports) log(c *Config) {
	for _, l := range p.clients {
		c.Log.Info("listening for clients", "url", l.url())
	}
	for _, l := range p.peers {
		c.Log.Info("listening for other machines", "url", l.url())
	}
	for _, l := range p.metrics {
		c.Log.Info("serving metrics", "addr", l.Addr().String(), "pprof", c.Pprof)
	}
	if len(c.ClientURLs) > 1 {
		c.Log.Info("of the advertised client URLs the list of members has the first; clients can use the others all the same",
			"listed", c.ClientURLs[0], "others", strings.Join(c.ClientURLs[1:], ","))
	}
}

// url returns where a port that is open is reached.
func (l opened) url() string {
	at := l.site
	if at.scheme != "unix" {
		at.addr = l.Addr().String()
	}
	return at.String()
}

// advertisedAs returns an address as it is advertised, with the port that the kernel chose for 0.
func (c *Config) advertisedAs(addr string, all listeners) string {
	host, port, err := net.SplitHostPort(c.advertised(addr))
	if err == nil && port == "0" {
		for _, l := range all {
			if tcp, ok := l.Addr().(*net.TCPAddr); ok {
				return net.JoinHostPort(host, fmt.Sprint(tcp.Port))
			}
		}
	}
	return c.advertised(addr)
}

// clientURL returns the URL that is advertised to clients.
func (c *Config) clientURL(all listeners) string {
	scheme := all[0].scheme
	if len(c.ClientURLs) > 0 {
		scheme = endpoint.Scheme(c.ClientURLs[0])
	} else if scheme == "unix" {
		scheme = "http"
	}
	return endpoint.URL(scheme, c.advertisedAs(c.ClientAddr, all))
}

// onLoopback reports whether only this host reaches a port: a request from a page under another
// name than localhost is then the result of a trick, such as DNS rebinding.
func onLoopback(l net.Listener) bool {
	tcp, ok := l.Addr().(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// allowedHosts returns the names of this machine besides that of the advertised address: those of the
// command line, and those at which it listens.
func (c *Config) allowedHosts(all listeners) []string {
	hosts := slices.Clone(c.HostWhitelist)
	for _, l := range all {
		if host := l.host(); host != "" {
			hosts = append(hosts, host)
		}
	}
	return hosts
}

// furtherHosts returns the hosts of the advertised URLs that are not in the list of members.
func (c *Config) furtherHosts() []string {
	var hosts []string
	for _, url := range c.ClientURLs[min(1, len(c.ClientURLs)):] {
		hosts = append(hosts, endpoint.HostOfURL(url))
	}
	return hosts
}

// warnPeerPortOpen warns if machines on other hosts reach this one without TLS: only the network keeps
// strangers away then. TLS that verifies nobody is warned about elsewhere.
func warnPeerPortOpen(log *slog.Logger, peers listeners, overTLS bool) {
	if overTLS {
		return
	}
	for _, l := range peers {
		if onLoopback(l) {
			continue
		}
		log.Warn("the peer port can be reached from other hosts without TLS: whoever reaches it can join the cluster, and then read and change everything; "+
			"keep it on a trusted network, or start all machines with -serverCert, -serverKey and -serverCAFile; see docs/security.md", "address", l.Addr().String())
	}
}

// warnUnspecified warns if an advertised address names no machine, such as 0.0.0.0.
func warnUnspecified(log *slog.Logger, member store.Member) {
	if unspecified(member.ClientURL) {
		log.Warn("clients on other hosts cannot use the advertised address of this machine; advertise another one with -h or -c, and listen on all with -cl",
			"advertised", member.ClientURL)
	}
	if unspecified(member.PeerURL) {
		log.Warn("only machines on this host can form a cluster with this one: those on other hosts cannot use its advertised address; "+
			"advertise another one with -h or -s, and listen on all with -sl", "advertised", member.PeerURL)
	}
}
