package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"etcd/actors"
	"etcd/internal/history"
	"etcd/raftnode"
	"etcd/store"
	"etcd/store/storepb"
	"etcd/store/tree"
)

// clientPatience is how long a client waits for an answer. A machine that is alive and
// was not stalled has to answer earlier, if only with an error.
const clientPatience = 15 * time.Second

// The keys of the workload. Those under /k never have a TTL and are never deleted with
// their directory, so that each is a register of its own.
var (
	plainKeys = []string{"/k/a", "/k/b", "/k/c", "/k/d", "/k/e", "/k/f"}
	ttlKeys   = []string{"/t/a", "/t/b", "/t/dir/c", "/t/dir/d"}
	dirs      = []string{"/k", "/t", "/t/dir", "/q"}
)

// client sends one request after another, each to a random machine.
type client struct {
	sim *Sim
	id  int
	rnd *rand.Rand
	// pending is set while a request is in flight.
	pending bool
	sent    int
}

// request is one in flight.
type request struct {
	client  *client
	life    *life
	command []byte // nil for a read
	path    string
	local   bool
	called  time.Duration
	floor   uint64 // the highest index that any client had seen
	op      *history.Operation
}

func (c *client) again() {
	c.pending = false
	if c.sim.quiet {
		return
	}
	pause := c.sim.shape.think/4 + time.Duration(c.rnd.Int64N(int64(c.sim.shape.think)))
	c.sim.after(pause, c.next)
}

func (c *client) next() {
	dice := c.rnd.IntN(100)
	local := dice >= 30 && dice < 36
	l := c.sim.anyReady(c.rnd)
	if local || l == nil { // any machine will do, ready or not
		local, l = true, c.sim.anyLife(c.rnd, (*life).answers)
	}
	if l == nil || c.sim.quiet {
		c.again()
		return
	}
	c.pending = true
	c.sent++
	r := &request{client: c, life: l, local: local, called: c.sim.now, floor: c.sim.oracle.told}
	if local && !l.ready() {
		c.sim.count("local read of a machine that is not ready")
	}
	switch {
	case c.usesKeyspace(r):
		c.keyspace(r)
	case local:
		c.read(r, c.anyPath())
	case dice < 25:
		c.read(r, plainKeys[c.rnd.IntN(len(plainKeys))])
	case dice < 30:
		c.read(r, c.anyPath())
	case dice < 70:
		c.write(r, c.plain(r))
	default:
		c.write(r, c.other(r))
	}
}

func (c *client) anyPath() string {
	all := c.sim.oracle.paths
	return all[c.rnd.IntN(len(all))]
}

func (c *client) value() string { return fmt.Sprintf("%d.%d", c.id, c.sent) }

// plain returns a write to a register.
func (c *client) plain(r *request) *storepb.Command {
	key := plainKeys[c.rnd.IntN(len(plainKeys))]
	r.op = &history.Operation{Client: c.id, Action: history.Set, Key: key, Value: c.value()}
	set := &storepb.Set{Path: key, Value: []byte(r.op.Value)}
	switch c.rnd.IntN(10) {
	case 0, 1:
		r.op.Action, r.op.Value = history.Delete, ""
		return &storepb.Command{Kind: &storepb.Command_Delete{Delete: &storepb.Delete{Path: key}}}
	case 2, 3, 4, 5:
		r.op.Action, r.op.Prev = history.TestAndSet, c.sim.oracle.valueOf(key)
		if r.op.Prev == "" {
			set.Condition = &storepb.Condition{Exist: new(false)}
		} else {
			set.Condition = &storepb.Condition{Value: []byte(r.op.Prev)}
		}
	}
	return &storepb.Command{Kind: &storepb.Command_Set{Set: set}}
}

// other returns a write to anything else: keys that expire, directories, queues, users and roles.
func (c *client) other(r *request) *storepb.Command {
	key := ttlKeys[c.rnd.IntN(len(ttlKeys))]
	ttl := int64(time.Duration(1+c.rnd.IntN(8000)) * time.Millisecond)
	switch c.rnd.IntN(12) {
	default:
		return &storepb.Command{Kind: &storepb.Command_Set{Set: &storepb.Set{Path: key, Value: []byte(c.value()), TtlNs: &ttl}}}
	case 5:
		if c.changesUsers(r) {
			return c.userChange()
		}
		if c.setsQuota(r) {
			return c.quota()
		}
		return &storepb.Command{Kind: &storepb.Command_Set{Set: &storepb.Set{Path: key, Value: []byte(c.value())}}}
	case 6:
		return &storepb.Command{Kind: &storepb.Command_Set{Set: &storepb.Set{
			Path: key, TtlNs: &ttl, Refresh: true, Condition: &storepb.Condition{Exist: new(true)},
		}}}
	case 7:
		return &storepb.Command{Kind: &storepb.Command_Set{Set: &storepb.Set{
			Path: "/t/dir", Dir: true, TtlNs: &ttl, Condition: &storepb.Condition{Exist: new(c.rnd.IntN(2) == 0)},
		}}}
	case 8, 9:
		return &storepb.Command{Kind: &storepb.Command_Create{Create: &storepb.Create{Path: "/q", Value: []byte(c.value()), TtlNs: &ttl}}}
	case 10:
		return &storepb.Command{Kind: &storepb.Command_Delete{Delete: &storepb.Delete{Path: dirs[1+c.rnd.IntN(3)], Recursive: true}}}
	case 11:
		return &storepb.Command{Kind: &storepb.Command_Delete{Delete: &storepb.Delete{
			Path: key, Condition: &storepb.Condition{Index: max(1, c.sim.oracle.told-uint64(c.rnd.IntN(10)))},
		}}}
	}
}

