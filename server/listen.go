package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"

	"etcd/store"
)

// listen opens a port. One flag has the advertised address, another the one to listen at if
// that differs.
func listen(advertiseFlag, listenFlag, addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	switch {
	case errors.Is(err, errAddrInUse):
		return nil, fmt.Errorf("%s %s: another process listens there already; stop it, or choose another port", advertiseFlag, addr)
	case errors.Is(err, errAddrNotAvailable):
		return nil, fmt.Errorf("%s %s: this host does not have that address; if others reach it there all the same, say with %s where to listen, such as 0.0.0.0:PORT",
			advertiseFlag, addr, listenFlag)
	case errors.Is(err, errNotPermitted):
		return nil, fmt.Errorf("%s %s: not permitted; choose a port from 1024 on", advertiseFlag, addr)
	case err != nil:
		return nil, fmt.Errorf("%s %s: %w", advertiseFlag, addr, err)
	}
	return l, nil
}

// ports are the listeners of a machine.
type ports struct{ clients, peers, metrics net.Listener } // metrics may be nil

// listenAll opens all ports.
func (c *Config) listenAll() (p ports, err error) {
	if p.clients, err = listen("-c", "-cl", c.listenAddr(c.ClientListen, c.ClientAddr)); err != nil {
		return ports{}, err
	}
	if p.peers, err = listen("-s", "-sl", c.listenAddr(c.PeerListen, c.PeerAddr)); err != nil {
		p.close()
		return ports{}, err
	}
	if len(c.MetricsListen) == 0 {
		return p, nil
	}
	if p.metrics, err = listen("-metrics", "-metrics", c.advertised(c.MetricsListen[0])); err != nil {
		p.close()
		return ports{}, err
	}
	return p, nil
}

// close closes those that are open. A listener that a server has closed already is no error.
func (p ports) close() {
	for _, l := range []net.Listener{p.clients, p.peers, p.metrics} {
		if l != nil {
			_ = l.Close()
		}
	}
}

// advertisedAs returns an address as it is advertised, with the port that the kernel chose for 0.
func (c *Config) advertisedAs(addr string, l net.Listener) string {
	host, port, err := net.SplitHostPort(c.advertised(addr))
	if err == nil && port == "0" {
		if tcp, ok := l.Addr().(*net.TCPAddr); ok {
			return net.JoinHostPort(host, fmt.Sprint(tcp.Port))
		}
	}
	return c.advertised(addr)
}

// onLoopback reports whether only this host reaches a port: a request from a page under another
// name than localhost is then the result of a trick, such as DNS rebinding.
func onLoopback(l net.Listener) bool {
	tcp, ok := l.Addr().(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// allowedHosts returns the names of this machine besides that of the advertised address: those of the
// command line, and those at which it listens, if they differ.
func (c *Config) allowedHosts(listen []string) []string {
	hosts := slices.Clone(c.HostWhitelist)
	for _, addr := range listen {
		if host, _, err := net.SplitHostPort(c.advertised(addr)); err == nil {
			hosts = append(hosts, host)
		}
	}
	return hosts
}

// warnPeerPortOpen warns if machines on other hosts reach this one without TLS: only the network keeps
// strangers away then. TLS that verifies nobody is warned about elsewhere.
func warnPeerPortOpen(log *slog.Logger, peers net.Listener, overTLS bool) {
	if !overTLS && !onLoopback(peers) {
		log.Warn("the peer port can be reached from other hosts without TLS: whoever reaches it can join the cluster, and then read and change everything; "+
			"keep it on a trusted network, or start all machines with -serverCert, -serverKey and -serverCAFile; see docs/security.md", "address", peers.Addr().String())
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
