package actors

import (
	"errors"
	"net"

	"etcd/store"
	"etcd/transport"
)

// With TLS a machine has to present a certificate that names its own host, so that the holder
// of another one that the CA has signed, such as a client's, does not pass for a machine.

// certified checks the certificate of a handshake. It has to name the host of the member in the
// state of this machine, or, for a member that is not known there or has moved, the host that
// the member claims.
func (in *Inbox) certified(h transport.Hello) error {
	if h.Certified == nil {
		return nil
	}
	said := hostOf(h.Addr)
	for _, m := range in.Members() {
		if known := hostOf(peerAddr(m)); m.ID == h.From && known != said {
			if h.Certified(known) == nil {
				return nil
			}
		}
	}
	return h.Certified(said)
}

// errNoMember refuses all callers as long as this machine does not know the members.
var errNoMember = errors.New("this machine does not know the members of its cluster yet; try again")

// Belongs checks the certificate of a caller of what is reserved for the machines of the
// cluster: it has to name the host of one of them, or of the address, host:port, that the
// caller claims, if that is not empty. The error is about the last host that was tried.
func (in *Inbox) Belongs(certified transport.Certified, said string) error {
	if certified == nil {
		return nil
	}
	var hosts []string
	for _, m := range in.Members() {
		hosts = append(hosts, hostOf(peerAddr(m)))
	}
	for _, p := range in.Places() {
		hosts = append(hosts, hostOf(p.Addr))
	}
	if said != "" {
		hosts = append(hosts, hostOf(said))
	}
	err := errNoMember
	for _, host := range hosts {
		if err = certified(host); err == nil {
			return nil
		}
	}
	return err
}

// Members returns the members as of the state of this machine, which may be behind.
func (in *Inbox) Members() []store.Member {
	if members := in.members.Load(); members != nil {
		return *members
	}
	return nil
}

// hostOf returns the host of host:port, empty if addr is not of that form.
func hostOf(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return ""
	}
	return host
}
