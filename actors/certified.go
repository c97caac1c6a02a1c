package actors

import (
	"errors"
	"net"

	"etcd/store"
	"etcd/transport"
)

// With TLS a machine has to show a certificate that names its own host, so that who holds
// another one that the CA has signed, that of a client perhaps, is no machine of the cluster.

// certified checks the certificate that goes with a handshake. It has to name the host at
// which the state of this machine has the member; of a member that it does not have there, or
// not any more, the host at which that says it is.
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

// errNoMember refuses somebody as long as this machine does not know who the members are.
var errNoMember = errors.New("this machine does not know yet who the members of its cluster are; ask again")

// Belongs checks the certificate of who asks for something that is for the machines of the
// cluster: it has to name the host of one of them, or of the address, host:port, at which the
// one that asks says it is, if that is not empty. The error is about the last host that was
// tried.
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

// Members is who belongs to the cluster as of the state of this machine, which may be behind.
func (in *Inbox) Members() []store.Member {
	if members := in.members.Load(); members != nil {
		return *members
	}
	return nil
}

// hostOf is the host of host:port, and empty if it is nothing of the kind.
func hostOf(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return ""
	}
	return host
}
