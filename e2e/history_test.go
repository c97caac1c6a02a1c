package e2e

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// action is what an operation does to its key.
type action int

const (
	readKey action = iota
	setKey
	testAndSetKey
	deleteKey
)

func (a action) String() string {
	return [...]string{"get", "set", "test-and-set", "delete"}[a]
}

// outcomeKind is how an operation ended.
type outcomeKind int

const (
	unknown  outcomeKind = iota // no answer, or one that says that the outcome is unknown
	done                        // a read found the key, a change was made
	missing                     // there is no such key
	mismatch                    // a test failed
)

func (k outcomeKind) String() string {
	return [...]string{"unknown", "done", "missing", "mismatch"}[k]
}

// operation is a request of a client and what came of it. Values are never
// empty and never written twice, so "" stands for no value.
type operation struct {
	client  int
	action  action
	key     string
	prev    string // what a test-and-set asks for
	value   string // what is written
	call    time.Duration
	ret     time.Duration // when the answer was there, unless unknown
	outcome outcomeKind
	found   string // the value before, or the value read
	index   uint64 // of a change or a read that is done
}

func (o operation) String() string {
	return fmt.Sprintf("%9.3fms-%9.3fms client %d: %s %s prev=%q value=%q: %s found=%q index=%d",
		float64(o.call.Microseconds())/1000, float64(o.ret.Microseconds())/1000,
		o.client, o.action, o.key, o.prev, o.value, o.outcome, o.found, o.index)
}

// keyModel is one key as the API describes it.
var keyModel = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, input, _ any) (bool, any) {
		now, o := state.(string), input.(operation)
		legal := o.outcome == unknown ||
			o.outcome == done && o.found == now ||
			o.outcome == missing && now == "" ||
			o.outcome == mismatch && o.found == now && now != o.prev
		effective := o.outcome == unknown || o.outcome == done
		switch o.action {
		case setKey:
			if effective {
				return legal, o.value
			}
		case testAndSetKey:
			legal = legal && (o.outcome != done || now == o.prev) && (o.outcome != missing || o.prev != "")
			if effective && now == o.prev {
				return legal, o.value
			}
		case deleteKey:
			legal = legal && (o.outcome != done || now != "")
			if effective {
				return legal, ""
			}
		case readKey:
			legal = legal && (o.outcome != done || now != "")
		}
		return legal, now
	},
}

// linearizableLimit bounds the check of one key.
const linearizableLimit = time.Minute

// checkHistory checks that there is an order of all operations that agrees
// with their answers and with the time at which they were sent and answered.
func checkHistory(t testing.TB, ops []operation) {
	t.Helper()
	checkIndexes(t, ops)
	byKey := map[string][]operation{}
	for _, o := range ops {
		byKey[o.key] = append(byKey[o.key], o)
	}
	count := map[outcomeKind]int{}
	for key, ops := range byKey {
		history := porcupineHistory(ops)
		if result := porcupine.CheckOperationsTimeout(keyModel, history, linearizableLimit); result != porcupine.Ok {
			slices.SortFunc(ops, func(a, b operation) int { return int(a.call - b.call) })
			var b strings.Builder
			for _, o := range ops {
				fmt.Fprintln(&b, o)
			}
			t.Errorf("the history of %s is not linearizable (%s):\n%s", key, result, &b)
		}
		for _, o := range ops {
			count[o.outcome]++
		}
	}
	t.Logf("%d operations on %d keys: %d done, %d missing, %d mismatch, %d unknown",
		len(ops), len(byKey), count[done], count[missing], count[mismatch], count[unknown])
	if count[done] == 0 {
		t.Error("no operation was done")
	}
}

// porcupineHistory prepares the operations on one key. What has no known
// outcome may take effect at any later time. Such a read says nothing. Such a
// write whose value nobody ever mentions is left out as well: every answer
// would have shown it, so that it is as good as not done, and the check would
// take exponential time otherwise.
func porcupineHistory(ops []operation) []porcupine.Operation {
	mentioned := map[string]bool{}
	for _, o := range ops {
		mentioned[o.found], mentioned[o.prev] = true, true
	}
	var history []porcupine.Operation
	for _, o := range ops {
		ret := int64(o.ret)
		if o.outcome == unknown {
			if o.action == readKey || o.value != "" && !mentioned[o.value] {
				continue
			}
			ret = math.MaxInt64
		}
		history = append(history, porcupine.Operation{ClientId: o.client, Input: o, Call: int64(o.call), Return: ret})
	}
	return history
}

