package history

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// Txn is a request of a client of the v3 API and what came of it. All are transactions here: a put or a get is one
// without conditions. A request that was refused changes nothing and is left out.
type Txn struct {
	Client     int
	If         []Condition
	Then, Else []Step
	Call       time.Duration
	Return     time.Duration // when the answer was there, unless unknown
	Outcome    Outcome       // Done or Unknown

	// The answer.
	Revision  int64
	Succeeded bool
	Found     []KeyValue // by each step: what it read, replaced or deleted
}

// Condition asks for a key as it is at its last change, 0 for none; or, if that is negative, for its value.
type Condition struct {
	Key   string
	Mod   int64
	Value string
}

// Step is what a transaction does to one key: Get, Set or Delete.
type Step struct {
	Action Action
	Key    string
	Value  string // of a Set
}

// KeyValue is a key as it was found, zero if there was none.
type KeyValue struct {
	Value                string
	Create, Mod, Version int64
}

func (t Txn) String() string {
	return fmt.Sprintf("%9.3fms-%9.3fms client %d: if %v then %v else %v: %s %t at %d, found %v",
		float64(t.Call.Microseconds())/1000, float64(t.Return.Microseconds())/1000,
		t.Client, t.If, t.Then, t.Else, t.Outcome, t.Succeeded, t.Revision, t.Found)
}

func (c Condition) String() string {
	if c.Mod >= 0 {
		return fmt.Sprintf("%s@%d", c.Key, c.Mod)
	}
	return fmt.Sprintf("%s=%q", c.Key, c.Value)
}

func (s Step) String() string {
	if s.Action == Set {
		return fmt.Sprintf("set %s=%q", s.Key, s.Value)
	}
	return s.Action.String() + " " + s.Key
}

// writes reports whether it may change anything.
func (t *Txn) writes() bool {
	return slices.ContainsFunc(slices.Concat(t.Then, t.Else), func(s Step) bool { return s.Action != Get })
}

// keyspace is the state of all keys, which never changes.
type keyspace struct {
	revision int64
	keys     map[string]KeyValue
}

// keyspaceModel is the whole keyspace, because a transaction may be about several keys, and all share a revision.
var keyspaceModel = porcupine.Model{
	Init: func() any { return keyspace{revision: 1} },
	Step: func(state, input, _ any) (bool, any) {
		now, t := state.(keyspace), input.(judged)
		after, succeeded, found := now.apply(t.Txn)
		switch {
		case t.Outcome == Done:
			return t.Revision == after.revision && t.Succeeded == succeeded && slices.Equal(t.Found, found), after
		case now.revision >= t.of.last: // whether it ever happens, nobody has seen
			return true, now
		}
		return after.revision > now.revision && t.of.mayHave(t.Txn, after.revision), after
	},
	Equal: func(a, b any) bool {
		one, other := a.(keyspace), b.(keyspace)
		return one.revision == other.revision && maps.Equal(one.keys, other.keys)
	},
}

// apply returns the keyspace after a transaction, and its answer.
func (k keyspace) apply(t *Txn) (after keyspace, succeeded bool, found []KeyValue) {
	steps := t.Then
	succeeded = !slices.ContainsFunc(t.If, func(c Condition) bool { return !k.meets(c) })
	if !succeeded {
		steps = t.Else
	}
	after = keyspace{k.revision, maps.Clone(k.keys)}
	if after.keys == nil {
		after.keys = make(map[string]KeyValue)
	}
	for _, s := range steps {
		now, there := after.keys[s.Key]
		found = append(found, now)
		switch {
		case s.Action == Set:
			next := KeyValue{s.Value, k.revision + 1, k.revision + 1, 1}
			if there {
				next.Create, next.Version = now.Create, now.Version+1
			}
			after.keys[s.Key] = next
		case s.Action == Delete && there:
			delete(after.keys, s.Key)
		default:
			continue
		}
		after.revision = k.revision + 1
	}
	return after, succeeded, found
}

func (k keyspace) meets(c Condition) bool {
	now, there := k.keys[c.Key]
	if c.Mod >= 0 {
		return now.Mod == c.Mod
	}
	return there && now.Value == c.Value
}

// judged is a transaction of a history.
type judged struct {
	*Txn
	of *revisions
}

// revisions is what the answers say of what was changed at which revision. Without it, each transaction of unknown
// outcome could have happened at any time, and the search would take exponential time.
type revisions struct {
	last    int64            // that anybody has seen
	claimed map[int64]bool   // by transactions that are done
	values  map[string]int64 // of values that were seen
}

func newRevisions(txns []Txn) *revisions {
	r := &revisions{claimed: make(map[int64]bool), values: make(map[string]int64)}
	for i := range txns {
		t := &txns[i]
		if t.Outcome != Done {
			continue
		}
		r.last = max(r.last, t.Revision)
		steps := t.Then
		if !t.Succeeded {
			steps = t.Else
		}
		for i, found := range t.Found {
			if found.Mod > 0 {
				r.values[found.Value] = found.Mod
			}
			if i < len(steps) && (steps[i].Action == Set || steps[i].Action == Delete && found.Mod > 0) {
				r.claimed[t.Revision] = true
			}
		}
	}
	return r
}

// mayHave reports whether a transaction of unknown outcome may have made a revision.
func (r *revisions) mayHave(t *Txn, revision int64) bool {
	for _, s := range slices.Concat(t.Then, t.Else) {
		if at, seen := r.values[s.Value]; seen && s.Action == Set {
			return at == revision
		}
	}
	return !r.claimed[revision]
}

// CheckKeyspace returns an error with the requests unless there is an order of them, from an empty keyspace on, that
// agrees with their answers and with the time at which they were sent and answered. They have to be all that has
// changed the keyspace, and no two may write the same value.
func CheckKeyspace(txns []Txn) error {
	var history []porcupine.Operation
	seen := newRevisions(txns)
	for i := range txns {
		t := &txns[i]
		ret := int64(t.Return)
		if t.Outcome == Unknown {
			if !t.writes() {
				continue
			}
			ret = math.MaxInt64 // it may take effect at any later time
		}
		history = append(history, porcupine.Operation{ClientId: t.Client, Input: judged{t, seen}, Call: int64(t.Call), Return: ret})
	}
	switch porcupine.CheckOperationsTimeout(keyspaceModel, history, limit) {
	case porcupine.Unknown:
		return fmt.Errorf("%w: %d transactions", ErrUndecided, len(txns))
	case porcupine.Illegal:
		sorted := slices.SortedFunc(slices.Values(txns), func(a, b Txn) int { return int(a.Call - b.Call) })
		var b strings.Builder
		for _, t := range sorted {
			fmt.Fprintln(&b, t)
		}
		return fmt.Errorf("the history of the keyspace is not linearizable:\n%s", &b)
	}
	return nil
}
