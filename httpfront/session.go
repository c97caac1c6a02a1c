package httpfront

import (
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/actors"
)

// session is the actor of one connection. It receives the answers to its requests, and goes on
// with those that are direct; for others a goroutine waits.
//
// Its messages are handled on the goroutine of their sender, so Receive does nothing
// that could block.
type session struct {
	server *Server
	conn   *conn
	pid    *actor.PID

	expected atomic.Uint64      // ID of the request in flight; 0: none
	counted  atomic.Bool        // it is, in Server.inFlight
	direct   bool               // the answer is for a direct request
	answers  chan actors.Answer // holds the answer to any other, or nil if none came in time; made when it is needed
	timer    actors.WaitTimer   // the timeout of that answer
}

// sessionOf returns the session of a connection, and starts one if it has none.
func (s *Server) sessionOf(c *conn) *session {
	if c.session == nil {
		session := &session{server: s, conn: c}
		session.timer.OnFire = session.onTimeout
		session.pid = s.root.Spawn(actor.PropsFromProducer(
			func() actor.Actor { return session },
			actor.WithMailbox(s.mailbox),
			actor.WithGuardian(s.supervisor),
		))
		c.session = session
	}
	return c.session
}

// stop ends the session, and the watch that its client has abandoned.
func (s *session) stop() {
	s.abandon()
	s.server.root.Stop(s.pid)
	s.timer.Stop()
}

// abandon ends the watch in flight, if there is one.
func (s *session) abandon() {
	s.settle()
	if id := s.expected.Swap(0); id != 0 {
		s.server.root.Send(s.server.machine.Hub, &actors.Unwatch{Subscriber: id})
	}
}

// Receive passes the answer to the request in flight on; any other is late, and dropped.
func (s *session) Receive(ctx actor.Context) {
	answer, ok := ctx.Message().(actors.Answer)
	if !ok {
		return
	}
	id := answer.Answers()
	if event, ok := answer.(*actors.WatchReply); ok && event.More {
		if s.expected.Load() == id {
			s.pass(answer)
		}
		return
	}
	if s.expected.CompareAndSwap(id, 0) {
		s.settle()
		s.pass(answer)
	}
}

// pass passes the answer to the request in flight on; nil: none came in time.
func (s *session) pass(answer actors.Answer) {
	if _, event := answer.(*actors.WatchReply); event || s.direct {
		s.conn.deliver(answer)
		return
	}
	s.answers <- answer
}

// expect begins a request and returns its ID.
func (s *session) expect() uint64 {
	id := s.server.lastID.Add(1)
	s.expected.Store(id)
	return id
}

// ask sends a request that was begun with expect and waits for its answer; nil if none
// comes before the deadline. It is the one place where a goroutine waits for an actor.
func (s *session) ask(to *actor.PID, message any, deadline time.Time) actors.Answer {
	s.direct = false
	if s.answers == nil {
		s.answers = make(chan actors.Answer, 1)
	}
	s.timer.Begin(s.expected.Load(), deadline)
	s.server.root.Send(to, message)
	s.conn.place.leave()
	answer := <-s.answers
	s.timer.End()
	return answer
}

// send sends the request of a direct one, that was begun with expect. Its answer, or nil if
// none comes before the deadline, goes to the connection.
func (s *session) send(to *actor.PID, message any, deadline time.Time) {
	s.direct = true
	s.timer.Begin(s.expected.Load(), deadline)
	s.server.root.Send(to, message)
}

// giveUpAfter limits the time of a watch that was begun with expect. It is the hub that ends it, so
// that an event which comes at that moment is either delivered, or is after the index of the answer.
func (s *session) giveUpAfter(id uint64, timeout time.Duration) {
	s.timer.Begin(id, time.Now().Add(timeout))
}

// onTimeout ends a wait whose deadline has passed, unless the answer is about to be passed on.
func (s *session) onTimeout() {
	switch id, over := s.timer.Fired(); {
	case !over:
	case s.conn.watches():
		s.server.root.Send(s.server.machine.Hub, &actors.GiveUp{Subscriber: id})
	case s.expected.CompareAndSwap(id, 0):
		s.settle()
		s.pass(nil)
	}
}
