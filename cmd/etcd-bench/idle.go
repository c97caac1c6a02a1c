package main

import "fmt"

// idleKind is a kind of client that costs memory and does nothing.
type idleKind struct {
	work string
	unit metric
	at   func(n int) params
	open func(one client, i int) error
}

// openAtOnce is how many connections are opened before they are used, one after the other. What a
// crowd costs that arrives at once is not what it costs when it is idle.
const openAtOnce = 16

var idleKinds = []idleKind{
	{workIdleWatchers, perWatcher, func(n int) params { return params{Machines: 1, Watchers: n} }, func(one client, i int) error {
		return one.watch(watchedKey + i)
	}},
	{workIdleConnections, perIdle, func(n int) params { return params{Machines: 1, Idle: n} }, func(one client, _ int) error {
		return one.do(localRead, 0)
	}},
}

// idleStream is a watch that goes on after an event, as only this project's server has it.
var idleStream = idleKind{workIdleStreams, perWatcher, func(n int) params { return params{Machines: 1, Watchers: n} }, func(one client, i int) error {
	c := one.(*httpClient)
	return c.get(c.dialect.watch(watchedKey+i) + "?stream=true")
}}

// idleClients measures by how much memory grows with watches and streams that hear nothing, and
// with connections that were used once.
func (b *bench) idleClients() error {
	for _, kind := range idleKinds {
		if err := b.measureIdle(kind, b.systems); err != nil {
			return err
		}
	}
	return b.measureIdle(idleStream, named(b.systems, ours))
}

func (b *bench) measureIdle(kind idleKind, systems []*system) error {
	each := map[string][][]float64{} // of a system: at each size the bytes of each round
	total := map[string][][]float64{}
	for round := range b.rounds {
		err := b.alone(systems, func(c *cluster) error {
			b.say("%s: %s, round %d of %d", kind.work, c.name, round+1, b.rounds)
			if each[c.name] == nil {
				each[c.name], total[c.name] = make([][]float64, len(b.idle)), make([][]float64, len(b.idle))
			}
			if err := c.quiet(); err != nil {
				return err
			}
			before, err := c.resident()
			if err != nil {
				return err
			}
			var all clients
			defer func() { all.Close() }()
			for i, n := range b.idle {
				for len(all) < n {
					more, err := c.dial(min(n-len(all), openAtOnce), 1)
					if err != nil {
						return err
					}
					all = append(all, more...)
					for j, one := range more {
						if err := kind.open(one, len(all)-len(more)+j); err != nil {
							return err
						}
					}
				}
				if kind.unit == perWatcher {
					if err := c.awaitWatches(n); err != nil {
						return err
					}
				}
				if err := c.quiet(); err != nil {
					return err
				}
				after, err := c.resident()
				if err != nil {
					return err
				}
				each[c.name][i] = append(each[c.name][i], float64(after-before)/float64(n))
				total[c.name][i] = append(total[c.name][i], float64(after)/(1<<20))
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("%s: %w", kind.work, err)
		}
	}
	for i, n := range b.idle {
		for _, s := range systems {
			b.report.add(figure{Work: kind.work, System: s.name, At: kind.at(n),
				Values: map[metric]float64{kind.unit: median(each[s.name][i]), memory: median(total[s.name][i])}})
		}
	}
	return nil
}