// checkIndexes checks the order in time across all keys: a request that was
// sent after a change had been acknowledged has a higher index, or, if it is
// a read, at least the same. No two changes have the same index.
func checkIndexes(t testing.TB, ops []operation) {
	t.Helper()
	var finished []operation
	changes := map[uint64]operation{}
	for _, o := range ops {
		if o.outcome != done {
			continue
		}
		finished = append(finished, o)
		if o.action == readKey {
			continue
		}
		if other, ok := changes[o.index]; ok {
			t.Errorf("two changes were acknowledged with one index:\n%s\n%s", other, o)
		}
		changes[o.index] = o
	}
	byReturn := slices.SortedFunc(slices.Values(finished), func(a, b operation) int { return int(a.ret - b.ret) })
	slices.SortFunc(finished, func(a, b operation) int { return int(a.call - b.call) })
	var newest operation // the change with the highest index that was acknowledged before
	next := 0
	for _, o := range finished {
		for ; byReturn[next].ret < o.call; next++ {
			if before := byReturn[next]; before.action != readKey && before.index > newest.index {
				newest = before
			}
		}
		if o.index < newest.index || o.index == newest.index && o.action != readKey {
			t.Errorf("an answer is from before a change that had been acknowledged when the request was sent:\n%s\n%s", newest, o)
			return // more of the same would bury everything else
		}
	}
}

// TestKeyModel checks that the checker finds what it is there to find.
func TestKeyModel(t *testing.T) {
	t.Parallel()
	set := func(value, found string, call, ret time.Duration) operation {
		return operation{action: setKey, value: value, found: found, call: call, ret: ret, outcome: done}
	}
	read := func(found string, call, ret time.Duration) operation {
		return operation{action: readKey, found: found, call: call, ret: ret, outcome: done}
	}
	unknownSet := operation{action: setKey, value: "x", call: 1}
	tests := []struct {
		name string
		ops  []operation
		ok   bool
	}{
		{"in order", []operation{set("a", "", 1, 2), set("b", "a", 3, 4), read("b", 5, 6)}, true},
		{"stale read", []operation{set("a", "", 1, 2), set("b", "a", 3, 4), read("a", 5, 6)}, false},
		{"concurrent read", []operation{set("a", "", 1, 2), set("b", "a", 3, 6), read("a", 5, 7)}, true},
		{"lost write", []operation{set("a", "", 1, 2), set("b", "", 3, 4)}, false},
		{"unknown, seen", []operation{unknownSet, set("a", "x", 3, 4)}, true},
		{"unknown, not seen", []operation{unknownSet, set("a", "", 3, 4)}, true},
		{"unknown, seen late", []operation{unknownSet, set("a", "", 3, 4), read("x", 5, 6)}, true},
		{"unknown, seen twice", []operation{unknownSet, set("a", "x", 3, 4), read("x", 5, 6)}, false},
		{"never written", []operation{set("a", "", 1, 2), read("z", 3, 4)}, false},
		{"test and set", []operation{set("a", "", 1, 2), {action: testAndSetKey, prev: "a", found: "a", value: "b", call: 3, ret: 4, outcome: done}, read("b", 5, 6)}, true},
		{"two winners", []operation{set("a", "", 1, 2),
			{action: testAndSetKey, prev: "a", found: "a", value: "b", call: 3, ret: 9, outcome: done},
			{action: testAndSetKey, prev: "a", found: "a", value: "c", call: 3, ret: 9, outcome: done}}, false},
		{"test failed rightly", []operation{set("a", "", 1, 2), {action: testAndSetKey, prev: "z", found: "a", value: "b", call: 3, ret: 4, outcome: mismatch}}, true},
		{"test failed wrongly", []operation{set("a", "", 1, 2), {action: testAndSetKey, prev: "a", found: "a", value: "b", call: 3, ret: 4, outcome: mismatch}}, false},
		{"deleted twice", []operation{set("a", "", 1, 2), {action: deleteKey, found: "a", call: 3, ret: 4, outcome: done}, {action: deleteKey, found: "a", call: 5, ret: 6, outcome: done}}, false},
		{"missing after delete", []operation{set("a", "", 1, 2), {action: deleteKey, found: "a", call: 3, ret: 4, outcome: done}, {action: readKey, call: 5, ret: 6, outcome: missing}}, true},
	}
	for _, test := range tests {
		if ok := porcupine.CheckOperations(keyModel, porcupineHistory(test.ops)); ok != test.ok {
			t.Errorf("%s: linearizable is %t, want %t", test.name, ok, test.ok)
		}
	}
}
