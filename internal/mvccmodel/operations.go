package mvccmodel

import (
	"cmp"
	"slices"
	"strings"

	"etcd/store/storepb"
)

func (m *Model) checkPut(p *storepb.Put) string {
	if p.GetLease() != 0 {
		return LeaseNotFound // no lease can be granted yet
	}
	if (p.GetIgnoreValue() || p.GetIgnoreLease()) && m.now(p.GetKey()) == nil {
		return KeyNotFound
	}
	return ""
}

func (m *Model) checkRange(q *storepb.Range) string {
	switch {
	case q.GetRevision() <= 0:
		return ""
	case q.GetRevision() > m.Revision:
		return Future
	case q.GetRevision() < m.Compacted:
		return Compacted
	}
	return ""
}

func (m *Model) put(p *storepb.Put) Step {
	v := Version{Key: string(p.GetKey()), Value: string(p.GetValue()), Lease: p.GetLease(), Count: 1}
	prev := m.now(p.GetKey())
	if prev != nil {
		v.Create, v.Count = prev.Create, prev.Count+1
		if p.GetIgnoreValue() {
			v.Value = prev.Value
		}
		if p.GetIgnoreLease() {
			v.Lease = prev.Lease
		}
	}
	m.write(v)
	return Step{Prev: prev}
}

func (m *Model) deleteRange(d *storepb.DeleteRange) Step {
	deleted := m.in(d.GetKey(), d.GetRangeEnd(), m.Revision+1)
	for _, v := range deleted {
		m.write(Version{Key: v.Key, Deleted: true})
	}
	return Step{Deleted: deleted}
}

// find carries out a range: it takes the keys at the revision, filters, sorts and cuts them.
func (m *Model) find(q *storepb.Range) Step {
	at := q.GetRevision()
	if at <= 0 {
		at = m.Revision + 1 // with what the transaction has done before
	}
	all := m.in(q.GetKey(), q.GetRangeEnd(), at)
	s := Step{Count: int64(len(all))}
	if q.GetCountOnly() {
		return s
	}
	for _, v := range all {
		switch {
		case q.GetMinMod() != 0 && v.Mod < q.GetMinMod():
		case q.GetMaxMod() != 0 && v.Mod > q.GetMaxMod():
		case q.GetMinCreate() != 0 && v.Create < q.GetMinCreate():
		case q.GetMaxCreate() != 0 && v.Create > q.GetMaxCreate():
		default:
			s.Found = append(s.Found, v)
		}
	}
	// What is the same stays in the order of the keys, whichever way it is sorted.
	slices.SortStableFunc(s.Found, func(a, b Version) int {
		c := compare(q.GetOrder(), &a, b.Value, number(q.GetOrder(), &b))
		if q.GetOrder() == storepb.Target_TARGET_KEY {
			c = strings.Compare(a.Key, b.Key)
		}
		if q.GetDescending() {
			return -c
		}
		return c
	})
	if limit := q.GetLimit(); limit > 0 && int64(len(s.Found)) > limit {
		s.Found, s.More = s.Found[:limit], true
	}
	return s
}

// run carries out a transaction. Its comparisons, and those of nested ones, are about the state before it.
func (m *Model) run(t *storepb.Txn, before *Model) Step {
	r := &Txn{Succeeded: before.holds(t)}
	for _, op := range before.path(t) {
		var s Step
		switch kind := op.GetKind().(type) {
		case *storepb.Op_Range:
			s = m.find(kind.Range)
		case *storepb.Op_Put:
			s = m.put(kind.Put)
		case *storepb.Op_DeleteRange:
			s = m.deleteRange(kind.DeleteRange)
		case *storepb.Op_Txn:
			s = m.run(kind.Txn, before)
		}
		r.Steps = append(r.Steps, s)
	}
	return Step{Txn: r}
}

// path returns the list of operations that is carried out.
func (m *Model) path(t *storepb.Txn) []*storepb.Op {
	if m.holds(t) {
		return t.GetSuccess()
	}
	return t.GetFailure()
}

// check returns why one of the operations that would be carried out is impossible.
func (m *Model) check(t *storepb.Txn) (why string) {
	for _, op := range m.path(t) {
		switch kind := op.GetKind().(type) {
		case *storepb.Op_Range:
			why = m.checkRange(kind.Range)
			if at := kind.Range.GetRevision(); at < 0 && at < m.Compacted { // a range of its own reads the newest then
				why = Compacted
			}
		case *storepb.Op_Put:
			why = m.checkPut(kind.Put)
		case *storepb.Op_Txn:
			why = m.check(kind.Txn)
		}
		if why != "" {
			return why
		}
	}
	return ""
}

// holds reports whether all comparisons hold.
func (m *Model) holds(t *storepb.Txn) bool {
	for _, c := range t.GetCompare() {
		keys := m.in(c.GetKey(), c.GetRangeEnd(), m.Revision)
		if len(keys) == 0 { // as one missing key
			if c.GetTarget() == storepb.Target_TARGET_VALUE || !related(c.GetRelation(), cmp.Compare(0, c.GetNumber())) {
				return false
			}
		}
		for _, v := range keys {
			if !related(c.GetRelation(), compare(c.GetTarget(), &v, string(c.GetValue()), c.GetNumber())) {
				return false
			}
		}
	}
	return true
}

func related(r storepb.Relation, order int) bool {
	return map[storepb.Relation]bool{
		storepb.Relation_RELATION_EQUAL:     order == 0,
		storepb.Relation_RELATION_NOT_EQUAL: order != 0,
		storepb.Relation_RELATION_GREATER:   order > 0,
		storepb.Relation_RELATION_LESS:      order < 0,
	}[r]
}

// compare compares a property of a version with a value or a number.
func compare(target storepb.Target, v *Version, value string, n int64) int {
	if target == storepb.Target_TARGET_VALUE {
		return strings.Compare(v.Value, value)
	}
	return cmp.Compare(number(target, v), n)
}

func number(target storepb.Target, v *Version) int64 {
	return map[storepb.Target]int64{
		storepb.Target_TARGET_VERSION: v.Count,
		storepb.Target_TARGET_CREATE:  v.Create,
		storepb.Target_TARGET_MOD:     v.Mod,
		storepb.Target_TARGET_LEASE:   v.Lease,
	}[target]
}

// costOfPut returns how many bytes a put would add.
func (m *Model) costOfPut(p *storepb.Put) uint64 {
	value := len(p.GetValue())
	if prev := m.now(p.GetKey()); p.GetIgnoreValue() && prev != nil {
		value = len(prev.Value)
	}
	return overhead + uint64(len(p.GetKey())+value)
}

// costOfTxn returns how many bytes the dearer list of a transaction would add.
func (m *Model) costOfTxn(t *storepb.Txn) (dearest uint64) {
	for _, list := range [][]*storepb.Op{t.GetSuccess(), t.GetFailure()} {
		n := uint64(0)
		for _, op := range list {
			switch kind := op.GetKind().(type) {
			case *storepb.Op_Put:
				n += m.costOfPut(kind.Put)
			case *storepb.Op_Txn:
				n += m.costOfTxn(kind.Txn)
			}
		}
		dearest = max(dearest, n)
	}
	return dearest
}
