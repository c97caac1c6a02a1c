package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// snapshotRounds is how many times the size of the state is written: enough for a whole snapshot.
const snapshotRounds = 1.3

// measureSnapshots loads a state of the given size in MiB and then writes snapshotRounds times
// as much, at least 83 MiB. It measures what snapshots cost the writes meanwhile, and the write
// amplification: how much the server writes to the disk for each byte of a value.
func measureSnapshots(base, path string, mib int, l load, out io.Writer) error {
	l.keys = max(1, mib<<20/l.size)
	t, err := startOurs(base, path, "snapshots", nil, "-m", "1000")
	if err != nil {
		return err
	}
	defer t.stop()
	if err := l.fill(t); err != nil {
		return fmt.Errorf("loading the keys: %w", err)
	}
	var writing atomic.Bool
	var count int
	stop, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		count = watchSnapshots(filepath.Join(base, t.name), &writing, stop)
	}()
	before, err := t.written()
	if err != nil {
		return err
	}
	requests := int(snapshotRounds * float64(max(mib, 64)) * (1 << 20) / float64(l.size))
	during, between, err := l.writeBeside(t, requests, &writing)
	close(stop)
	<-watched
	if err != nil {
		return err
	}
	after, err := t.written()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "state of %d MiB in values of %d bytes, %d connections, %d writes in %s, %d snapshots, %.1f bytes to disk for each byte of a value\n\n",
		mib, l.size, l.connections, requests, between.elapsed.Round(time.Second), count, float64(after-before)/float64(requests*l.size))
	fmt.Fprintln(out, "| writes | number | p50 ms | p99 ms | p99.9 ms | max ms |\n|---|---:|---:|---:|---:|---:|")
	for _, row := range []struct {
		name string
		r    *result
	}{{"while a snapshot is written", &during}, {"between snapshots", &between}} {
		fmt.Fprintf(out, "| %s | %d | %.2f | %.2f | %.2f | %.2f |\n", row.name, len(row.r.latencies),
			row.r.percentile(50), row.r.percentile(99), row.r.percentile(99.9), row.r.percentile(100))
	}
	return nil
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
func (l load) writeBeside(t *target, requests int, writing *atomic.Bool) (during, between result, err error) {
	var left atomic.Int64
	left.Store(int64(requests))
	var mu sync.Mutex
	var wg sync.WaitGroup
	begin := time.Now()
	for range l.connections {
		wg.Go(func() {
			var mine [2][]uint32
			failed := l.writeUntil(t, &left, writing, &mine)
			mu.Lock()
			defer mu.Unlock()
			err = errors.Join(err, failed)
			during.latencies = append(during.latencies, mine[1]...)
			between.latencies = append(between.latencies, mine[0]...)
		})
	}
	wg.Wait()
	during.elapsed = time.Since(begin)
	between.elapsed = during.elapsed
	return during, between, err
}

func (l load) writeUntil(t *target, left *atomic.Int64, writing *atomic.Bool, latencies *[2][]uint32) error {
	c, err := l.connect(t)
	if err != nil {
		return err
	}
	defer c.Close()
	for left.Add(-1) >= 0 {
		beside, sent := writing.Load(), time.Now()
		if err := c.request(write, rand.IntN(l.keys)); err != nil {
			return err
		}
		kind := 0
		if beside || writing.Load() {
			kind = 1
		}
		latencies[kind] = append(latencies[kind], uint32(time.Since(sent).Microseconds()))
	}
	return nil
}

// written returns how many bytes the server has written to the disk.
func (t *target) written() (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", t.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), "write_bytes: "); ok {
			return strconv.ParseInt(n, 10, 64)
		}
	}
	return 0, errors.New("the kernel does not say how much was written")
}
