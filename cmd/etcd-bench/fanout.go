package main

import (
	"fmt"
	"slices"
	"time"
)

// eventsPerCrowd is how many events each crowd of watchers is told.
const eventsPerCrowd = 3

// delivery is what it costs to tell a crowd of one event.
type delivery struct {
	delays   result        // from the write being sent until each watcher has heard
	last     time.Duration // the longest of them
	cpu      time.Duration // of the servers, until they are quiet again
	watching time.Duration // CPU time that opening the watches has taken
}

// fanOutToMany lets many clients watch one key, and writes it.
func (b *bench) fanOutToMany() error { return b.tellCrowds(b.systems) }

func (b *bench) tellCrowds(systems []*system) error {
	all, err := b.startAll(systems, 1)
	if err != nil {
		return err
	}
	defer all.stop()
	told := make([][]delivery, len(all))
	for round := range b.rounds {
		for i, c := range all {
			b.say("%d watchers of one key: %s, round %d of %d", b.fanOut, c.name, round+1, b.rounds)
			deliveries, err := b.tellCrowd(c)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			told[i] = append(told[i], deliveries...)
		}
	}
	for i, c := range all {
		f := deliveryFigure(told[i], b.fanOut)
		f.Work, f.System, f.At = workFanOut, c.name, params{Machines: 1, Watchers: b.fanOut}
		b.report.add(f)
	}
	b.report.note(workFanOut, "Times begin when the write is sent. CPU time per event ends when the server is quiet again; with the next watch, it includes the request for that on the same connection.")
	return nil
}

// tellCrowd opens watches of one key and tells of events.
func (b *bench) tellCrowd(c *cluster) (told []delivery, err error) {
	crowd, err := c.dial(b.fanOut, b.size)
	if err != nil {
		return nil, err
	}
	defer crowd.Close()
	writer, err := c.dial(1, b.size)
	if err != nil {
		return nil, err
	}
	defer writer.Close()
	const key = 1
	for i := range eventsPerCrowd + 1 {
		d, err := tell(c, crowd, writer[0], key)
		if err != nil {
			return nil, err
		}
		if i > 0 { // the first watches are on new connections
			told = append(told, d)
		}
	}
	return told, nil
}

func tell(c *cluster, crowd clients, writer client, key int) (d delivery, err error) {
	start, err := c.cpu()
	if err != nil {
		return d, err
	}
	limit := time.Now().Add(overtime)
	err = crowd.each(func(_ int, one client) error {
		one.SetDeadline(limit)
		return one.watch(key)
	})
	if err != nil {
		return d, err
	}
	if err := c.awaitWatches(len(crowd)); err != nil {
		return d, err
	}
	d.delays.latencies = make([]uint32, len(crowd))
	var sent time.Time
	heard := make(chan error, 1)
	go func() {
		heard <- crowd.each(func(i int, one client) error {
			err := one.event()
			d.delays.latencies[i] = microseconds(time.Since(sent))
			return err
		})
	}()
	if err := c.quiet(); err != nil {
		return d, err
	}
	before, err := c.cpu()
	if err != nil {
		return d, err
	}
	sent = time.Now()
	if err := writer.do(write, key); err != nil {
		return d, err
	}
	if err := <-heard; err != nil {
		return d, fmt.Errorf("a watcher hears nothing: %w", err)
	}
	d.last = time.Duration(slices.Max(d.delays.latencies)) * time.Microsecond
	if err := c.quiet(); err != nil {
		return d, err
	}
	after, err := c.cpu()
	d.cpu, d.watching = after-before, before-start
	return d, err
}

// deliveryFigure sums up deliveries to so many watchers each.
func deliveryFigure(told []delivery, watchers int) figure {
	var delays result
	var lasts []float64
	var cpu, cycle time.Duration
	for _, d := range told {
		delays.add(d.delays)
		lasts = append(lasts, float64(d.last.Microseconds())/1000)
		cpu += d.cpu
		cycle += d.cpu + d.watching
	}
	n := float64(len(told) * watchers)
	return figure{
		Values: map[metric]float64{
			events: n, p50: delays.percentile(50), p99: delays.percentile(99), last: median(lasts),
			cpuPerEvent: float64(cpu.Nanoseconds()) / 1000 / n, cpuPerCycle: float64(cycle.Nanoseconds()) / 1000 / n,
		},
		Latencies: delays.distribution(),
	}
}
