package sim

import (
	"context"
	"errors"
	"slices"

	"etcd/transport"
)

func (st *stream) admit(to *life) (status int, message string) {
	return st.wires().admit(to, st.self.Hello(to.self.MemberID, st.addr, st.class))
}

// admit is the handshake, in which the accepting side asks back.
func (w *wires) admit(to *life, h transport.Hello) (status int, message string) {
	h.Rival = w.rival(h, to)
	v := to.machine.Inbox.Admit(h)
	if len(v.Ask) > 0 {
		asked := transport.Confirm(h.From, append(v.Ask, h.Addr), func(addr string) (transport.Presence, error) {
			return w.ask(to, addr, h.Token)
		})
		w.countClaim(asked, v.Ask[0])
		h.Asked = &asked
		v = to.machine.Inbox.Admit(h)
	}
	if v.Status == 0 && v.Supersedes {
		w.sim.count("claim supersedes another")
		w.ghosts = slices.DeleteFunc(w.ghosts, func(g ghost) bool { return g.to == to && g.member == h.From && g.nonce != h.Nonce })
	}
	return v.Status, v.Message
}

// countClaim counts the outcome of asking back. first is the most trusted address.
func (w *wires) countClaim(asked transport.Confirmation, first string) {
	switch {
	case asked.Denied:
		w.sim.count("claim denied")
	case asked.At == "":
		w.sim.count("claim unanswered")
	case asked.At == first:
		w.sim.count("claim confirmed")
	default:
		w.sim.count("claim confirmed elsewhere")
	}
}

// ask returns the answer that by gets when it asks back at an address.
func (w *wires) ask(by *life, addr, token string) (transport.Presence, error) {
	to := w.machineAt(addr)
	switch {
	case to == nil || to.life == nil || to.life.machine == nil:
		return transport.Presence{}, errRefused
	case !w.passes(by.m, to) || !w.passes(to, by.m) || to.life.paused:
		return transport.Presence{}, errCut
	case by.self.ClusterID != to.life.machine.ClusterID:
		return transport.Presence{}, &transport.RefusedError{Status: 412, Message: "another cluster"}
	}
	inbox := to.life.machine.Inbox
	dialled := to.life.self.Dialled(by.self.MemberID, append(inbox.Trusted(by.self.MemberID), by.self.Addr), token)
	return transport.Presence{Member: to.memberID, Dialled: dialled, Others: inbox.Places()}, nil
}

// rival reports whether another process of the same member is, or seems to be, connected.
func (w *wires) rival(h transport.Hello, to *life) bool {
	w.ghosts = slices.DeleteFunc(w.ghosts, func(g ghost) bool { return g.until <= w.sim.now || g.to.dead })
	return slices.ContainsFunc(w.ghosts, func(g ghost) bool { return g.to == to && g.member == h.From && g.nonce != h.Nonce })
}

// Ask implements [actors.Network].
func (n *network) Ask(_ context.Context, addr, token string, done func(transport.Presence, error)) {
	l := n.life
	w := &l.sim.network
	l.s.after(w.delay(), func() {
		p, err := w.ask(l, addr, token)
		if err == nil {
			l.sim.count("member asked back")
		}
		if errors.Is(err, errCut) {
			l.s.after(election, func() { done(p, err) })
			return
		}
		done(p, err)
	})
}
