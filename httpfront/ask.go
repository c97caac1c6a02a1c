package httpfront

import (
	"errors"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/actors"
	"etcd/raftnode"
	"etcd/store"
	"etcd/store/tree"
	"etcd/version"
)

// The requests that a handler can make to the machine.

// ErrNoAnswer means that no answer came within the request timeout. One that comes later is
// dropped.
var ErrNoAnswer = errors.New("this machine has not answered within the request timeout: it is busy reading, or receiving, its state")

// raftDeadline is the deadline for an answer on which the raft core has a timeout of its own. The
// core counts that in ticks, which come a little late, and its error says whether anything was
// done: so wait a little longer than the request timeout. Once it has handed a request to the
// store it no longer times it out.
func (x *Exchange) raftDeadline() time.Time {
	return x.Deadline.Add(max(time.Second, x.server.cfg.RequestTimeout/10))
}

// The handler goes on with one of these when what it has asked for has come.
type (
	proposed func(x *Exchange, reply *actors.Proposed) Answer
	read     func(x *Exchange, reply *actors.ReadReply) Answer
	synced   func(x *Exchange, err error) Answer
	// recovered comes when local state has what the disk says is committed.
	recovered func(x *Exchange, err error) Answer
)

// ask sends a request that was begun with expect. The handler goes on with then, which is one
// of the above, when the answer has come. Only a direct request does not wait for that.
func (x *Exchange) ask(to *actor.PID, message actors.Request, deadline time.Time, then any) Answer {
	if !x.enter(to) {
		return x.goOn(then, message.Failed(ErrInFlight))
	}
	if x.direct == nil {
		return x.goOn(then, x.session.ask(to, message, deadline))
	}
	x.direct.then = then
	x.session.send(to, message, deadline)
	return nil
}

// have goes on with what is there already.
func (x *Exchange) have(came actors.Answer, then any) Answer {
	if x.direct == nil || isLight(came) {
		return x.goOn(then, came)
	}
	x.direct.then = then
	x.direct.conn.deliver(came)
	return nil
}

// goOn calls then with what has come; nil: nothing came before the deadline.
func (x *Exchange) goOn(then any, came actors.Answer) Answer {
	x.mayWait = false
	switch then := then.(type) {
	case afterCheck:
		x.mayWait = true
		return then(x)
	case proposed:
		if came == nil { // it may take effect all the same
			return then(x, &actors.Proposed{Err: raftnode.ErrUnknownOutcome})
		}
		reply := came.(*actors.Proposed)
		x.times = reply.Times
		if f := reply.Result.Failure; f != nil && f.Code == tree.Unauthorized {
			return x.proposeAgain(then)
		}
		return then(x, reply)
	case read:
		if came == nil {
			return then(x, &actors.ReadReply{Err: ErrNoAnswer})
		}
		reply := came.(*actors.ReadReply)
		x.times = actors.Times{Answered: reply.Answered}
		return x.haveRead(then, reply)
	case recovered:
		if came == nil {
			return then(x, ErrNoAnswer)
		}
		return then(x, came.(*actors.StatusReply).Err)
	default:
		if came == nil {
			return then.(synced)(x, ErrNoAnswer)
		}
		return then.(synced)(x, came.(*actors.Synced).Err)
	}
}

// wait sends a request that was begun with expect, and waits for its answer until the deadline.
func wait[A actors.Answer](x *Exchange, to *actor.PID, message any, deadline time.Time) (answer A, err error) {
	if !x.enter(to) {
		return answer, ErrInFlight
	}
	a := x.session.ask(to, message, deadline)
	if a == nil {
		return answer, ErrNoAnswer
	}
	return a.(A), nil
}

// change requests a change. If no answer comes, the change may take effect all the same.
func (x *Exchange) change(message any) *actors.Proposed {
	reply, err := wait[*actors.Proposed](x, x.server.machine.Raft, message, x.raftDeadline())
	switch {
	case errors.Is(err, ErrNoAnswer):
		return &actors.Proposed{Err: raftnode.ErrUnknownOutcome}
	case err != nil:
		return &actors.Proposed{Err: err}
	}
	return reply
}

// Propose proposes a command, encoded by [store.Encode]. then makes the answer when it is
// applied, or has failed. The handler returns what Propose returns.
func (x *Exchange) Propose(command []byte, then func(x *Exchange, reply *actors.Proposed) Answer) Answer {
	if err := x.checkCommand(command); err != nil {
		return x.orWait(err, func(x *Exchange) Answer { return x.Propose(command, then) })
	}
	if len(command) > MaxWhole && !x.server.answers.hasRoom(len(command)) { // it is too late when it is done
		return x.fail(errAnswerMemory)
	}
	x.command = command
	message := &actors.Propose{ID: x.session.expect(), ReplyTo: x.session.pid, Command: x.checked(command)}
	return x.ask(x.server.machine.Raft, message, x.raftDeadline(), proposed(then))
}

// proposeAgain checks a command once more and proposes it again: users and roles were others when it was
// to be applied.
func (x *Exchange) proposeAgain(then proposed) Answer {
	if x.checks++; x.checks == maxChecks {
		return then(x, &actors.Proposed{Err: errUnsettled})
	}
	return x.Propose(x.command, then)
}

