package actors

import (
	"maps"
	"slices"

	"etcd/transport"
	"etcd/version"
)

// heard is what the program of a member understands, as told by a process at addr that is not
// believed to be that member.
type heard struct {
	addr     string
	commands version.Range
}

// hear tells the raft actor what the program of a member understands, and reports whether the
// process that says so is believed. If not, it is kept, and counts as unknown until the process
// is believed: a member that has moved connects once, before the cluster has committed its new
// address.
func (in *Inbox) hear(h transport.Hello) bool {
	in.heardMu.Lock()
	defer in.heardMu.Unlock()
	said := &understood{member: h.From}
	believed := in.believes(h.From, h.Addr)
	if believed {
		said.commands = h.Understood.Commands
		delete(in.heard, h.From)
	} else {
		if in.heard == nil {
			in.heard = make(map[uint64]heard)
		}
		in.heard[h.From] = heard{h.Addr, h.Understood.Commands}
	}
	in.root.Send(in.to.raft, said)
	return believed
}

// believeHeard checks again what was heard, when the members that this machine knows, or their
// addresses, have changed.
func (in *Inbox) believeHeard() {
	in.heardMu.Lock()
	defer in.heardMu.Unlock()
	for _, member := range slices.Sorted(maps.Keys(in.heard)) {
		one := in.heard[member]
		switch {
		case in.believes(member, one.addr):
			in.root.Send(in.to.raft, &understood{member: member, commands: one.commands})
			delete(in.heard, member)
		case in.roll.Load().isRemoved(member):
			delete(in.heard, member)
		}
	}
}
