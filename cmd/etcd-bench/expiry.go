package main

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	timeToLive = 4 // s
	sampled    = 100
	expiryPoll = 10 * time.Millisecond
)

// massExpiry lets many keys expire at once while others are written. ZooKeeper is left out: its
// nodes expire with a session, or some time after their time.
func (b *bench) massExpiry() error {
	var figures []figure
	err := b.alone(named(b.systems, ours, etcd34), func(c *cluster) error {
		var late, writes result
		var cpu time.Duration
		for round := range b.rounds {
			b.say("%d keys expire: %s, round %d of %d", b.expiring, c.name, round+1, b.rounds)
			used, l, w, err := b.expireAll(c)
			if err != nil {
				return err
			}
			cpu += used
			late.add(l)
			writes.add(w)
		}
		figures = append(figures, figure{Work: workExpiry, System: c.name, At: params{Machines: 1, Keys: b.expiring}, Latencies: late.distribution(),
			Values: map[metric]float64{p50: late.percentile(50), p99: late.percentile(99), worst: late.percentile(100),
				p99Write: writes.percentile(99), cpuPerKey: float64(cpu.Nanoseconds()) / 1000 / float64(b.rounds*b.expiring)}})
		return nil
	})
	for _, f := range figures {
		b.report.add(f)
	}
	b.report.note(workExpiry, fmt.Sprintf("How much later than their time %d of the keys are gone. One client writes other keys meanwhile; its CPU time is included.", sampled))
	return err
}

// expireAll writes keys that live for a while, and returns the CPU time it takes until they are
// gone, by how much some of them are late, and how long writes take meanwhile.
func (b *bench) expireAll(c *cluster) (cpu time.Duration, late, writes result, err error) {
	deadlines := make([]time.Time, b.expiring)
	all, err := c.dial(typical, b.size)
	if err != nil {
		return 0, late, writes, err
	}
	defer all.Close()
	err = all.each(func(i int, one client) error {
		for key := i; key < b.expiring; key += len(all) {
			if err := one.(*httpClient).set(watchedKey+key, timeToLive); err != nil {
				return err
			}
			deadlines[key] = time.Now().Add(timeToLive * time.Second)
		}
		return nil
	})
	if err != nil {
		return 0, late, writes, fmt.Errorf("writing the keys: %w", err)
	}
	if left := time.Until(deadlines[0]); left < 0 {
		return 0, late, writes, errors.New("writing the keys takes longer than they live")
	}
	before, err := c.cpu()
	if err != nil {
		return 0, late, writes, err
	}
	writes, err = load{connections: 1, keys: b.keys, size: b.size}.beside(c, func() (err error) {
		late, err = b.awaitExpiry(all, deadlines)
		return err
	})
	after, failed := c.cpu()
	return after - before, late, writes, errors.Join(err, failed)
}

// awaitExpiry returns by how much some of the keys are late.
func (b *bench) awaitExpiry(all clients, deadlines []time.Time) (late result, err error) {
	n := min(sampled, len(deadlines))
	var mu sync.Mutex
	err = all.each(func(i int, one client) error {
		for ; i < n; i += len(all) {
			key := i * (len(deadlines) / n)
			time.Sleep(time.Until(deadlines[key]))
			for limit := time.Now().Add(overtime); ; time.Sleep(expiryPoll) {
				err := one.do(localRead, watchedKey+key)
				var gone statusError
				if errors.As(err, &gone) {
					break
				}
				if err != nil {
					return err
				}
				if time.Now().After(limit) {
					return errors.New("a key does not expire")
				}
			}
			mu.Lock()
			late.latencies = append(late.latencies, microseconds(max(time.Since(deadlines[key]), 0)))
			mu.Unlock()
		}
		return nil
	})
	return late, err
}
