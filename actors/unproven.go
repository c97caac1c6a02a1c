package actors

import (
	"maps"
	"slices"

	"etcd/transport"
	"etcd/version"
)

// unprovenVersions is what the program of a member understands, as told by a process at addr that is not
// believed to be that member.
type unprovenVersions struct {
	addr     string
	commands version.Range
}

// noteVersions tells the raft actor what the program of a member understands, and reports whether the
// process that says so is believed. If not, it is kept, and counts as unknown until the process
// is believed: a member that has moved connects once, before the cluster has committed its new
// address.
func (in *Inbox) noteVersions(h transport.Hello) bool {
	in.unprovenMu.Lock()
	defer in.unprovenMu.Unlock()
	said := &understood{member: h.From}
	believed := in.trusts(h.From, h.Addr)
	if believed {
		said.commands = h.Understood.Commands
		delete(in.unproven, h.From)
	} else {
		if in.unproven == nil {
			in.unproven = make(map[uint64]unprovenVersions)
		}
		in.unproven[h.From] = unprovenVersions{h.Addr, h.Understood.Commands}
	}
	in.root.Send(in.to.raft, said)
	return believed
}

// recheckVersions checks again what was heard, when the members that this machine knows, or their
// addresses, have changed.
func (in *Inbox) recheckVersions() {
	in.unprovenMu.Lock()
	defer in.unprovenMu.Unlock()
	for _, member := range slices.Sorted(maps.Keys(in.unproven)) {
		one := in.unproven[member]
		switch {
		case in.trusts(member, one.addr):
			in.root.Send(in.to.raft, &understood{member: member, commands: one.commands})
			delete(in.unproven, member)
		case in.addressBook.Load().isRemoved(member):
			delete(in.unproven, member)
		}
	}
}