// Join adds a member, or updates its name, URLs and commands.
func (x *Exchange) Join(m store.Member, commands version.Range) *actors.Proposed {
	return x.change(&actors.Join{ID: x.session.expect(), ReplyTo: x.session.pid, Member: m, Commands: commands})
}

// Leave removes a member.
func (x *Exchange) Leave(member uint64) *actors.Proposed {
	return x.change(&actors.Leave{ID: x.session.expect(), ReplyTo: x.session.pid, Member: member})
}

// Read reads a key, from local state or linearizably. then makes the answer of what is there.
// The handler returns what Read returns.
func (x *Exchange) Read(path string, local bool, then func(x *Exchange, reply *actors.ReadReply) Answer) Answer {
	return x.read(&actors.Read{Path: path}, local, then)
}

// ReadDeep is Read with everything below a directory, at whatever depth.
func (x *Exchange) ReadDeep(path string, local bool, then func(x *Exchange, reply *actors.ReadReply) Answer) Answer {
	return x.read(&actors.Read{Path: path, Deep: true}, local, then)
}

func (x *Exchange) read(message *actors.Read, local bool, then func(x *Exchange, reply *actors.ReadReply) Answer) Answer {
	x.needed = need{key: message.Path, deep: message.Deep, read: true}
	if err := x.check(x.needed); err != nil {
		return x.orWait(err, func(x *Exchange) Answer { return x.read(message, local, then) })
	}
	of, deadline := x.server.machine.Raft, x.raftDeadline()
	if local {
		if reply, ok := x.server.machine.ReadLocal(message); ok {
			return x.have(reply, read(then))
		}
		of, deadline = x.server.machine.Store, x.Deadline
	}
	message.ID, message.ReplyTo = x.session.expect(), x.session.pid
	return x.ask(of, message, deadline, read(then))
}

// haveRead goes on with what was read, unless users and roles have changed meanwhile and the client may not
// read it any more.
func (x *Exchange) haveRead(then read, reply *actors.ReadReply) Answer {
	if x.changed() {
		if err := x.check(x.needed); err != nil {
			return x.orWait(err, func(x *Exchange) Answer { return x.haveRead(then, reply) })
		}
	}
	return then(x, reply)
}

// AfterSync goes on with then when local state has every write that was acknowledged before the
// call, or with an error. The handler returns what AfterSync returns.
func (x *Exchange) AfterSync(then func(x *Exchange, err error) Answer) Answer {
	message := &actors.Sync{ID: x.session.expect(), ReplyTo: x.session.pid}
	return x.ask(x.server.machine.Raft, message, x.raftDeadline(), synced(then))
}

// mustRecover reports whether a machine that has just started may not have applied yet who may do what, as
// far as its disk knows. Reads wait for that in the store actor.
func (x *Exchange) mustRecover() bool { return !x.recovered && !x.server.machine.IsReady() }

// afterRecovery goes on with then when that is applied.
func (x *Exchange) afterRecovery(then func(x *Exchange) Answer) Answer {
	x.recovered = true
	message := &actors.Status{ID: x.session.expect(), ReplyTo: x.session.pid}
	return x.ask(x.server.machine.Raft, message, x.Deadline, recovered(func(x *Exchange, err error) Answer {
		if err != nil {
			return x.fail(err)
		}
		return then(x)
	}))
}

// Sync waits until local state has every write that was acknowledged before the call.
func (x *Exchange) Sync() error { return x.SyncUntil(x.raftDeadline()) }

// SyncUntil is Sync with a deadline, which may come before the timeout of the raft core.
func (x *Exchange) SyncUntil(deadline time.Time) error {
	reply, err := wait[*actors.Synced](x, x.server.machine.Raft, &actors.Sync{ID: x.session.expect(), ReplyTo: x.session.pid}, deadline)
	if err != nil {
		return err
	}
	return reply.Err
}

// Freeze returns a view of the state as it is on this machine.
func (x *Exchange) Freeze() (*store.View, error) {
	reply, err := wait[*actors.Frozen](x, x.server.machine.Store, &actors.Freeze{ID: x.session.expect(), ReplyTo: x.session.pid}, x.Deadline)
	if err != nil {
		return nil, err
	}
	return reply.State, nil
}

// Status returns a summary of this machine, from local knowledge.
func (x *Exchange) Status() (*actors.StatusReply, error) {
	reply, err := wait[*actors.StatusReply](x, x.server.machine.Raft, &actors.Status{ID: x.session.expect(), ReplyTo: x.session.pid}, x.Deadline)
	if err != nil {
		return nil, err
	}
	return reply, reply.Err
}

// Leader returns the ID of the leader, as far as this machine knows; 0 if it knows of none.
func (x *Exchange) Leader() (uint64, error) {
	reply, err := wait[*actors.LeaderReply](x, x.server.machine.Raft, &actors.AskLeader{ID: x.session.expect(), ReplyTo: x.session.pid}, x.Deadline)
	if err != nil {
		return 0, err
	}
	return reply.Leader, nil
}
