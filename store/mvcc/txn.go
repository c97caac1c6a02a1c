package mvcc

import (
	"bytes"
	"cmp"

	"etcd/store/storepb"
)

// Txn carries out a transaction: all of the operations of one of its lists, or nothing. room is how many bytes
// may be added; the dearer list counts, whichever is carried out. What its ranges find is left out of the outcome if
// nobody asks for it.
func (k *Keyspace) Txn(m *storepb.Txn, room uint64, asked bool) Outcome {
	if k.isTooLarge(m) {
		return k.refused(ErrTooLarge)
	}
	if !hasRoom(k.costOfTxn(m), room) {
		return k.refused(ErrNoSpace)
	}
	p := k.plan(m)
	if err := k.check(p); err != nil {
		return k.refused(err)
	}
	k.begin()
	return k.done(Step{Txn: k.run(p, asked)})
}

// ReadTxn is what Txn answers to a transaction that only reads.
func (s *state) ReadTxn(m *storepb.Txn) Outcome {
	if s.isTooLarge(m) {
		return s.refused(ErrTooLarge)
	}
	p := s.plan(m)
	if err := s.check(p); err != nil {
		return s.refused(err)
	}
	return Outcome{Revision: s.revision, Step: Step{Txn: s.read(p)}}
}

// ReadOnly reports whether a transaction changes nothing, whatever its comparisons say.
func ReadOnly(m *storepb.Txn) bool {
	for _, list := range [][]*storepb.Op{m.GetSuccess(), m.GetFailure()} {
		for _, op := range list {
			switch kind := op.GetKind().(type) {
			case *storepb.Op_Put, *storepb.Op_DeleteRange:
				return false
			case *storepb.Op_Txn:
				if !ReadOnly(kind.Txn) {
					return false
				}
			}
		}
	}
	return true
}

// TxnWeight returns how many keys a transaction that only reads may have to look at, see [state.Weight].
func (s *state) TxnWeight(m *storepb.Txn) (n int) {
	for _, c := range m.GetCompare() {
		n += s.Weight(&storepb.Range{Key: c.GetKey(), RangeEnd: c.GetRangeEnd()})
	}
	for _, list := range [][]*storepb.Op{m.GetSuccess(), m.GetFailure()} {
		for _, op := range list {
			switch kind := op.GetKind().(type) {
			case *storepb.Op_Range:
				n += s.Weight(kind.Range)
			case *storepb.Op_Txn:
				n += s.TxnWeight(kind.Txn)
			}
		}
	}
	return n
}

// maxTxnKeys is how many keys the ranges and comparisons of a transaction may look at, besides the largest of them.
// No machine could do without that much work as long as it has the entry.
const maxTxnKeys = 1 << 20

// isTooLarge reports whether a transaction looks at too many keys, whichever of its lists are carried out. All
// machines say the same, so it does not depend on what is free already.
func (s *state) isTooLarge(m *storepb.Txn) bool {
	total, largest := 0, 0
	add := func(n int) { total, largest = total+n, max(largest, n) }
	var visit func(m *storepb.Txn)
	visit = func(m *storepb.Txn) {
		for _, c := range m.GetCompare() {
			add(s.live(c.GetKey(), c.GetRangeEnd()))
		}
		for _, list := range [][]*storepb.Op{m.GetSuccess(), m.GetFailure()} {
			for _, op := range list {
				switch kind := op.GetKind().(type) {
				case *storepb.Op_Range:
					switch q := kind.Range; {
					case len(q.GetRangeEnd()) > 0 && q.GetRevision() > 0:
						add(int(s.size / Overhead)) // no more versions are there
					case !s.isPlain(q) || !q.GetCountOnly():
						add(s.live(q.GetKey(), q.GetRangeEnd()))
					}
				case *storepb.Op_Txn:
					visit(kind.Txn)
				}
			}
		}
	}
	visit(m)
	return total-largest > maxTxnKeys
}

// live returns how many keys are in a range.
func (s *state) live(key, end []byte) int {
	if len(end) == 0 {
		return 1
	}
	return s.countIn(newSpan(key, end)).live
}

// plan is which operations of a transaction are carried out.
type plan struct {
	succeeded bool
	ops       []*storepb.Op
	nested    map[*storepb.Txn]*plan // of the transactions among them; nil if there are none
}

