package history

import (
	"fmt"
	"time"
)

// Action is what an operation does to its key.
type Action int

// The actions.
const (
	Get Action = iota
	Set
	TestAndSet
	Delete
)

func (a Action) String() string {
	return [...]string{"get", "set", "test-and-set", "delete"}[a]
}

// Outcome is how an operation ended.
type Outcome int

// The outcomes.
const (
	Unknown  Outcome = iota // no answer, or one that says that the outcome is unknown
	Done                    // a read found the key, a change was made
	Missing                 // there is no such key
	Mismatch                // a test failed
)

func (k Outcome) String() string {
	return [...]string{"unknown", "done", "missing", "mismatch"}[k]
}

// Operation is a request of a client and what came of it. Values are never
// empty and never written twice, so "" stands for no value.
type Operation struct {
	Client  int
	Action  Action
	Key     string
	Prev    string // what a test-and-set asks for, "" for no key
	Value   string // what is written
	Call    time.Duration
	Return  time.Duration // when the answer was there, unless unknown
	Outcome Outcome
	Found   string // the value before, or the value read
	Index   uint64 // of a change or a read that is done
}

func (o Operation) String() string {
	return fmt.Sprintf("%9.3fms-%9.3fms client %d: %s %s prev=%q value=%q: %s found=%q index=%d",
		float64(o.Call.Microseconds())/1000, float64(o.Return.Microseconds())/1000,
		o.Client, o.Action, o.Key, o.Prev, o.Value, o.Outcome, o.Found, o.Index)
}

// Tally counts operations by outcome.
func Tally(ops []Operation) map[Outcome]int {
	count := make(map[Outcome]int)
	for _, o := range ops {
		count[o.Outcome]++
	}
	return count
}
