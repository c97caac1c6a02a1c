package actors

import (
	"slices"

	"etcd/transport"
)

// addressBook is what this machine knows of the members and their addresses. It is immutable.
type addressBook struct {
	removed []uint64 // former members
	places  map[uint64]memberAddrs
}

// memberAddrs holds the addresses of a member, host:port, by their source. Empty: none.
type memberAddrs struct {
	stated  string // in the state of this machine
	vouched string // by -C or a member that this machine trusts, and it was found there
	told    string // by the member itself
}

// known returns the addresses, the most trusted first.
func (p memberAddrs) known() []string { return addresses(p.stated, p.vouched, p.told) }

// trusted returns those that are believed.
func (p memberAddrs) trusted() []string { return addresses(p.stated, p.vouched) }

func addresses(list ...string) []string {
	var addrs []string
	for _, addr := range list {
		if addr != "" && !slices.Contains(addrs, addr) {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}

// isTrusted reports whether there is more reason to take the process at addr for the member than
// its own word and that nothing answers where the member should be. Only then may it tell
// another machine not to go on, and is its reach held against the member.
func (p memberAddrs) isTrusted(addr string) bool { return slices.Contains(p.trusted(), addr) }

func (r *addressBook) isRemoved(id uint64) bool { return slices.Contains(r.removed, id) }

// isMember reports whether the state of this machine has a member with this ID.
func (r *addressBook) isMember(id uint64) bool { return r.places[id].stated != "" }

// others returns the addresses at which other machines may look for the members.
func (r *addressBook) others(order []uint64) []transport.Place {
	places := make([]transport.Place, 0, len(order))
	for _, id := range order {
		p := r.places[id]
		addr := p.told
		if addr == "" {
			addr = p.stated
		}
		places = append(places, transport.Place{Member: id, Addr: addr, Told: !p.isTrusted(addr)})
	}
	return places
}

// claims holds, for each member, the last process that has proven to be it: the process at the
// address of the member, asked back, said that it has dialled.
type claims struct {
	proven map[uint64]claim // by member
}

type claim struct {
	nonce uint64
	token string
	said  string // the address it claims
	addr  string // where it was asked back
}

// at returns where the process that sent h has proven to be the member; empty if it has to be
// asked back.
func (c *claims) at(h transport.Hello) string {
	if one := c.proven[h.From]; one.nonce == h.Nonce && one.token == h.Token && one.said == h.Addr {
		return one.addr
	}
	return ""
}

// note notes that the process that sent h has proven to be the member, at addr.
func (c *claims) note(h transport.Hello, addr string) {
	if c.proven == nil {
		c.proven = make(map[uint64]claim)
	}
	c.proven[h.From] = claim{h.Nonce, h.Token, h.Addr, addr}
}

// supersedes reports whether a process that was found at addr supersedes the one that was last
// proven to be the member: that one was not at the address in the state, and this one is.
func (c *claims) supersedes(h transport.Hello, addr string, p memberAddrs) bool {
	last, known := c.proven[h.From]
	return known && last.nonce != h.Nonce && addr == p.stated && last.addr != p.stated
}

// forget drops members that were removed.
func (c *claims) forget(removed []uint64) {
	for _, id := range removed {
		delete(c.proven, id)
	}
}
