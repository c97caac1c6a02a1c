package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"
)

const (
	// probeKey is the key whose events are timed, quietKey that for which all others wait.
	probeKey, quietKey = 1 << 30, 1<<30 + 1
	// probePause is between events, so that the watch is there when the next is written.
	probePause = 5 * time.Millisecond
	// missed is how many events are written before the clients come back. The server keeps
	// the last 100,000.
	missed = 90_000
)

// measureReconnect lets clients come back at once, each with a watch of a quiet key from an
// index that is many events back, and prints how long writes of another key take meanwhile,
// and how long after its answer the event is with its watcher, beside what it took before.
func measureReconnect(base, ours string, l load, clients int, period time.Duration, out io.Writer) error {
	t, err := startOurs(base, ours, "ours", nil, "-max-connections", strconv.Itoa(clients+100))
	if t != nil {
		defer t.stop()
	}
	if err != nil {
		return err
	}
	l.keys = missed
	if err := l.fill(t); err != nil {
		return fmt.Errorf("writing the events: %w", err)
	}
	p, err := newProbe(l, t)
	if err != nil {
		return err
	}
	defer p.Close()
	before, err := p.measure(period)
	if err != nil {
		return err
	}
	crowd, err := l.dialAll(t, clients)
	defer func() {
		for _, c := range crowd {
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
	asked := make(chan error, 1)
	go func() {
		asked <- forAll(crowd, func(c *client) error { return c.send("GET", watchPath(quietKey)+"?index=3") })
	}()
	during, err := p.measure(period)
	if err := errors.Join(err, <-asked); err != nil {
		return err
	}
	after, err := t.cpu()
	if err != nil {
		return err
	}
	begin := time.Now()
	if err := p.write.request(write, quietKey); err != nil {
		return err
	}
	if err := forAll(crowd, (*client).readAnswer); err != nil {
		return fmt.Errorf("a client that came back hears nothing: %w", err)
	}
	last := time.Since(begin)
	fmt.Fprintf(out, "%d clients come back with an index %d events back\n\n"+
		"| | events | p50 ms | p99 ms | longest ms |\n|---|---:|---:|---:|---:|\n", clients, missed)
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

// dialAll opens so many connections. It returns those that are open also when it fails.
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

// forAll does the same with all clients, with a few of them at a time.
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

// probed is how long writes took, and how long after the answer the event was there.
type probed struct{ writes, events result }

// probe writes a key and waits for the event on another connection.
type probe struct {
	write, watch *client
	next         uint64 // index of the event to watch for
}

func newProbe(l load, t *target) (*probe, error) {
	clients, err := l.dialAll(t, 2)
	if err != nil {
		return nil, err
	}
	return &probe{write: clients[0], watch: clients[1], next: missed}, nil
}

func (p *probe) Close() error { return errors.Join(p.write.Close(), p.watch.Close()) }

// measure times one event after the other.
func (p *probe) measure(period time.Duration) (r probed, err error) {
	for begin := time.Now(); time.Since(begin) < period; {
		if err := p.watch.send("GET", watchPath(probeKey)+"?index="+strconv.FormatUint(p.next, 10)); err != nil {
			return r, err
		}
		time.Sleep(probePause)
		sent := time.Now()
		if err := p.write.request(write, probeKey); err != nil {
			return r, err
		}
		answered := time.Now()
		index, err := p.watch.readIndex()
		if err != nil {
			return r, err
		}
		r.writes.latencies = append(r.writes.latencies, uint32(answered.Sub(sent).Microseconds()))
		r.events.latencies = append(r.events.latencies, uint32(time.Since(answered).Microseconds()))
		p.next = index + 1
	}
	return r, nil
}

func watchPath(key int) string { return "/v1/watch/bench/" + strconv.Itoa(key) }

// readIndex reads an answer and returns the index in it.
func (c *client) readIndex() (uint64, error) {
	length, err := c.readHead()
	if err != nil {
		return 0, err
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(c.in, body); err != nil {
		return 0, err
	}
	_, index, ok := bytes.Cut(body, []byte(`"index":`))
	if !ok {
		return 0, fmt.Errorf("no index in %q", body)
	}
	return strconv.ParseUint(string(bytes.TrimRight(index, "}\n")), 10, 64)
}
