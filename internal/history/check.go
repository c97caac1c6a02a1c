package history

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// keyModel is one key as the API describes it.
var keyModel = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, input, _ any) (bool, any) {
		now, o := state.(string), input.(Operation)
		legal := o.Outcome == Unknown ||
			o.Outcome == Done && o.Found == now ||
			o.Outcome == Missing && now == "" ||
			o.Outcome == Mismatch && o.Found == now && now != o.Prev
		effective := o.Outcome == Unknown || o.Outcome == Done
		switch o.Action {
		case Set:
			if effective {
				return legal, o.Value
			}
		case TestAndSet:
			legal = legal && (o.Outcome != Done || now == o.Prev) && (o.Outcome != Missing || o.Prev != "")
			if effective && now == o.Prev {
				return legal, o.Value
			}
		case Delete:
			legal = legal && (o.Outcome != Done || now != "")
			if effective {
				return legal, ""
			}
		case Get:
			legal = legal && (o.Outcome != Done || now != "")
		}
		return legal, now
	},
}

// limit bounds the search for the order of the operations on one key.
const limit = time.Minute

// ErrUndecided is returned when the search took too long to find an order, or to rule one
// out.
var ErrUndecided = errors.New("history: no order was found in time")

// Check returns an error with the operations in question if there is no order that
// agrees with their answers and with the time at which they were sent and answered,
// or if their indexes are in another order.
func Check(ops []Operation) error {
	if err := checkIndexes(ops); err != nil {
		return err
	}
	byKey := map[string][]Operation{}
	for _, o := range ops {
		byKey[o.Key] = append(byKey[o.Key], o)
	}
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		ops := byKey[key]
		switch porcupine.CheckOperationsTimeout(keyModel, relevant(ops), limit) {
		case porcupine.Unknown:
			return fmt.Errorf("%w: %d operations on %s", ErrUndecided, len(ops), key)
		case porcupine.Illegal:
			slices.SortFunc(ops, func(a, b Operation) int { return int(a.Call - b.Call) })
			var b strings.Builder
			for _, o := range ops {
				fmt.Fprintln(&b, o)
			}
			return fmt.Errorf("the history of %s is not linearizable:\n%s", key, &b)
		}
	}
	return nil
}

// relevant prepares the operations on one key. One with an unknown outcome may
// take effect at any later time. Such a read is left out. Such a write whose
// value no other operation mentions is left out as well: every later answer
// would have shown it, so that it is as good as not done, and the check would
// take exponential time otherwise.
func relevant(ops []Operation) []porcupine.Operation {
	mentioned := map[string]bool{}
	for _, o := range ops {
		mentioned[o.Found], mentioned[o.Prev] = true, true
	}
	var history []porcupine.Operation
	for _, o := range ops {
		ret := int64(o.Return)
		if o.Outcome == Unknown {
			if o.Action == Get || o.Value != "" && !mentioned[o.Value] {
				continue
			}
			ret = math.MaxInt64
		}
		history = append(history, porcupine.Operation{ClientId: o.Client, Input: o, Call: int64(o.Call), Return: ret})
	}
	return history
}

// checkIndexes checks the order in time across all keys: a request that was
// sent after a change had been acknowledged has a higher index, or, if it is
// a read, at least the same. No two changes have the same index.
func checkIndexes(ops []Operation) error {
	var finished []Operation
	changes := map[uint64]Operation{}
	for _, o := range ops {
		if o.Outcome != Done {
			continue
		}
		finished = append(finished, o)
		if o.Action == Get {
			continue
		}
		if other, ok := changes[o.Index]; ok {
			return fmt.Errorf("two changes were acknowledged with one index:\n%s\n%s", other, o)
		}
		changes[o.Index] = o
	}
	byReturn := slices.SortedFunc(slices.Values(finished), func(a, b Operation) int { return int(a.Return - b.Return) })
	slices.SortFunc(finished, func(a, b Operation) int { return int(a.Call - b.Call) })
	var newest Operation // the change with the highest index that was acknowledged before
	next := 0
	for _, o := range finished {
		for ; byReturn[next].Return < o.Call; next++ {
			if before := byReturn[next]; before.Action != Get && before.Index > newest.Index {
				newest = before
			}
		}
		if o.Index < newest.Index || o.Index == newest.Index && o.Action != Get {
			return fmt.Errorf("an answer is from before a change that had been acknowledged when the request was sent:\n%s\n%s", newest, o)
		}
	}
	return nil
}
