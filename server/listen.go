package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"

	"etcd/store"
)

// listen opens a port. The flags say what others are told, and where to listen if that
// is another address.
func listen(told, listens, addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	switch {
	case errors.Is(err, errInUse):
		return nil, fmt.Errorf("%s %s: another process listens there already; stop it, or choose another port", told, addr)
	case errors.Is(err, errNotHere):
		return nil, fmt.Errorf("%s %s: this host does not have that address; if others reach it there all the same, say with %s where to listen, such as 0.0.0.0:PORT",
			told, addr, listens)
	case errors.Is(err, errNotPermitted):
		return nil, fmt.Errorf("%s %s: not permitted; choose a port from 1024 on", told, addr)
	case err != nil:
		return nil, fmt.Errorf("%s %s: %w", told, addr, err)
	}
	return l, nil
}

// reached is an address as others are told it. A port of 0 was chosen by the kernel.
func (c *Config) reached(addr string, l net.Listener) string {
	host, port, err := net.SplitHostPort(c.advertised(addr))
	if err == nil && port == "0" {
		if tcp, ok := l.Addr().(*net.TCPAddr); ok {
			return net.JoinHostPort(host, fmt.Sprint(tcp.Port))
		}
	}
	return c.advertised(addr)
}

// onLoopback says whether only this host reaches a port: what comes to it then from a page under
// another name than localhost comes by a trick.
func onLoopback(l net.Listener) bool {
	tcp, ok := l.Addr().(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// hosts are the names of this machine that the address which others are told does not have: those
// of the command line, and the one at which it listens, if that differs.
func (c *Config) hosts(listen string) []string {
	hosts := slices.Clone(c.HostWhitelist)
	if listen != "" {
		if host, _, err := net.SplitHostPort(c.advertised(listen)); err == nil {
			hosts = append(hosts, host)
		}
	}
	return hosts
}

// warnOpen says so if machines on other hosts reach this one without TLS: the network has to
// keep strangers away then. What TLS that verifies nobody means is said elsewhere.
func warnOpen(log *slog.Logger, peers net.Listener, overTLS bool) {
	if !overTLS && !onLoopback(peers) {
		log.Warn("the port for machines can be reached from other hosts without TLS: whoever reaches it can join the cluster, and then read and change everything; "+
			"keep it on a trusted network, or start all machines with -serverCert, -serverKey and -serverCAFile; see docs/security.md", "address", peers.Addr().String())
	}
}

// warnUnspecified says so if clients or machines are told an address that is none.
func warnUnspecified(log *slog.Logger, member store.Member) {
	if unspecified(member.ClientURL) {
		log.Warn("clients on other hosts cannot use the address that they are told for this machine; advertise one with -h or -c, and listen at all with -cl",
			"told", member.ClientURL)
	}
	if unspecified(member.PeerURL) {
		log.Warn("only machines on this host can form a cluster with this one: those on other hosts cannot use the address that they are told; "+
			"advertise one with -h or -s, and listen at all with -sl", "told", member.PeerURL)
	}
}
