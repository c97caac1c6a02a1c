package history

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// The checker finds what it is there to find.
func TestCheckKeyspace(t *testing.T) {
	t.Parallel()
	const nobody = -1
	put := func(key, value string, call, ret time.Duration, revision int64, found KeyValue) Txn {
		return Txn{Then: []Step{{Set, key, value}}, Call: call, Return: ret, Outcome: Done, Succeeded: true, Revision: revision, Found: []KeyValue{found}}
	}
	get := func(key string, call, ret time.Duration, revision int64, found KeyValue) Txn {
		return Txn{Then: []Step{{Get, key, ""}}, Call: call, Return: ret, Outcome: Done, Succeeded: true, Revision: revision, Found: []KeyValue{found}}
	}
	none, a2, a3 := KeyValue{}, KeyValue{"1", 2, 2, 1}, KeyValue{"2", 2, 3, 2}
	first := put("a", "1", 1, 2, 2, none)
	unknown := Txn{Then: []Step{{Set, "a", "x"}}, Call: 1}
	move := func(call, ret time.Duration, succeeded bool, revision int64, found ...KeyValue) Txn { // creates b and deletes a, if b is not there
		return Txn{
			If: []Condition{{"b", 0, ""}}, Then: []Step{{Set, "b", "m"}, {Delete, "a", ""}}, Else: []Step{{Get, "b", ""}},
			Call: call, Return: ret, Outcome: Done, Succeeded: succeeded, Revision: revision, Found: found,
		}
	}
	tests := []struct {
		name string
		txns []Txn
		ok   bool
	}{
		{"in order", []Txn{first, put("a", "2", 3, 4, 3, a2), get("a", 5, 6, 3, a3)}, true},
		{"stale read", []Txn{first, put("a", "2", 3, 4, 3, a2), get("a", 5, 6, 2, a2)}, false},
		{"concurrent read", []Txn{first, put("a", "2", 3, 6, 3, a2), get("a", 5, 7, 2, a2)}, true},
		{"old value at the new revision", []Txn{first, put("a", "2", 3, 6, 3, a2), get("a", 5, 7, 3, a2)}, false},
		{"revision used twice", []Txn{first, put("b", "2", 3, 4, 2, none)}, false},
		{"revision left out", []Txn{first, put("b", "2", 3, 4, 4, none)}, false},
		{"version that does not count", []Txn{first, put("a", "2", 3, 4, 3, a2), get("a", 5, 6, 3, KeyValue{"2", 2, 3, 1})}, false},
		{"unknown, happened", []Txn{unknown, put("b", "1", 3, 4, 3, none)}, true},
		{"unknown, happened late", []Txn{unknown, put("b", "1", 3, 4, 2, none), get("a", 5, 6, 3, KeyValue{"x", 3, 3, 1})}, true},
		{"unknown, did not happen", []Txn{unknown, put("b", "1", 3, 4, 2, none), get("a", 5, 6, 2, none)}, true},
		{"unknown, happened twice", []Txn{unknown, put("b", "1", 3, 4, 4, none)}, false},
		{"transaction", []Txn{first, move(3, 4, true, 3, none, a2), move(5, 6, false, 3, KeyValue{"m", 3, 3, 1}), get("a", 7, 8, 3, none)}, true},
		{"half a transaction", []Txn{first, move(3, 4, true, 3, none, a2), get("a", 5, 6, 3, a2)}, false},
		{"two winners", []Txn{first, move(3, 9, true, 3, none, a2), move(3, 9, true, 4, none, none)}, false},
		{"wrong branch", []Txn{first, move(3, 4, false, 2, none)}, false},
		{"compares a value", []Txn{first, {If: []Condition{{"a", nobody, "1"}}, Call: 3, Return: 4, Outcome: Done, Succeeded: true, Revision: 2}}, true},
		{"compares a value of no key", []Txn{first, {If: []Condition{{"b", nobody, ""}}, Call: 3, Return: 4, Outcome: Done, Succeeded: true, Revision: 2}}, false},
		{"deletes nothing", []Txn{first, {Then: []Step{{Delete, "b", ""}}, Call: 3, Return: 4, Outcome: Done, Succeeded: true, Revision: 2, Found: []KeyValue{none}}}, true},
	}
	for _, test := range tests {
		if err := CheckKeyspace(test.txns); (err == nil) != test.ok {
			t.Errorf("%s: linearizable is %t, want %t: %v", test.name, err == nil, test.ok, err)
		}
	}
}

// BenchmarkCheckKeyspace judges what 16 clients have done, of which one request in fifty has an unknown outcome.
func BenchmarkCheckKeyspace(b *testing.B) {
	rnd := rand.New(rand.NewPCG(1, 1))
	now := keyspace{revision: 1}
	var txns []Txn
	for i := range 3000 {
		key := fmt.Sprint(rnd.IntN(8))
		t := Txn{Client: i % 16, Call: time.Duration(10 * i), Return: time.Duration(10*i + rnd.IntN(150) + 1), Outcome: Done}
		switch rnd.IntN(3) {
		case 0:
			t.Then = []Step{{Get, key, ""}}
		case 1:
			t.Then = []Step{{Set, key, fmt.Sprint(i)}}
		default:
			t.If, t.Then, t.Else = []Condition{{key, now.keys[key].Mod, ""}}, []Step{{Set, key, fmt.Sprint(i)}, {Delete, "0", ""}}, []Step{{Get, key, ""}}
		}
		if rnd.IntN(50) == 0 {
			t.Outcome = Unknown
			if rnd.IntN(2) == 0 {
				txns = append(txns, t)
				continue
			}
		}
		after, succeeded, found := now.apply(&t)
		if t.Outcome == Done {
			t.Revision, t.Succeeded, t.Found = after.revision, succeeded, found
		}
		now = after
		txns = append(txns, t)
	}
	for b.Loop() {
		if err := CheckKeyspace(txns); err != nil {
			b.Fatal(err)
		}
	}
}
