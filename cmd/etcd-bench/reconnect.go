package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"
)

const (
	// quietKey is the key that all reconnecting clients watch, firstProbe the first of the
	// keys whose events are timed. Each of those has a watch from before.
	quietKey, firstProbe = 1 << 30, 1<<30 + 1
	probes               = 200
	// watchSettleTime is how long to wait until the watches are open.
	watchSettleTime = time.Second
	// missedEvents is how many events are written before the clients reconnect. The server keeps
	// the last 100,000.
	missedEvents = 90_000
)

// measureReconnect lets clients reconnect at once, each with a watch of a quiet key from an
// index many events back. It prints how long writes of another key take meanwhile, and how
// long after the answer the event reaches its watcher, beside the figures from before.
func measureReconnect(base, ours string, l load, clients int, period time.Duration, out io.Writer) error {
	t, err := startOurs(base, ours, "ours", nil, "-max-connections", strconv.Itoa(clients+2*probes))
	if err != nil {
		return err
	}
	defer t.stop()
	l.keys = missedEvents
	if err := l.fill(t); err != nil {
		return fmt.Errorf("writing the events: %w", err)
	}
	before, err := measureProbes(l, t, period, func() error { return nil })
	if err != nil {
		return err
	}
	reconnecting, err := l.dialAll(t, clients)
	defer func() {
		for _, c := range reconnecting {
			c.Close()
		}
	}()
	if err != nil {
		return err
	}
	cpu, err := t.cpu()
	if err != nil {
		return err
	}
	during, err := measureProbes(l, t, period, func() error {
		return forAll(reconnecting, func(c *client) error { return c.send("GET", watchPath(quietKey)+"?index=3") })
	})
	if err != nil {
		return err
	}
	after, err := t.cpu()
	if err != nil {
		return err
	}
	begin := time.Now()
	writer, err := l.connect(t)
	if err != nil {
		return err
	}
	defer writer.Close()
	if err := writer.request(write, quietKey); err != nil {
		return err
	}
	if err := forAll(reconnecting, (*client).readAnswer); err != nil {
		return fmt.Errorf("a reconnected client gets no event: %w", err)
	}
	last := time.Since(begin)
	fmt.Fprintf(out, "%d clients reconnect with an index %d events back\n\n"+
		"| | events | p50 ms | p99 ms | longest ms |\n|---|---:|---:|---:|---:|\n", clients, missedEvents)
	for _, row := range []struct {
		name string
		*result
	}{
		{"write of another key, before", &before.writes}, {"write, meanwhile", &during.writes},
		{"from its answer to its watcher, before", &before.events}, {"the same meanwhile", &during.events},
	} {
		fmt.Fprintf(out, "| %s | %d | %.2f | %.2f | %.2f |\n", row.name, len(row.latencies), row.percentile(50), row.percentile(99), row.percentile(100))
	}
	fmt.Fprintf(out, "\nServer CPU meanwhile: %v (%v of wall time). The event that ends all their watches reaches the last of them after %v.\n",
		after-cpu, period, last.Round(time.Millisecond))
	return nil
}

// dialAll opens the given number of connections. If it fails, it returns those it has opened.
func (l load) dialAll(t *target, n int) (all []*client, err error) {
	for range n {
		c, err := l.connect(t)
		if err != nil {
			return all, err
		}
		all = append(all, c)
	}
	return all, nil
}

// forAll calls a function for all clients, a few of them at a time.
func forAll(clients []*client, do func(*client) error) error {
	errs := make([]error, dialers)
	var wg sync.WaitGroup
	for i := range dialers {
		wg.Go(func() {
			for at := i; at < len(clients) && errs[i] == nil; at += dialers {
				errs[i] = do(clients[at])
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// probed is how long writes took, and how long after the answer their events arrived.
type probed struct{ writes, events result }

// measureProbes writes keys one after the other, each of which has a watcher from before,
// while the load to be measured runs.
func measureProbes(l load, t *target, period time.Duration, meanwhile func() error) (r probed, err error) {
	clients, err := l.dialAll(t, probes+1)
	defer func() {
		for _, c := range clients {
			c.Close()
		}
	}()
	if err != nil {
		return r, err
	}
	writer, watchers := clients[probes], clients[:probes]
	for i, c := range watchers {
		if err := c.send("GET", watchPath(firstProbe+i)); err != nil {
			return r, err
		}
	}
	time.Sleep(watchSettleTime)
	done := make(chan error, 1)
	go func() { done <- meanwhile() }()
	begin := time.Now()
	for i, c := range watchers {
		time.Sleep(time.Until(begin.Add(period / probes * time.Duration(i))))
		sent := time.Now()
		if err := writer.request(write, firstProbe+i); err != nil {
			return r, err
		}
		answered := time.Now()
		if err := c.readAnswer(); err != nil {
			return r, err
		}
		r.writes.latencies = append(r.writes.latencies, uint32(answered.Sub(sent).Microseconds()))
		r.events.latencies = append(r.events.latencies, uint32(time.Since(answered).Microseconds()))
	}
	return r, <-done
}

func watchPath(key int) string { return "/v1/watch/bench/" + strconv.Itoa(key) }
