package main

import "fmt"

var titles = map[operation]string{
	write: workWrites, localRead: workLocalReads, linearizableRead: workLinearizableReads, mixed: workMixed,
}

// requests measures operations at all numbers of machines and connections.
func (b *bench) requests(ops ...operation) error {
	for _, n := range b.machines {
		systems := b.systems
		if n == 1 {
			systems = append(systems[:len(systems):len(systems)], ceilingSystem())
		}
		if err := b.requestsTo(systems, n, b.loads(b.connections...), ops); err != nil {
			return err
		}
	}
	return nil
}

// loads returns what is sent on each of the numbers of connections.
func (b *bench) loads(connections ...int) (all []load) {
	for _, n := range connections {
		all = append(all, load{connections: n, keys: b.keys, size: b.size})
	}
	return all
}

// titled puts a prefix before the titles of what is measured.
func (b *bench) titled(prefix string, measure func() error) error {
	first := len(b.report.Figures)
	err := measure()
	for i := range b.report.Figures[first:] {
		b.report.Figures[first+i].Work = prefix + b.report.Figures[first+i].Work
	}
	return err
}

// requestsTo measures operations on clusters that run side by side, in turns.
func (b *bench) requestsTo(systems []*system, machines int, loads []load, ops []operation) error {
	all, err := b.startAll(systems, machines)
	if err != nil {
		return err
	}
	defer all.stop()
	for _, c := range all {
		l := load{connections: typical, keys: b.keys, size: b.size}
		if err := l.fill(c); err != nil {
			return fmt.Errorf("%s: loading the keys: %w", c.name, err)
		}
		// A server that compiles while it runs is measured warm.
		for _, op := range ops {
			if _, err := l.measure(c, op, 2*b.period); err != nil {
				return fmt.Errorf("%s: warming up: %w", c.name, err)
			}
		}
	}
	for _, op := range ops {
		results := make([][]result, len(loads))
		for i := range results {
			results[i] = make([]result, len(all))
		}
		for round := range b.rounds {
			for i, l := range loads {
				b.say("%s, %s, round %d of %d", op, l.at(machines), round+1, b.rounds)
				for j, c := range all {
					r, err := l.measure(c, op, b.period)
					if err != nil {
						return fmt.Errorf("%s: %s: %w", c.name, op, err)
					}
					results[i][j].add(r)
				}
			}
		}
		for i, l := range loads {
			for j, c := range all {
				r := &results[i][j]
				values := r.requestMetrics()
				if bytes, err := c.resident(); err == nil {
					values[memory] = float64(bytes) / (1 << 20)
				}
				b.report.add(figure{Work: titles[op], System: c.name, At: l.at(machines),
					Values: values, Latencies: r.distribution()})
			}
		}
	}
	return nil
}
