package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"etcd/actors"
	"etcd/transport"
)

// strangers send handshakes to the machines for as long as the fault lasts. They know the ID
// of the cluster and those of its members, have overheard handshakes, and listen nowhere
// themselves. No machine may accept them, or change its behaviour because of them.
func strangers(s *Sim, f *fault) func() {
	over := false
	var knock func()
	knock = func() {
		if over {
			return
		}
		s.knock(f.rnd)
		s.after(time.Duration(1+f.rnd.Int64N(int64(100*time.Millisecond))), knock)
	}
	knock()
	return func() { over = true }
}

func (s *Sim) knock(rnd *rand.Rand) {
	to := s.anyLife(rnd, func(l *life) bool { return l.machine != nil && !l.paused })
	if to == nil {
		return
	}
	h := s.strangersHello(rnd, to)
	s.count("stranger dials")
	to.impersonated = to.impersonated || h.From == to.self.MemberID
	if status, _ := s.network.admit(to, h); status == 0 {
		s.fail("%s accepts a stranger at %q as member %x", to, h.Addr, h.From)
	}
}

// strangersHello is a Hello that a member has sent, or could send, with some fields changed.
func (s *Sim) strangersHello(rnd *rand.Rand, to *life) transport.Hello {
	anybody := s.machines[rnd.IntN(len(s.machines))]
	h := transport.Hello{
		Understood: actors.Understood(),
		ClusterID:  to.self.ClusterID, From: anybody.memberID, To: to.self.MemberID, Class: transport.Class(1 + rnd.IntN(3)),
		Addr: anybody.addr(), Nonce: rnd.Uint64(), Token: fmt.Sprintf("%x", rnd.Uint64()), Reach: "7-7-1000000-1000000",
	}
	if l := anybody.life; l != nil && l.machine != nil {
		heard := l.self.Hello(to.self.MemberID, "stranger:7001", h.Class) // the machine has dialled the stranger by mistake
		h.Nonce, h.Token, h.Reach = heard.Nonce, heard.Token, heard.Reach
	}
	for range 1 + rnd.IntN(3) {
		switch rnd.IntN(6) {
		case 0:
			h.From = rnd.Uint64()
		case 1:
			h.From = to.self.MemberID
		case 2:
			h.Addr = fmt.Sprintf("stranger%d:7001", rnd.IntN(1000))
		case 3:
			h.Addr = to.m.addr()
		case 4:
			h.Nonce = rnd.Uint64()
		case 5:
			h.Reach = [...]string{"", "0-0-0-0", "ffffffffffffffff-1-1-1", "1-1-ffffffffffffffff-ffffffffffffffff"}[rnd.IntN(4)]
		}
	}
	return h
}