// plan decides by the state before the outermost transaction.
func (s *state) plan(m *storepb.Txn) *plan {
	p := &plan{succeeded: true, ops: m.GetSuccess()}
	for _, c := range m.GetCompare() {
		if !s.holds(c) {
			p.succeeded, p.ops = false, m.GetFailure()
			break
		}
	}
	for _, op := range p.ops {
		if nested, ok := op.GetKind().(*storepb.Op_Txn); ok {
			if p.nested == nil {
				p.nested = make(map[*storepb.Txn]*plan)
			}
			p.nested[nested.Txn] = s.plan(nested.Txn)
		}
	}
	return p
}

// holds reports whether a comparison holds.
func (s *state) holds(c *storepb.Compare) bool {
	keys, missing := newSpan(c.GetKey(), c.GetRangeEnd()), true
	if keys.single {
		return compareVersion(c, s.head(keys.from))
	}
	for v := range s.headsIn(keys, true) {
		if missing = false; !compareVersion(c, v) {
			return false
		}
	}
	return !missing || compareVersion(c, nil)
}

// compareVersion reports whether a comparison holds for a version, nil if there is none: then all numbers are 0,
// and nothing holds for the value.
func compareVersion(c *storepb.Compare, v *Version) bool {
	var order int
	switch {
	case c.GetTarget() == storepb.Target_TARGET_VALUE && v == nil:
		return false
	case c.GetTarget() == storepb.Target_TARGET_VALUE:
		order = bytes.Compare(v.Value(), c.GetValue())
	case v == nil:
		order = cmp.Compare(0, c.GetNumber())
	default:
		order = cmp.Compare(v.number(c.GetTarget()), c.GetNumber())
	}
	switch c.GetRelation() {
	case storepb.Relation_RELATION_EQUAL:
		return order == 0
	case storepb.Relation_RELATION_NOT_EQUAL:
		return order != 0
	case storepb.Relation_RELATION_GREATER:
		return order > 0
	default:
		return order < 0
	}
}

// check returns why an operation of a plan is not possible. It looks at all of them before any is carried out.
func (s *state) check(p *plan) error {
	for _, op := range p.ops {
		var err error
		switch kind := op.GetKind().(type) {
		case *storepb.Op_Range:
			if err = s.checkRange(kind.Range); kind.Range.GetRevision() < min(0, s.compacted) {
				err = ErrCompacted // in etcd, only a range of its own reads the newest then
			}
		case *storepb.Op_Put:
			err = s.checkPut(kind.Put)
		case *storepb.Op_Txn:
			err = s.check(p.nested[kind.Txn])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// run carries out a plan that was checked.
func (k *Keyspace) run(p *plan, asked bool) *TxnResult {
	r := &TxnResult{Succeeded: p.succeeded, Steps: make([]Step, len(p.ops))}
	for i, op := range p.ops {
		step := &r.Steps[i]
		switch kind := op.GetKind().(type) {
		case *storepb.Op_Range:
			if asked {
				step.Found = k.find(kind.Range)
			}
		case *storepb.Op_Put:
			step.Prev = k.put(kind.Put)
		case *storepb.Op_DeleteRange:
			step.Deleted = k.deleteRange(kind.DeleteRange)
		case *storepb.Op_Txn:
			step.Txn = k.run(p.nested[kind.Txn], asked)
		}
	}
	return r
}

// read is run for a plan that only reads.
func (s *state) read(p *plan) *TxnResult {
	r := &TxnResult{Succeeded: p.succeeded, Steps: make([]Step, len(p.ops))}
	for i, op := range p.ops {
		switch kind := op.GetKind().(type) {
		case *storepb.Op_Range:
			r.Steps[i].Found = s.find(kind.Range)
		case *storepb.Op_Txn:
			r.Steps[i].Txn = s.read(p.nested[kind.Txn])
		}
	}
	return r
}

// costOfTxn returns how many bytes a transaction may add.
func (s *state) costOfTxn(m *storepb.Txn) uint64 {
	return max(s.costOfOps(m.GetSuccess()), s.costOfOps(m.GetFailure()))
}

func (s *state) costOfOps(ops []*storepb.Op) (n uint64) {
	for _, op := range ops {
		switch kind := op.GetKind().(type) {
		case *storepb.Op_Put:
			n += s.costOfPut(kind.Put)
		case *storepb.Op_Txn:
			n += s.costOfTxn(kind.Txn)
		}
	}
	return n
}
