package httpfront

import (
	"errors"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/actors"
	"etcd/raftnode"
	"etcd/store"
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

// ask sends a request that was begun with expect, and waits for its answer until the deadline.
func ask[A actors.Answer](x *Exchange, to *actor.PID, message any, deadline time.Time) (answer A, err error) {
	a := x.session.ask(to, message, deadline)
	if a == nil {
		return answer, ErrNoAnswer
	}
	return a.(A), nil
}

// change requests a change. If no answer comes, the change may take effect all the same.
func (x *Exchange) change(message any) *actors.Proposed {
	reply, err := ask[*actors.Proposed](x, x.server.machine.Raft, message, x.raftDeadline())
	if err != nil {
		return &actors.Proposed{Err: raftnode.ErrUnknownOutcome}
	}
	return reply
}

// Propose proposes a command, encoded by [store.Encode], and waits until it is applied.
func (x *Exchange) Propose(command []byte) *actors.Proposed {
	return x.change(&actors.Propose{ID: x.session.expect(), ReplyTo: x.session.pid, Command: command})
}

// Join adds a member, or updates its name, URLs and commands.
func (x *Exchange) Join(m store.Member, commands version.Range) *actors.Proposed {
	return x.change(&actors.Join{ID: x.session.expect(), ReplyTo: x.session.pid, Member: m, Commands: commands})
}

// Leave removes a member.
func (x *Exchange) Leave(member uint64) *actors.Proposed {
	return x.change(&actors.Leave{ID: x.session.expect(), ReplyTo: x.session.pid, Member: member})
}

// Read reads a key, from local state or linearizably.
func (x *Exchange) Read(path string, local bool) *actors.ReadReply {
	of, deadline := x.server.machine.Raft, x.raftDeadline()
	if local {
		of, deadline = x.server.machine.Store, x.Deadline
	}
	reply, err := ask[*actors.ReadReply](x, of, &actors.Read{ID: x.session.expect(), ReplyTo: x.session.pid, Path: path}, deadline)
	if err != nil {
		return &actors.ReadReply{Err: err}
	}
	return reply
}

// Sync waits until local state has every write that was acknowledged before the call.
func (x *Exchange) Sync() error { return x.SyncUntil(x.raftDeadline()) }

// SyncUntil is Sync with a deadline, which may come before the timeout of the raft core.
func (x *Exchange) SyncUntil(deadline time.Time) error {
	reply, err := ask[*actors.Synced](x, x.server.machine.Raft, &actors.Sync{ID: x.session.expect(), ReplyTo: x.session.pid}, deadline)
	if err != nil {
		return err
	}
	return reply.Err
}

// Freeze returns a view of the state as it is on this machine.
func (x *Exchange) Freeze() (*store.View, error) {
	reply, err := ask[*actors.Frozen](x, x.server.machine.Store, &actors.Freeze{ID: x.session.expect(), ReplyTo: x.session.pid}, x.Deadline)
	if err != nil {
		return nil, err
	}
	return reply.State, nil
}

// Status returns a summary of this machine, from local knowledge.
func (x *Exchange) Status() (*actors.StatusReply, error) {
	reply, err := ask[*actors.StatusReply](x, x.server.machine.Raft, &actors.Status{ID: x.session.expect(), ReplyTo: x.session.pid}, x.Deadline)
	if err != nil {
		return nil, err
	}
	return reply, reply.Err
}

// Leader returns the ID of the leader, as far as this machine knows; 0 if it knows of none.
func (x *Exchange) Leader() (uint64, error) {
	reply, err := ask[*actors.LeaderReply](x, x.server.machine.Raft, &actors.AskLeader{ID: x.session.expect(), ReplyTo: x.session.pid}, x.Deadline)
	if err != nil {
		return 0, err
	}
	return reply.Leader, nil
}
