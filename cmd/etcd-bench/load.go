package main

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// overtime is how long requests may take beyond the time of a measurement.
const overtime = 30 * time.Second

// load describes the requests to send.
type load struct {
	connections int
	clients     int // that share the connections, of v3 only; 0: one for each
	keys        int // keys are numbered from 0
	size        int // bytes per value
}

// at returns the sizes under which it is reported.
func (l load) at(machines int) params {
	return params{Machines: machines, Clients: l.clients, Connections: l.connections}
}

// dial opens the connections, and returns all clients.
func (l load) dial(c *cluster) (clients, error) {
	all, err := c.dial(l.connections, l.size)
	if err != nil {
		return nil, err
	}
	for i := l.connections; i < l.clients; i++ {
		all = append(all, all[i%l.connections].(*v3Client).sharing())
	}
	return all, nil
}

// fill writes every key once.
func (l load) fill(c *cluster) error {
	all, err := l.dial(c)
	if err != nil {
		return err
	}
	defer all.Close()
	return all.each(func(i int, one client) error {
		for key := i; key < l.keys; key += len(all) {
			one.SetDeadline(time.Now().Add(overtime))
			if err := one.do(write, key); err != nil {
				return err
			}
		}
		return nil
	})
}

// measure lets all clients send requests of one kind for a while. Every client waits for its
// answer before it sends the next request.
func (l load) measure(c *cluster, op operation, period time.Duration) (result, error) {
	all, err := l.dial(c)
	if err != nil {
		return result{}, err
	}
	defer all.Close()
	cpu, err := c.cpu()
	if err != nil {
		return result{}, err
	}
	latencies := make([][]uint32, len(all))
	begin := time.Now()
	err = all.each(func(i int, one client) error {
		one.SetDeadline(begin.Add(period + overtime))
		for sent := time.Now(); sent.Sub(begin) < period; {
			if err := one.do(op.pick(), rand.IntN(l.keys)); err != nil {
				return err
			}
			now := time.Now()
			latencies[i] = append(latencies[i], microseconds(now.Sub(sent)))
			sent = now
		}
		return nil
	})
	r := result{elapsed: time.Since(begin), latencies: slices.Concat(latencies...)}
	after, failed := c.cpu()
	r.cpu = after - cpu
	return r, errors.Join(err, failed)
}

// pick returns the kind of the next request.
func (op operation) pick() operation {
	if op != mixed {
		return op
	}
	if rand.IntN(10) == 0 {
		return write
	}
	return localRead
}

// beside measures writes while something else goes on, until that returns.
func (l load) beside(c *cluster, meanwhile func() error) (result, error) {
	all, err := l.dial(c)
	if err != nil {
		return result{}, err
	}
	defer all.Close()
	done := make(chan struct{})
	var wg sync.WaitGroup
	var failed error
	wg.Go(func() {
		defer close(done)
		failed = meanwhile()
	})
	latencies := make([][]uint32, len(all))
	begin := time.Now()
	err = all.each(func(i int, one client) error {
		for { // once at least, however short that is
			sent := time.Now()
			one.SetDeadline(sent.Add(overtime))
			if err := one.do(write, rand.IntN(l.keys)); err != nil {
				return err
			}
			latencies[i] = append(latencies[i], microseconds(time.Since(sent)))
			select {
			case <-done:
				return nil
			default:
			}
		}
	})
	r := result{elapsed: time.Since(begin), latencies: slices.Concat(latencies...)}
	wg.Wait()
	return r, errors.Join(err, failed)
}
