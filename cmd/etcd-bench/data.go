package main

import (
	"fmt"
	"time"
)

// bigData measures writes, memory and restarts with data sets of several sizes. The largest are
// left to ours.
func (b *bench) bigData() error {
	for _, n := range b.data {
		systems := b.systems
		if n > largestBeside {
			systems = named(systems, ours)
		}
		err := b.alone(systems, func(c *cluster) error {
			b.say("%d keys: %s", n, c.name)
			f, err := b.dataSet(c, n)
			if err != nil {
				return err
			}
			b.report.add(f)
			return nil
		})
		if err != nil {
			return fmt.Errorf("%d keys: %w", n, err)
		}
	}
	b.report.note(workBigData, "Bytes per key is by how much the resident memory has grown when all keys are loaded. A restart lasts from the start after kill -9 to the first acknowledged write.")
	return nil
}

func (b *bench) dataSet(c *cluster, keys int) (f figure, err error) {
	empty, err := c.resident()
	if err != nil {
		return f, err
	}
	l := load{connections: typical, keys: keys, size: b.size}
	if err := l.fill(c); err != nil {
		return f, fmt.Errorf("loading the keys: %w", err)
	}
	if err := c.quiet(); err != nil {
		return f, err
	}
	loaded, err := c.resident()
	if err != nil {
		return f, err
	}
	var writes result
	for range b.rounds {
		r, err := l.measure(c, write, b.period)
		if err != nil {
			return f, err
		}
		writes.add(r)
	}
	took, err := c.restart(c.members[0])
	values := writes.requestMetrics()
	values[perKey] = float64(loaded-empty) / float64(keys)
	values[memory] = float64(loaded) / (1 << 20)
	values[restart] = took.Seconds()
	return figure{Work: workBigData, System: c.name, At: params{Machines: 1, Connections: typical, Keys: keys}, Values: values, Latencies: writes.distribution()}, err
}

// restarts measures how long a machine with few keys and a long log takes to serve again.
func (b *bench) restarts() error {
	all, err := b.startAll(b.systems, 1)
	if err != nil {
		return err
	}
	defer all.stop()
	times := make([][]float64, len(all))
	for i, c := range all {
		b.say("writing the log: %s", c.name)
		l := load{connections: typical, keys: b.keys, size: b.size}
		if _, err := l.measure(c, write, 2*b.period); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		for range b.rounds {
			took, err := c.restart(c.members[0])
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			times[i] = append(times[i], took.Seconds())
		}
	}
	for i, c := range all {
		b.report.add(figure{Work: workRestart, System: c.name, At: params{Machines: 1, Keys: b.keys}, Values: map[metric]float64{restart: median(times[i])}})
	}
	return nil
}

// restart kills a server, and returns how long it takes from its start to the first write
// that it acknowledges.
func (c *cluster) restart(m *member) (time.Duration, error) {
	m.kill()
	begin := time.Now()
	if err := m.launch(); err != nil {
		return 0, err
	}
	err := c.waitReady(m)
	return time.Since(begin), err
}
