package main

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// retryAfter is how long a client pauses when a machine has no room for its request, as that tells it to.
const retryAfter = time.Second

// isRefusal reports whether a machine had no room for a request.
func isRefusal(err error) bool {
	answer, ok := errors.AsType[statusError](err)
	return ok && strings.Contains(string(answer), " 503 ")
}

// overloaded measures the writes of more clients than a machine can serve without delay.
func (b *bench) overloaded() error {
	return b.alone(named(b.systems, ours), func(c *cluster) error {
		var all result
		refused := 0
		for round := range b.rounds {
			b.say("%d clients, round %d of %d", b.overload, round+1, b.rounds)
			r, n, err := b.hammer(c)
			if err != nil {
				return err
			}
			all.add(r)
			refused += n
		}
		values := all.requestMetrics()
		values[refusals] = float64(refused) / all.elapsed.Seconds()
		b.report.add(figure{Work: workOverload, System: ours, At: params{Machines: 1, Connections: b.overload}, Values: values, Latencies: all.distribution()})
		b.report.note(workOverload, "Latencies are those of writes that were done. A client whose write was refused pauses for a second.")
		return nil
	})
}

// hammer writes on all connections at once, and returns how many writes were refused.
func (b *bench) hammer(c *cluster) (r result, refused int, err error) {
	crowd, err := c.dial(b.overload, b.size)
	if err != nil {
		return r, 0, err
	}
	defer crowd.Close()
	cpu, err := c.cpu()
	if err != nil {
		return r, 0, err
	}
	latencies, refusals := make([][]uint32, len(crowd)), make([]int, len(crowd))
	begin := time.Now()
	err = crowd.each(func(i int, one client) error {
		one.SetDeadline(begin.Add(b.period + overtime))
		for time.Since(begin) < b.period {
			sent := time.Now()
			switch err := one.do(write, rand.IntN(b.keys)); {
			case isRefusal(err):
				refusals[i]++
				time.Sleep(retryAfter)
			case err != nil:
				return err
			default:
				latencies[i] = append(latencies[i], microseconds(time.Since(sent)))
			}
		}
		return nil
	})
	r = result{elapsed: time.Since(begin), latencies: slices.Concat(latencies...)}
	for _, n := range refusals {
		refused += n
	}
	after, failed := c.cpu()
	r.cpu = after - cpu
	return r, refused, errors.Join(err, failed)
}
