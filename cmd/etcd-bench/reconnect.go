package main

import (
	"fmt"
	"strconv"
	"time"
)

const (
	// quietKey is the key that all reconnecting clients watch.
	quietKey = watchedKey - 1
	// missedMost is how many events at most are written before the clients reconnect. The server
	// keeps the last 100,000.
	missedMost = 90_000
)

// reconnecting lets clients reconnect at once, each with a watch of a quiet key from an index
// many events back. It measures how long writes of other keys take meanwhile, and how long their
// events take to reach their watchers, beside the figures from before.
func (b *bench) reconnecting() error {
	return b.alone(named(b.systems, ours), func(c *cluster) error {
		missed := min(missedMost, 9*b.reconnect)
		b.say("%d events", missed)
		if err := (load{connections: typical, keys: missed, size: b.size}).fill(c); err != nil {
			return fmt.Errorf("writing the events: %w", err)
		}
		before, err := b.measureProbes(c, func() error { return nil })
		if err != nil {
			return err
		}
		crowd, err := c.dial(b.reconnect, b.size)
		if err != nil {
			return err
		}
		defer crowd.Close()
		b.say("%d clients come back", b.reconnect)
		during, err := b.measureProbes(c, func() error {
			return crowd.each(func(_ int, one client) error {
				return one.(*httpClient).get(c.http.watch(quietKey) + "?index=3")
			})
		})
		if err != nil {
			return err
		}
		writer, err := c.dial(1, b.size)
		if err != nil {
			return err
		}
		defer writer.Close()
		begin := time.Now()
		if err := writer[0].do(write, quietKey); err != nil {
			return err
		}
		err = crowd.each(func(_ int, one client) error {
			one.SetDeadline(begin.Add(overtime))
			return one.event()
		})
		if err != nil {
			return fmt.Errorf("a client that came back hears nothing: %w", err)
		}
		lastHears := float64(time.Since(begin).Microseconds()) / 1000
		at := params{Machines: 1, Watchers: b.reconnect, Keys: missed}
		for _, part := range []struct {
			work, name string
			r          *result
		}{
			{workReconnect, "ours, meanwhile", &during.writes}, {workReconnect, "ours, before", &before.writes},
			{workReconnectEvents, "ours, meanwhile", &during.events}, {workReconnectEvents, "ours, before", &before.events},
		} {
			values := map[metric]float64{p50: part.r.percentile(50), p99: part.r.percentile(99), worst: part.r.percentile(100)}
			b.report.add(figure{Work: part.work, System: part.name, At: at, Values: values, Latencies: part.r.distribution()})
		}
		b.report.note(workReconnect, "Each with a watch from an index that many keys back. Then an event that all of them watch reaches the last of them after "+
			strconv.FormatFloat(lastHears, 'f', 0, 64)+" ms.")
		return nil
	})
}

// probed is how long writes took, and how long after the answer their events arrived.
type probed struct{ writes, events result }

// measureProbes writes keys one after the other, each of which has a watcher from before,
// while the load to be measured runs.
func (b *bench) measureProbes(c *cluster, meanwhile func() error) (r probed, err error) {
	all, err := c.dial(probes+1, b.size)
	if err != nil {
		return r, err
	}
	defer all.Close()
	writer, watchers := all[probes], all[:probes]
	err = watchers.each(func(i int, one client) error { return one.watch(watchedKey + i) })
	if err != nil {
		return r, err
	}
	if err := c.awaitWatches(len(watchers)); err != nil {
		return r, err
	}
	done := make(chan error, 1)
	go func() { done <- meanwhile() }()
	begin := time.Now()
	for i, one := range watchers {
		time.Sleep(time.Until(begin.Add(b.period / probes * time.Duration(i))))
		sent := time.Now()
		one.SetDeadline(sent.Add(overtime))
		if err := writer.do(write, watchedKey+i); err != nil {
			return r, err
		}
		answered := time.Now()
		if err := one.event(); err != nil {
			return r, err
		}
		r.writes.latencies = append(r.writes.latencies, microseconds(answered.Sub(sent)))
		r.events.latencies = append(r.events.latencies, microseconds(time.Since(answered)))
	}
	return r, <-done
}
