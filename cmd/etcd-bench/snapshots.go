package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// snapshotRounds is how many times the size of the state is written: enough for a whole snapshot.
	snapshotRounds = 1.3
	snapshotValue  = 1 << 10 // bytes
)

// duringSnapshots loads a large state and then writes more than as much over it, at least 83 MiB
// except in a quick run. It measures what snapshots cost the writes meanwhile, and the write
// amplification: how much the server writes to the disk for each byte of a value.
func (b *bench) duringSnapshots() error {
	own := named(b.systems, ours)[0]
	few := ownSystem(own.version[0], own.http, "-m", "1000")
	return b.alone([]*system{few}, func(c *cluster) error {
		l := load{connections: typical, keys: b.snapshots << 20 / snapshotValue, size: snapshotValue}
		b.say("loading %d MiB", b.snapshots)
		if err := l.fill(c); err != nil {
			return fmt.Errorf("loading the keys: %w", err)
		}
		m := c.members[0]
		var writing atomic.Bool
		var count int
		stop, watched := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(watched)
			count = watchSnapshots(m.dir, &writing, stop)
		}()
		before, err := m.procField("io", "\nwrite_bytes:")
		if err != nil {
			return err
		}
		size := b.snapshots
		if size > quick.snapshots {
			size = max(size, 64)
		}
		requests := int(snapshotRounds * float64(size<<20/snapshotValue))
		b.say("%d writes", requests)
		during, between, err := l.writeBeside(c, requests, &writing)
		close(stop)
		<-watched
		if err != nil {
			return err
		}
		after, err := m.procField("io", "\nwrite_bytes:")
		at := params{Machines: 1, Connections: typical, Keys: l.keys}
		for _, part := range []struct {
			work string
			r    *result
		}{{workSnapshots, &during}, {workNoSnapshots, &between}} {
			b.report.add(figure{Work: part.work, System: ours, At: at, Latencies: part.r.distribution(),
				Values: map[metric]float64{events: float64(len(part.r.latencies)), p50: part.r.percentile(50), p99: part.r.percentile(99),
					p999: part.r.percentile(99.9), worst: part.r.percentile(100),
					diskPerValue: float64(after-before) / float64(requests*snapshotValue)}})
		}
		b.report.note(workSnapshots, fmt.Sprintf("A state of %d MiB in values of %d bytes, %d writes, %d snapshots.", b.snapshots, snapshotValue, requests, count))
		return err
	})
}

// watchSnapshots tracks whether a snapshot is being written until stop is closed, and returns
// how many were.
func watchSnapshots(dir string, writing *atomic.Bool, stop <-chan struct{}) (count int) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return count
		case <-tick.C:
		}
		entries, _ := os.ReadDir(dir)
		now := slices.ContainsFunc(entries, func(e os.DirEntry) bool { return strings.HasSuffix(e.Name(), ".snap.tmp") })
		if writing.Swap(now) && !now {
			count++
		}
	}
}

// writeBeside writes the given number of random keys on all connections. during are the writes
// at whose beginning or end a snapshot was being written.
func (l load) writeBeside(c *cluster, requests int, writing *atomic.Bool) (during, between result, err error) {
	all, err := c.dial(l.connections, l.size)
	if err != nil {
		return during, between, err
	}
	defer all.Close()
	var left atomic.Int64
	left.Store(int64(requests))
	latencies := make([][2][]uint32, len(all))
	err = all.each(func(i int, one client) error {
		for left.Add(-1) >= 0 {
			beside, sent := writing.Load(), time.Now()
			one.SetDeadline(sent.Add(overtime))
			if err := one.do(write, rand.IntN(l.keys)); err != nil {
				return err
			}
			kind := 0
			if beside || writing.Load() {
				kind = 1
			}
			latencies[i][kind] = append(latencies[i][kind], microseconds(time.Since(sent)))
		}
		return nil
	})
	for _, some := range latencies {
		between.latencies = append(between.latencies, some[0]...)
		during.latencies = append(during.latencies, some[1]...)
	}
	return during, between, err
}
