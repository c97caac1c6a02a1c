package sim

import (
	"maps"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/actors"
)

// session stands for all client connections to one machine: it sends requests and hands
// each answer to its caller.
type session struct {
	life  *life
	pid   *actor.PID
	calls map[uint64]*call
}

// call is a request in flight.
type call struct {
	answered func(reply any) // called with nil if no answer will come
	timeout  *timer
}

func newSession(l *life) *session {
	s := &session{life: l, calls: make(map[uint64]*call)}
	root := l.machine.System.Root
	s.pid = root.Spawn(actor.PropsFromProducer(func() actor.Actor { return s }, actor.WithMailbox(l.machine.Kind("session").Mailbox())))
	return s
}

// Receive implements [actor.Actor].
func (s *session) Receive(ctx actor.Context) {
	if answer, ok := ctx.Message().(actors.Answer); ok {
		last := true
		if watched, ok := answer.(*actors.WatchReply); ok {
			last = !watched.More
		}
		s.answer(answer.Answers(), answer, last)
	}
}

func (s *session) answer(id uint64, reply any, last bool) {
	c, ok := s.calls[id]
	if !ok {
		return
	}
	if last {
		s.forget(id)
	}
	c.answered(reply)
}

func (s *session) forget(id uint64) {
	if c := s.calls[id]; c.timeout != nil {
		c.timeout.stopped = true
	}
	delete(s.calls, id)
}

// call sends a request with a new ID to one of the machine's actors. answered is called with
// the answer, or with nil when patience is over or the machine has ended. A patience of 0
// waits for ever.
func (s *session) call(to *actor.PID, request func(id uint64, replyTo *actor.PID) any, patience time.Duration, answered func(reply any)) (id uint64) {
	s.life.sim.lastCall++
	id = s.life.sim.lastCall
	if s.life.dead {
		s.life.s.after(time.Millisecond, func() { answered(nil) })
		return id
	}
	c := &call{answered: answered}
	s.calls[id] = c
	if patience > 0 {
		c.timeout = s.life.s.after(patience, func() {
			delete(s.calls, id)
			answered(nil)
		})
	}
	s.life.machine.System.Root.Send(to, request(id, s.pid))
	return id
}

// hangUp ends all calls because the machine has ended. Their callers learn of it a moment
// later, outside all tasks.
func (s *session) hangUp() {
	for _, id := range slices.Sorted(maps.Keys(s.calls)) {
		c := s.calls[id]
		s.forget(id)
		s.life.s.after(time.Millisecond, func() { c.answered(nil) })
	}
}

// The requests, with the actor each goes to.

func (s *session) propose(command []byte, patience time.Duration, answered func(*actors.Proposed)) {
	s.call(s.life.machine.Raft, func(id uint64, replyTo *actor.PID) any {
		return &actors.Propose{ID: id, ReplyTo: replyTo, Command: command}
	}, patience, typed(answered))
}

// read sends a read to the raft actor (linearizable) or the store actor (local).
func (s *session) read(of *actor.PID, path string, patience time.Duration, answered func(*actors.ReadReply)) {
	s.call(of, func(id uint64, replyTo *actor.PID) any {
		return &actors.Read{ID: id, ReplyTo: replyTo, Path: path}
	}, patience, typed(answered))
}

// query is read for keys of the v3 API.
func (s *session) query(of *actor.PID, q actors.Query, patience time.Duration, answered func(*actors.Queried)) {
	s.call(of, func(id uint64, replyTo *actor.PID) any {
		q.ID, q.ReplyTo = id, replyTo
		return &q
	}, patience, typed(answered))
}

func (s *session) sync(patience time.Duration, answered func(*actors.Synced)) {
	s.call(s.life.machine.Raft, func(id uint64, replyTo *actor.PID) any {
		return &actors.Sync{ID: id, ReplyTo: replyTo}
	}, patience, typed(answered))
}

func (s *session) status(patience time.Duration, answered func(*actors.StatusReply)) {
	s.call(s.life.machine.Raft, func(id uint64, replyTo *actor.PID) any {
		return &actors.Status{ID: id, ReplyTo: replyTo}
	}, patience, typed(answered))
}

func (s *session) freeze(patience time.Duration, answered func(*actors.Frozen)) {
	s.call(s.life.machine.Store, func(id uint64, replyTo *actor.PID) any {
		return &actors.Freeze{ID: id, ReplyTo: replyTo}
	}, patience, typed(answered))
}

// typed turns a missing answer into a nil *T.
func typed[T any](answered func(*T)) func(any) {
	return func(reply any) {
		m, _ := reply.(*T)
		answered(m)
	}
}
