package grpcfront

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"etcd/actors"
)

// session is the actor of one call in flight. It hands the answers of the machine to the goroutine of the call,
// which waits for them.
//
// Its messages are handled on the goroutine of their sender, so Receive does nothing that could block.
type session struct {
	of  *sessions
	pid *actor.PID

	placed   bool               // it has a place, see places
	making   int64              // bytes of a large answer that it makes, see answerMemory
	last     uint64             // ID of the last request
	expected atomic.Uint64      // ID of the request in flight; 0: none
	answers  chan actors.Answer // has room for the answer to it; nil: none came in time
	timer    actors.WaitTimer
}

// Receive hands the answer to the request in flight over; any other is late, and dropped.
func (s *session) Receive(ctx actor.Context) {
	if answer, ok := ctx.Message().(actors.Answer); ok && s.expected.CompareAndSwap(answer.Answers(), 0) {
		s.answers <- answer
	}
}

// expect begins a request and returns its ID.
func (s *session) expect() uint64 {
	s.last++
	s.expected.Store(s.last)
	return s.last
}

// ask sends a request that was begun with expect, and waits for its answer: until the request timeout is over, or
// the deadline of the client. It does not look whether the client has gone, which costs more than the few requests
// that go on in vain; they are in flight until they are answered.
func (s *session) ask(ctx context.Context, to *actor.PID, request any) (actors.Answer, error) {
	deadline, late := time.Now().Add(s.of.patience), errNoAnswer
	if client, ok := ctx.Deadline(); ok && client.Before(deadline) {
		deadline, late = client, rpctypes.ErrGRPCDeadlineExceeded
	}
	s.timer.Begin(s.last, deadline)
	s.of.root.Send(to, request)
	answer := <-s.answers
	s.timer.End()
	if answer == nil {
		return nil, late
	}
	return answer, nil
}

// onTimeout ends a wait whose deadline has passed, unless the answer is about to be handed over.
func (s *session) onTimeout() {
	if id, over := s.timer.Fired(); over && s.expected.CompareAndSwap(id, 0) {
		s.answers <- nil
	}
}

// await is ask for what may take long: it waits until the call or the server ends.
func (s *session) await(ctx context.Context, to *actor.PID, request any) (actors.Answer, error) {
	s.of.root.Send(to, request)
	select {
	case answer := <-s.answers:
		return answer, nil
	case <-ctx.Done():
		return s.giveUp(errorOfEnd(ctx))
	case <-s.of.stopping:
		return s.giveUp(errStopped)
	}
}

// giveUp ends the wait for an answer, unless that is about to be handed over.
func (s *session) giveUp(err error) (actors.Answer, error) {
	if s.expected.Swap(0) == 0 {
		return <-s.answers, nil
	}
	return nil, err
}

// maxIdle is how many sessions are kept for calls to come.
const maxIdle = 1024

// sessions are those of a server. There are as many as calls in flight, and some to be used again.
type sessions struct {
	root     *actor.RootContext
	mailbox  actor.MailboxProducer
	guardian actor.SupervisorStrategy
	// patience is how long an answer is waited for: a little longer than the raft core tries, whose error says
	// whether anything was done.
	patience time.Duration
	limit    int64 // calls in flight; 0: no limit
	inFlight atomic.Int64
	places   *places
	answers  *answerMemory
	stopping <-chan struct{}
	refused  atomic.Uint64

	mu   sync.Mutex
	idle []*session
}

func (s *Server) newSessions(machine *actors.Machine) *sessions {
	cfg := &s.cfg
	return &sessions{
		places: s.places, answers: s.answers, stopping: s.stopping.Done(),
		root: machine.System.Root, mailbox: machine.UntimedKind("call").Inline(), guardian: actors.StopOnPanic(cfg.Log),
		patience: cfg.RequestTimeout + max(time.Second, cfg.RequestTimeout/10), limit: int64(cfg.MaxInFlight),
	}
}

// begin returns a session for a call, which ends with end.
func (of *sessions) begin() (*session, error) {
	if of.inFlight.Add(1) > of.limit && of.limit > 0 {
		of.inFlight.Add(-1)
		of.refused.Add(1)
		return nil, rpctypes.ErrGRPCRequestTooManyRequests
	}
	if s := of.takeIdle(); s != nil {
		return s, nil
	}
	s := &session{of: of, answers: make(chan actors.Answer, 1)}
	s.timer.OnFire = s.onTimeout
	s.pid = of.root.Spawn(actor.PropsFromProducer(
		func() actor.Actor { return s },
		actor.WithMailbox(of.mailbox),
		actor.WithGuardian(of.guardian),
	))
	return s, nil
}

func (of *sessions) takeIdle() *session {
	of.mu.Lock()
	defer of.mu.Unlock()
	last := len(of.idle) - 1
	if last < 0 {
		return nil
	}
	s := of.idle[last]
	of.idle = of.idle[:last]
	return s
}

// end ends a call.
func (s *session) end() {
	of := s.of
	if s.placed {
		s.placed = false
		of.places.leave()
	}
	of.answers.bytes.Add(-s.making)
	s.making = 0
	of.inFlight.Add(-1)
	of.mu.Lock()
	kept := len(of.idle) < maxIdle
	if kept {
		of.idle = append(of.idle, s)
	}
	of.mu.Unlock()
	if !kept {
		s.timer.Stop()
		of.root.Stop(s.pid)
	}
}
