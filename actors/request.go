package actors

import (
	"github.com/asynkron/protoactor-go/actor"

	"etcd/store"
	"etcd/watch"
)

// A Request is answered exactly once. Freeze and AskLeader are none: they wait for nothing
// and cannot fail.
type Request interface {
	// Asker returns the actor to be answered, nil for none, and the ID that the answer
	// repeats.
	Asker() (replyTo *actor.PID, id uint64)
	// Failed returns the answer that says why the request was not, or may not have been,
	// served.
	Failed(err error) Answer
}

// An Answer repeats the ID of the request that it belongs to.
type Answer interface{ Answers() uint64 }

// reply sends the answer to a request.
func reply(ctx actor.Context, to Request, answer Answer) {
	if replyTo, _ := to.Asker(); replyTo != nil {
		ctx.Send(replyTo, answer)
	}
}

// replyApplied answers a request that was proposed, if there is one: an entry may come from
// another machine, or from before the start.
func replyApplied(ctx actor.Context, token any, result store.Result, times Times) {
	if request, ok := token.(Request); ok {
		_, id := request.Asker()
		reply(ctx, request, &Proposed{ID: id, Result: result, Times: times})
	}
}

// replyFailed answers a request that the core could not serve.
func replyFailed(ctx actor.Context, token any, err error) {
	if request, ok := token.(Request); ok {
		reply(ctx, request, request.Failed(err))
	}
}

// Asker implements [Request].
func (m *Propose) Asker() (*actor.PID, uint64) { return m.ReplyTo, m.ID }
func (m *Join) Asker() (*actor.PID, uint64)    { return m.ReplyTo, m.ID }
func (m *Leave) Asker() (*actor.PID, uint64)   { return m.ReplyTo, m.ID }
func (m *Read) Asker() (*actor.PID, uint64)    { return m.ReplyTo, m.ID }
func (m *Query) Asker() (*actor.PID, uint64)   { return m.ReplyTo, m.ID }
func (m *Sync) Asker() (*actor.PID, uint64)    { return m.ReplyTo, m.ID }
func (m *Status) Asker() (*actor.PID, uint64)  { return m.ReplyTo, m.ID }
func (m *Watch) Asker() (*actor.PID, uint64)   { return m.ReplyTo, m.Subscriber }
func (m *status) Asker() (*actor.PID, uint64)  { return m.request.Asker() }

// Failed implements [Request].
func (m *Propose) Failed(err error) Answer { return &Proposed{ID: m.ID, Err: err} }
func (m *Join) Failed(err error) Answer    { return &Proposed{ID: m.ID, Err: err} }
func (m *Leave) Failed(err error) Answer   { return &Proposed{ID: m.ID, Err: err} }
func (m *Read) Failed(err error) Answer    { return &ReadReply{ID: m.ID, Err: err} }
func (m *Query) Failed(err error) Answer   { return &Queried{ID: m.ID, Err: err} }
func (m *Sync) Failed(err error) Answer    { return &Synced{ID: m.ID, Err: err} }
func (m *Status) Failed(err error) Answer  { return &StatusReply{ID: m.ID, Err: err} }
func (m *status) Failed(err error) Answer  { return m.request.Failed(err) }

// Failed implements [Request].
func (m *Watch) Failed(err error) Answer { return m.failed(err) }

func (m *Watch) failed(err error) *WatchReply {
	return &WatchReply{ID: m.Subscriber, Deliveries: []watch.Delivery{{Watch: m.Watcher.ID, Err: err, Last: true}}}
}

// Answers implements [Answer].
func (m *Proposed) Answers() uint64    { return m.ID }
func (m *ReadReply) Answers() uint64   { return m.ID }
func (m *Queried) Answers() uint64     { return m.ID }
func (m *Synced) Answers() uint64      { return m.ID }
func (m *Frozen) Answers() uint64      { return m.ID }
func (m *StatusReply) Answers() uint64 { return m.ID }
func (m *LeaderReply) Answers() uint64 { return m.ID }
func (m *WatchReply) Answers() uint64  { return m.ID }
