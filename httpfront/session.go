package httpfront

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/actors"
	"etcd/raftnode"
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

	deadline time.Time // of the request under way, for the goroutine that serves it
	alarm    alarm     // for the answer to it

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
		session.alarm.ring = session.giveUp
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
	s.alarm.stop()
	s.mu.Lock()
	done := s.hijackDone
	s.mu.Unlock()
	if done != nil {
		done()
	}
}

// Receive keeps the answer to the request under way; any other is late.
func (s *session) Receive(ctx actor.Context) {
	answer, ok := ctx.Message().(actors.Answer)
	if !ok || !s.expected.CompareAndSwap(answer.Answers(), 0) {
		return
	}
	s.answers <- answer
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

// errNoAnswer: nothing came within the request timeout. The answer is dropped when it
// comes.
var errNoAnswer = errors.New("this machine has not answered within the request timeout: it is busy reading, or receiving, its state")

// verdict is until when a session waits for an answer that the raft core watches over. It
// counts the request timeout in ticks, which come a little late, and its verdict says
// whether anything was done. What it has handed to the store it no longer watches.
func (s *session) verdict() time.Time {
	return s.deadline.Add(max(time.Second, s.server.cfg.RequestTimeout/10))
}

// ask sends a request that was begun with expect and waits for its answer until the
// deadline: false if there is none by then. Every wait of a session is here, but for
// that of a watch for its event.
func (s *session) ask(to *actor.PID, message any, deadline time.Time) (answer any, ok bool) {
	s.alarm.begin(s.expected.Load(), deadline)
	s.server.root.Send(to, message)
	answer = <-s.answers
	s.alarm.end()
	return answer, answer != noAnswer{}
}

// noAnswer stands for an answer that has not come in time.
type noAnswer struct{}

// giveUp ends a wait whose time is over, unless the answer is about to be passed on.
func (s *session) giveUp() {
	if id, over := s.alarm.rings(); over && s.expected.CompareAndSwap(id, 0) {
		s.answers <- noAnswer{}
	}
}

// askStore asks for local state, which nobody else watches over.
func (s *session) askStore(to *actor.PID, message any) (answer any, ok bool) {
	return s.ask(to, message, s.deadline)
}

// askRaft asks for what the raft core watches over.
func (s *session) askRaft(message any) (answer any, ok bool) {
	return s.ask(s.server.machine.Raft, message, s.verdict())
}

// change asks for something to be done. Without an answer it may be done all the same.
func (s *session) change(message any) *actors.Proposed {
	answer, ok := s.askRaft(message)
	if !ok {
		return &actors.Proposed{Err: raftnode.ErrUnknownOutcome}
	}
	return answer.(*actors.Proposed)
}

func (s *session) propose(command []byte) *actors.Proposed {
	return s.change(&actors.Propose{ID: s.expect(), ReplyTo: s.pid, Command: command})
}

func (s *session) join(m store.Member) *actors.Proposed {
	return s.change(&actors.Join{ID: s.expect(), ReplyTo: s.pid, Member: m})
}

func (s *session) leave(member uint64) *actors.Proposed {
	return s.change(&actors.Leave{ID: s.expect(), ReplyTo: s.pid, Member: member})
}

func (s *session) read(path string, local bool) *actors.ReadReply {
	request := &actors.Read{ID: s.expect(), ReplyTo: s.pid, Path: path}
	var answer any
	var ok bool
	if local {
		answer, ok = s.askStore(s.server.machine.Store, request)
	} else {
		answer, ok = s.askRaft(request)
	}
	if !ok {
		return &actors.ReadReply{Err: errNoAnswer}
	}
	return answer.(*actors.ReadReply)
}

// sync waits until local state has every write that was acknowledged before.
func (s *session) sync() error { return s.syncUntil(s.verdict()) }

func (s *session) syncUntil(deadline time.Time) error {
	answer, ok := s.ask(s.server.machine.Raft, &actors.Sync{ID: s.expect(), ReplyTo: s.pid}, deadline)
	if !ok {
		return errNoAnswer
	}
	return answer.(*actors.Synced).Err
}

func (s *session) freeze() (*store.Snapshot, error) {
	answer, ok := s.askStore(s.server.machine.Store, &actors.Freeze{ID: s.expect(), ReplyTo: s.pid})
	if !ok {
		return nil, errNoAnswer
	}
	return answer.(*actors.Frozen).State, nil
}

func (s *session) status() (*actors.StatusReply, error) {
	answer, ok := s.askStore(s.server.machine.Raft, &actors.Status{ID: s.expect(), ReplyTo: s.pid})
	if !ok {
		return nil, errNoAnswer
	}
	status := answer.(*actors.StatusReply)
	return status, status.Err
}

// leader asks who leads, as far as this machine knows; 0: nobody.
func (s *session) leader() (uint64, error) {
	answer, ok := s.askStore(s.server.machine.Raft, &actors.AskLeader{ID: s.expect(), ReplyTo: s.pid})
	if !ok {
		return 0, errNoAnswer
	}
	return answer.(*actors.LeaderReply).Leader, nil
}
