package history

import (
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// TestKeyModel checks that the checker finds what it is there to find.
func TestKeyModel(t *testing.T) {
	t.Parallel()
	set := func(value, found string, call, ret time.Duration) Operation {
		return Operation{Action: Set, Value: value, Found: found, Call: call, Return: ret, Outcome: Done}
	}
	read := func(found string, call, ret time.Duration) Operation {
		return Operation{Action: Get, Found: found, Call: call, Return: ret, Outcome: Done}
	}
	undecided := Operation{Action: Set, Value: "x", Call: 1}
	tests := []struct {
		name string
		ops  []Operation
		ok   bool
	}{
		{"in order", []Operation{set("a", "", 1, 2), set("b", "a", 3, 4), read("b", 5, 6)}, true},
		{"stale read", []Operation{set("a", "", 1, 2), set("b", "a", 3, 4), read("a", 5, 6)}, false},
		{"concurrent read", []Operation{set("a", "", 1, 2), set("b", "a", 3, 6), read("a", 5, 7)}, true},
		{"lost write", []Operation{set("a", "", 1, 2), set("b", "", 3, 4)}, false},
		{"unknown, seen", []Operation{undecided, set("a", "x", 3, 4)}, true},
		{"unknown, not seen", []Operation{undecided, set("a", "", 3, 4)}, true},
		{"unknown, seen late", []Operation{undecided, set("a", "", 3, 4), read("x", 5, 6)}, true},
		{"unknown, seen twice", []Operation{undecided, set("a", "x", 3, 4), read("x", 5, 6)}, false},
		{"never written", []Operation{set("a", "", 1, 2), read("z", 3, 4)}, false},
		{"test and set", []Operation{set("a", "", 1, 2), {Action: TestAndSet, Prev: "a", Found: "a", Value: "b", Call: 3, Return: 4, Outcome: Done}, read("b", 5, 6)}, true},
		{"two winners", []Operation{set("a", "", 1, 2),
			{Action: TestAndSet, Prev: "a", Found: "a", Value: "b", Call: 3, Return: 9, Outcome: Done},
			{Action: TestAndSet, Prev: "a", Found: "a", Value: "c", Call: 3, Return: 9, Outcome: Done}}, false},
		{"test failed rightly", []Operation{set("a", "", 1, 2), {Action: TestAndSet, Prev: "z", Found: "a", Value: "b", Call: 3, Return: 4, Outcome: Mismatch}}, true},
		{"test failed wrongly", []Operation{set("a", "", 1, 2), {Action: TestAndSet, Prev: "a", Found: "a", Value: "b", Call: 3, Return: 4, Outcome: Mismatch}}, false},
		{"deleted twice", []Operation{set("a", "", 1, 2), {Action: Delete, Found: "a", Call: 3, Return: 4, Outcome: Done}, {Action: Delete, Found: "a", Call: 5, Return: 6, Outcome: Done}}, false},
		{"missing after delete", []Operation{set("a", "", 1, 2), {Action: Delete, Found: "a", Call: 3, Return: 4, Outcome: Done}, {Action: Get, Call: 5, Return: 6, Outcome: Missing}}, true},
	}
	for _, test := range tests {
		if ok := porcupine.CheckOperations(keyModel, relevant(test.ops)); ok != test.ok {
			t.Errorf("%s: linearizable is %t, want %t", test.name, ok, test.ok)
		}
	}
}
