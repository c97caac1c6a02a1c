package actors

import (
	"slices"

	"etcd/transport"
)

// roll is whom this machine knows, and where. It is never changed.
type roll struct {
	removed []uint64 // former members
	places  map[uint64]place
}

// place is where a member is to be found, host:port, by who has said so. Empty: nobody.
type place struct {
	stated  string // the state of this machine
	vouched string // -C, or a member that this machine trusts; and it was found there
	told    string // the member itself
}

// known are the addresses in the order in which they are believed.
func (p place) known() []string { return addresses(p.stated, p.vouched, p.told) }

// trusted are those that are believed.
func (p place) trusted() []string { return addresses(p.stated, p.vouched) }

func addresses(list ...string) []string {
	var addrs []string
	for _, addr := range list {
		if addr != "" && !slices.Contains(addrs, addr) {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}

// believed says whether what is at addr is the member for more reasons than that it says so
// and that nobody answers where the member should be. Only then is it heard when it says that
// another machine must not go on, and what it says of its disk is held against the member.
func (p place) believed(addr string) bool { return slices.Contains(p.trusted(), addr) }

func (r *roll) isRemoved(id uint64) bool { return slices.Contains(r.removed, id) }

// isMember says whether the state of this machine has a member with this ID.
func (r *roll) isMember(id uint64) bool { return r.places[id].stated != "" }

// others is where other machines may look for the members.
func (r *roll) others(order []uint64) []transport.Place {
	places := make([]transport.Place, 0, len(order))
	for _, id := range order {
		p := r.places[id]
		addr := p.told
		if addr == "" {
			addr = p.stated
		}
		places = append(places, transport.Place{Member: id, Addr: addr, Told: !p.believed(addr)})
	}
	return places
}

// claims are the processes that have proven which member they are, the last one of each: a
// member is who answers at its address and says that it has dialled.
type claims struct {
	proven map[uint64]claim // by member
}

type claim struct {
	nonce uint64
	token string
	said  string // where it says it is
	addr  string // where it was asked
}

// at is where the process that says h was found to be the member; empty if it has to be asked.
func (c *claims) at(h transport.Hello) string {
	if one := c.proven[h.From]; one.nonce == h.Nonce && one.token == h.Token && one.said == h.Addr {
		return one.addr
	}
	return ""
}

// note notes that the process that says h is the member, and was found at addr.
func (c *claims) note(h transport.Hello, addr string) {
	if c.proven == nil {
		c.proven = make(map[uint64]claim)
	}
	c.proven[h.From] = claim{h.Nonce, h.Token, h.Addr, addr}
}

// supersedes says whether a process that was found at addr takes the place of the one that was
// last found to be the member: that one was not where the state says, and this one is.
func (c *claims) supersedes(h transport.Hello, addr string, p place) bool {
	last, known := c.proven[h.From]
	return known && last.nonce != h.Nonce && addr == p.stated && last.addr != p.stated
}

// forget drops members that were removed.
func (c *claims) forget(removed []uint64) {
	for _, id := range removed {
		delete(c.proven, id)
	}
}