func (c *client) write(r *request, command *storepb.Command) {
	r.command = r.life.checked(store.Encode(command))
	c.sim.oracle.issue(r.command)
	r.life.session.propose(r.command, clientPatience, func(reply *actors.Proposed) {
		c.wrote(r, reply)
		c.again()
	})
}

func (c *client) wrote(r *request, reply *actors.Proposed) {
	switch {
	case reply == nil:
		r.unanswered()
		c.sim.count("write unanswered")
	case reply.Err == nil:
		c.sim.count("write done")
		c.sim.oracle.acknowledged(r, reply.Result)
		r.conclude(reply.Result)
		return
	case errors.Is(reply.Err, raftnode.ErrUnknownOutcome):
		c.sim.count("write of unknown outcome")
	case errors.Is(reply.Err, raftnode.ErrNoLeader), errors.Is(reply.Err, raftnode.ErrOverloaded):
		c.sim.count("write refused")
		c.sim.oracle.refused(r)
		return
	default:
		c.sim.fail("%s answers a write with %v", r.life, reply.Err)
	}
	r.record(history.Unknown)
}

func (c *client) read(r *request, path string) {
	r.path = path
	of := r.life.machine.Raft
	if r.local {
		of = r.life.machine.Store
	} else {
		r.op = &history.Operation{Client: c.id, Action: history.Get, Key: path}
	}
	r.life.session.read(of, path, clientPatience, func(reply *actors.ReadReply) {
		switch {
		case reply == nil:
			r.unanswered()
		case reply.Err != nil:
			c.sim.count("read refused")
		default:
			c.sim.count("read done")
			c.sim.oracle.read(r, reply)
			r.saw(reply)
			if reply.View != nil {
				c.list(r, reply, nil)
			}
		}
		c.again()
	})
}

// unanswered judges a request without an answer: its machine must have been down, paused
// or stalled.
func (r *request) unanswered() {
	if r.local && r.life.known == 0 && !r.life.ready() {
		return // it has joined, and has received nothing from its cluster yet
	}
	if l := r.life; !l.dead && !l.paused && l.stalled < r.called {
		r.client.sim.fail("%s has not answered a request for %v, and was not stalled", r.life, r.client.sim.now-r.called)
	}
}

// conclude records the outcome of a write to a register.
func (r *request) conclude(result store.Result) {
	if r.op == nil || r.client.isOutdated(result) {
		return
	}
	r.op.Index = result.Index
	switch {
	case result.Failure == nil:
		if prev := result.Event.Prev; prev != nil {
			r.op.Found = prev.Value
		}
		r.record(history.Done)
	case result.Failure.Code == tree.NoSpace: // it has changed nothing, and says nothing of what is there
	case result.Failure.Code == tree.KeyNotFound:
		r.record(history.Missing)
	default:
		r.op.Found = result.Failure.Node.Value
		r.record(history.Mismatch)
	}
}

// list reads a large directory page by page from the view of the answer, while others write.
func (c *client) list(r *request, reply *actors.ReadReply, children []*tree.Node) {
	after := ""
	if len(children) > 0 {
		after = children[len(children)-1].Path
	}
	page := reply.View.Children(r.path, after, 1+c.rnd.IntN(3))
	if len(page) == 0 {
		c.sim.count("directory listed from a view")
		c.sim.oracle.listed(r, reply, children)
		return
	}
	c.sim.after(time.Duration(c.rnd.Int64N(int64(time.Second))), func() { c.list(r, reply, append(children, page...)) })
}

// saw records what a read of a register returned.
func (r *request) saw(reply *actors.ReadReply) {
	if r.op == nil {
		return
	}
	r.op.Index = reply.Index
	if reply.Failure != nil {
		r.record(history.Missing)
		return
	}
	r.op.Found = reply.Node.Value
	r.record(history.Done)
}

func (r *request) record(outcome history.Outcome) {
	if r.op == nil || !slices.Contains(plainKeys, r.op.Key) {
		return
	}
	r.op.Call, r.op.Return, r.op.Outcome = r.called, r.client.sim.now, outcome
	r.client.sim.operations = append(r.client.sim.operations, *r.op)
}
