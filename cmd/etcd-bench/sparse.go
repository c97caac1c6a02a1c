package main

import (
	"fmt"
	"time"
)

const (
	// watchedKey is the first of the keys that have a watcher each; other work stays below.
	watchedKey = 1 << 30
	// probes is how many of them change, one after the other.
	probes = 200
)

// besideWatchers measures writes of other keys beside many idle watches, and how long it takes
// until the watchers of the few keys that change hear of it.
func (b *bench) besideWatchers() error {
	at := params{Machines: 1, Connections: typical}
	beside := at
	beside.Watchers = b.sparse
	var without, with, sparse []figure
	err := b.alone(b.systems, func(c *cluster) error {
		l := load{connections: typical, keys: b.keys, size: b.size}
		if err := l.fill(c); err != nil {
			return fmt.Errorf("loading the keys: %w", err)
		}
		var before, meanwhile, heard result
		for round := range b.rounds {
			b.say("%d watchers of as many keys: %s, round %d of %d", b.sparse, c.name, round+1, b.rounds)
			r, err := l.measure(c, write, b.period)
			if err != nil {
				return err
			}
			before.add(r)
			if r, err = b.withWatchers(c, l, &heard); err != nil {
				return err
			}
			meanwhile.add(r)
		}
		without = append(without, figure{Work: workBesideWatchers, System: c.name, At: at, Values: before.requestMetrics(), Latencies: before.distribution()})
		with = append(with, figure{Work: workBesideWatchers, System: c.name, At: beside, Values: meanwhile.requestMetrics(), Latencies: meanwhile.distribution()})
		sparse = append(sparse, figure{Work: workSparse, System: c.name, At: params{Machines: 1, Watchers: b.sparse}, Latencies: heard.distribution(),
			Values: map[metric]float64{events: float64(len(heard.latencies)), p50: heard.percentile(50), p99: heard.percentile(99), worst: heard.percentile(100)}})
		return nil
	})
	for _, figures := range [][]figure{without, with, sparse} {
		for _, f := range figures {
			b.report.add(f)
		}
	}
	b.report.note(workSparse, "Times begin when the write is sent and end when the watcher of the key has heard.")
	return err
}

// withWatchers opens the watches, measures writes of other keys, and adds to heard how long the
// events of single keys take afterwards.
func (b *bench) withWatchers(c *cluster, l load, heard *result) (r result, err error) {
	crowd, err := c.dial(b.sparse, b.size)
	if err != nil {
		return r, err
	}
	defer crowd.Close()
	if err := crowd.each(func(i int, one client) error { return one.watch(watchedKey + i) }); err != nil {
		return r, err
	}
	if err := c.awaitWatches(len(crowd)); err != nil {
		return r, err
	}
	if err := c.quiet(); err != nil {
		return r, err
	}
	if r, err = l.measure(c, write, b.period); err != nil {
		return r, err
	}
	writer, err := c.dial(1, b.size)
	if err != nil {
		return r, err
	}
	defer writer.Close()
	changing := min(probes, len(crowd))
	for i := range changing {
		at := i * (len(crowd) / changing)
		sent := time.Now()
		crowd[at].SetDeadline(sent.Add(overtime))
		if err := writer[0].do(write, watchedKey+at); err != nil {
			return r, err
		}
		if err := crowd[at].event(); err != nil {
			return r, fmt.Errorf("a watcher hears nothing: %w", err)
		}
		heard.latencies = append(heard.latencies, microseconds(time.Since(sent)))
	}
	heard.sorted = false
	return r, nil
}
