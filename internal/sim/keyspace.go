package sim

import (
	"math/rand/v2"
	"time"

	"etcd/actors"
	"etcd/store"
	"etcd/store/mvcc"
	"etcd/store/storepb"
)

// Clients use the keyspace of the v3 API beside the keys of v2. It has few keys, so that transactions collide,
// and is compacted often.

var (
	kvKeys   = []string{"a", "a\x00", "aa", "b", "c", "d"}
	kvRanges = [][2]string{{"a", "b"}, {"a", "\x00"}, {"\x00", "\x00"}, {"b", "d"}, {"c", "a"}}
)

// usesKeyspace returns whether the next request of a client is about the keyspace, which every member has to
// know.
func (c *client) usesKeyspace(r *request) bool {
	m := r.life.machine
	return m != nil && m.Applied().Version >= store.VersionOfV3 && c.rnd.IntN(4) == 0
}

// keyspace sends a request about the keyspace.
func (c *client) keyspace(r *request) {
	d := dice{c.rnd, c.sim.oracle.keys.Revision, c.value()}
	if r.local || c.rnd.IntN(5) < 2 {
		c.query(r, d.query())
		return
	}
	c.write(r, d.change())
}

// dice draws what clients ask of a keyspace that has a revision.
type dice struct {
	*rand.Rand
	revision int64
	value    string
}

// key returns a key.
func (d dice) key() []byte { return []byte(kvKeys[d.IntN(len(kvKeys))]) }

// keys returns a range of keys, or a single one.
func (d dice) keys() (from, end []byte) {
	if d.IntN(2) == 0 {
		return d.key(), nil
	}
	keys := kvRanges[d.IntN(len(kvRanges))]
	return []byte(keys[0]), []byte(keys[1])
}

// recent returns a revision that may be compacted or still to come, or 0.
func (d dice) recent() int64 {
	if d.IntN(2) == 0 {
		return 0
	}
	return max(0, d.revision+1-int64(d.IntN(20)))
}

func (d dice) change() *storepb.Command {
	switch n := d.IntN(20); {
	case n < 7:
		return &storepb.Command{Kind: &storepb.Command_Put{Put: d.put()}}
	case n < 9:
		return &storepb.Command{Kind: &storepb.Command_DeleteRange{DeleteRange: d.deletion()}}
	case n < 11:
		return &storepb.Command{Kind: &storepb.Command_Compact{Compact: &storepb.Compact{Revision: d.revision + 1 - int64(d.IntN(12))}}}
	}
	return &storepb.Command{Kind: &storepb.Command_Txn{Txn: d.txn(true, 1)}}
}

func (d dice) put() *storepb.Put {
	p := &storepb.Put{Key: d.key(), Value: []byte(d.value), IgnoreLease: d.IntN(12) == 0}
	if d.IntN(12) == 0 {
		p.IgnoreValue, p.Value = true, nil
	}
	return p
}

func (d dice) deletion() *storepb.DeleteRange {
	from, end := d.keys()
	return &storepb.DeleteRange{Key: from, RangeEnd: end}
}

func (d dice) ranged() *storepb.Range {
	from, end := d.keys()
	return &storepb.Range{
		Key: from, RangeEnd: end, Revision: d.recent(), Limit: int64(d.IntN(4)), Descending: d.IntN(4) == 0,
		Order: storepb.Target(d.IntN(len(storepb.Target_name))), CountOnly: d.IntN(8) == 0,
	}
}

// txn returns a transaction, of reads alone if writes is false. About half of its comparisons hold.
func (d dice) txn(writes bool, depth int) *storepb.Txn {
	m := &storepb.Txn{}
	for range d.IntN(3) {
		from, end := d.keys()
		m.Compare = append(m.Compare, &storepb.Compare{
			Key: from, RangeEnd: end, Target: storepb.Target(1 + d.IntN(len(storepb.Target_name)-1)),
			Relation: storepb.Relation(d.IntN(len(storepb.Relation_name))), Value: []byte(d.value), Number: max(0, d.revision-int64(d.IntN(10))),
		})
	}
	for _, list := range []*[]*storepb.Op{&m.Success, &m.Failure} {
		for range d.IntN(4) {
			*list = append(*list, d.op(writes, depth))
		}
	}
	return m
}

func (d dice) op(writes bool, depth int) *storepb.Op {
	switch n := d.IntN(10); {
	case n < 4 && writes:
		return &storepb.Op{Kind: &storepb.Op_Put{Put: d.put()}}
	case n < 6 && writes:
		return &storepb.Op{Kind: &storepb.Op_DeleteRange{DeleteRange: d.deletion()}}
	case n < 7 && depth > 0:
		return &storepb.Op{Kind: &storepb.Op_Txn{Txn: d.txn(writes, depth-1)}}
	}
	return &storepb.Op{Kind: &storepb.Op_Range{Range: d.ranged()}}
}

func (d dice) query() actors.Query {
	if d.IntN(2) == 0 {
		return actors.Query{Txn: d.txn(false, 1)}
	}
	return actors.Query{Range: d.ranged()}
}

// query asks the raft actor, or the store actor for what is local.
func (c *client) query(r *request, q actors.Query) {
	of := r.life.machine.Raft
	if r.local {
		of = r.life.machine.Store
	}
	r.life.session.query(of, q, clientPatience, func(reply *actors.Queried) {
		switch {
		case reply == nil:
			r.unanswered()
		case reply.Err != nil:
			c.sim.count("query refused")
		case reply.View == nil:
			c.sim.count("query answered")
			c.sim.oracle.queried(r, &q, reply.Outcome)
		default:
			c.ask(r, &q, reply.View)
		}
		c.again()
	})
}

// ask asks the view of an answer, while others write.
func (c *client) ask(r *request, q *actors.Query, view *mvcc.View) {
	c.sim.after(time.Duration(c.rnd.Int64N(int64(time.Second))), func() {
		c.sim.count("query answered from a view")
		c.sim.oracle.queried(r, q, q.Run(view))
	})
}
