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

// What a handler may ask the machine for.

// ErrNoAnswer says that nothing came within the request timeout. The answer is dropped when
// it comes.
var ErrNoAnswer = errors.New("this machine has not answered within the request timeout: it is busy reading, or receiving, its state")

// verdict is until when to wait for an answer that the raft core watches over. It counts the
// request timeout in ticks, which come a little late, and its verdict says whether anything
// was done. What it has handed to the store it no longer watches.
func (x *Exchange) verdict() time.Time {
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

// change asks for something to be done. Without an answer it may be done all the same.
func (x *Exchange) change(message any) *actors.Proposed {
	reply, err := ask[*actors.Proposed](x, x.server.machine.Raft, message, x.verdict())
	if err != nil {
		return &actors.Proposed{Err: raftnode.ErrUnknownOutcome}
	}
	return reply
}

// Propose has a command, of [store.Encode], committed and applied.
func (x *Exchange) Propose(command []byte) *actors.Proposed {
	return x.change(&actors.Propose{ID: x.session.expect(), ReplyTo: x.session.pid, Command: command})
}

// Join has a member added, or what it says of itself changed.
func (x *Exchange) Join(m store.Member, commands version.Range) *actors.Proposed {
	return x.change(&actors.Join{ID: x.session.expect(), ReplyTo: x.session.pid, Member: m, Commands: commands})
}

// Leave has a member removed.
func (x *Exchange) Leave(member uint64) *actors.Proposed {
	return x.change(&actors.Leave{ID: x.session.expect(), ReplyTo: x.session.pid, Member: member})
}

// Read reads a key, from local state or linearizably.
func (x *Exchange) Read(path string, local bool) *actors.ReadReply {
	of, deadline := x.server.machine.Raft, x.verdict()
	if local {
		of, deadline = x.server.machine.Store, x.Deadline
	}
	reply, err := ask[*actors.ReadReply](x, of, &actors.Read{ID: x.session.expect(), ReplyTo: x.session.pid, Path: path}, deadline)
	if err != nil {
		return &actors.ReadReply{Err: err}
	}
	return reply
}

// Sync waits until local state has every write that was acknowledged before.
func (x *Exchange) Sync() error { return x.SyncUntil(x.verdict()) }

// SyncUntil is Sync for those who do not wait for the verdict of the core.
func (x *Exchange) SyncUntil(deadline time.Time) error {
	reply, err := ask[*actors.Synced](x, x.server.machine.Raft, &actors.Sync{ID: x.session.expect(), ReplyTo: x.session.pid}, deadline)
	if err != nil {
		return err
	}
	return reply.Err
}

// Freeze returns the state as it is on this machine.
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

// Leader returns who leads, as far as this machine knows; 0: nobody.
func (x *Exchange) Leader() (uint64, error) {
	reply, err := ask[*actors.LeaderReply](x, x.server.machine.Raft, &actors.AskLeader{ID: x.session.expect(), ReplyTo: x.session.pid}, x.Deadline)
	if err != nil {
		return 0, err
	}
	return reply.Leader, nil
}
