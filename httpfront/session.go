package httpfront

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/actors"
	"etcd/store"
)

// longAgo, as a deadline, ends a Read that is waiting.
var longAgo = time.Unix(1, 0)

// session is the actor of one connection. It receives the answers to its requests;
// the goroutine that serves the connection waits for them.
//
// Its messages are handled on the goroutine of whoever sends them, which is why
// Receive does nothing that could block.
type session struct {
	server *Server
	conn   *conn
	pid    *actor.PID

	expected atomic.Uint64 // ID of the request under way
	answers  chan any      // holds the answer to the request under way

	// reading says that a watch waits in Read, which an answer has to end. The lock is
	// held while that is done, so that it cannot end a later Read instead.
	mu      sync.Mutex
	reading bool
	// hijackDone ends the counting of the last hijack.
	hijackDone func()
}

// sessionOf returns the session of a connection, and starts it if it is new.
func (s *Server) sessionOf(c *conn) *session {
	if c.session == nil {
		session := &session{server: s, conn: c, answers: make(chan any, 1)}
		session.pid = s.root.Spawn(actor.PropsFromProducer(
			func() actor.Actor { return session },
			actor.WithMailbox(s.mailbox),
			actor.WithDispatcher(s.dispatcher),
			actor.WithGuardian(s.supervisor),
		))
		c.session = session
	}
	return c.session
}

// stop ends the session, and the watch that its client has left behind.
func (s *session) stop() {
	if id := s.expected.Load(); id != 0 {
		s.server.root.Send(s.server.machine.Hub, &actors.Unwatch{ID: id})
	}
	s.server.root.Stop(s.pid)
	s.mu.Lock()
	done := s.hijackDone
	s.mu.Unlock()
	if done != nil {
		done()
	}
}

// Receive keeps the answer to the request under way; any other is late.
func (s *session) Receive(ctx actor.Context) {
	var id uint64
	switch m := ctx.Message().(type) {
	case *actors.Proposed:
		id = m.ID
	case *actors.ReadReply:
		id = m.ID
	case *actors.Synced:
		id = m.ID
	case *actors.StatusReply:
		id = m.ID
	case *actors.Frozen:
		id = m.ID
	case *actors.WatchReply:
		id = m.ID
	default:
		return
	}
	if !s.expected.CompareAndSwap(id, 0) {
		return
	}
	s.answers <- ctx.Message()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reading {
		// An error means that the connection is closed, which ends the Read as well.
		_ = s.conn.SetReadDeadline(longAgo)
	}
}

func (s *session) setReading(reading bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reading = reading
}

// expect begins a request and returns its ID.
func (s *session) expect() uint64 {
	id := s.server.lastID.Add(1)
	s.expected.Store(id)
	return id
}

// ask sends a request that was begun with expect and waits for its answer. It
// comes within the request timeout, which the raft core watches over.
func (s *session) ask(to *actor.PID, message any) any {
	s.server.root.Send(to, message)
	return <-s.answers
}

func (s *session) propose(command []byte) *actors.Proposed {
	request := &actors.Propose{ID: s.expect(), ReplyTo: s.pid, Command: command}
	return s.ask(s.server.machine.Raft, request).(*actors.Proposed)
}

func (s *session) read(path string, local bool) *actors.ReadReply {
	to := s.server.machine.Raft
	if local {
		to = s.server.machine.Store
	}
	return s.ask(to, &actors.Read{ID: s.expect(), ReplyTo: s.pid, Path: path}).(*actors.ReadReply)
}

// sync waits until local state has every write that was acknowledged before.
func (s *session) sync() error {
	return s.ask(s.server.machine.Raft, &actors.Sync{ID: s.expect(), ReplyTo: s.pid}).(*actors.Synced).Err
}

func (s *session) freeze() *store.Snapshot {
	return s.ask(s.server.machine.Store, &actors.Freeze{ID: s.expect(), ReplyTo: s.pid}).(*actors.Frozen).State
}

func (s *session) join(m store.Member) *actors.Proposed {
	return s.ask(s.server.machine.Raft, &actors.Join{ID: s.expect(), ReplyTo: s.pid, Member: m}).(*actors.Proposed)
}

func (s *session) leave(member uint64) *actors.Proposed {
	return s.ask(s.server.machine.Raft, &actors.Leave{ID: s.expect(), ReplyTo: s.pid, Member: member}).(*actors.Proposed)
}

func (s *session) status() *actors.StatusReply {
	return s.ask(s.server.machine.Raft, &actors.Status{ID: s.expect(), ReplyTo: s.pid}).(*actors.StatusReply)
}
