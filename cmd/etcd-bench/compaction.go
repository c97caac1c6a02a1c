package main

import (
	"fmt"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// putsPerTxn is the most that servers take by default.
const putsPerTxn = 128

// duringCompactions measures writes while the old versions of all keys are compacted, and beside
// that without.
func (b *bench) duringCompactions() error {
	l := load{connections: typical, keys: b.keys, size: b.size}
	err := b.alone(b.v3, func(c *cluster) error {
		if err := l.fill(c); err != nil {
			return fmt.Errorf("loading the keys: %w", err)
		}
		var without, during result
		for round := range b.rounds {
			b.say("%s: %d versions, round %d of %d", c.name, b.versions, round+1, b.rounds)
			if err := l.addVersions(c, b.versions); err != nil {
				return fmt.Errorf("adding versions: %w", err)
			}
			if err := c.quiet(); err != nil {
				return err
			}
			r, err := l.measure(c, write, b.period)
			if err != nil {
				return err
			}
			without.add(r)
			if r, err = l.beside(c, c.compact); err != nil {
				return err
			}
			during.add(r)
		}
		at := l.at(1)
		for _, r := range []*result{&without, &during} {
			b.report.add(figure{Work: workCompaction, System: c.name, At: at, Latencies: r.distribution(),
				Values: map[metric]float64{throughput: r.rate(), events: float64(len(r.latencies)), p50: r.percentile(50), p99: r.percentile(99),
					p999: r.percentile(99.9), worst: r.percentile(100)}})
			at.Compacted = b.versions
		}
		return nil
	})
	b.report.note(workCompaction, "A compaction begins with the writes that are counted, and ends when nothing is left of the old versions.")
	return err
}

// addVersions writes keys in turns, until there are so many versions more.
func (l load) addVersions(c *cluster, versions int) error {
	all, err := l.dial(c)
	if err != nil {
		return err
	}
	defer all.Close()
	batch := min(putsPerTxn, l.keys) // no transaction writes a key twice
	var next atomic.Int64
	return all.each(func(_ int, one client) error {
		for {
			end := int(next.Add(int64(batch)))
			begin := end - batch
			if begin >= versions {
				return nil
			}
			var puts []clientv3.Op
			client := one.(*v3Client)
			for i := begin; i < min(end, versions); i++ {
				puts = append(puts, clientv3.OpPut(v3Key(i%l.keys), client.value))
			}
			client.SetDeadline(time.Now().Add(overtime))
			if _, err := client.conn.Txn(client.ctx).Then(puts...).Commit(); err != nil {
				return client.explained(err)
			}
		}
	})
}

// compact compacts up to the current revision, and returns when all of it is done.
func (c *cluster) compact() error {
	client, err := dialV3(c.members[0], 0)
	if err != nil {
		return err
	}
	defer client.Close()
	client.SetDeadline(time.Now().Add(startTimeout))
	now, err := client.conn.Get(client.ctx, v3Key(0))
	if err != nil {
		return client.explained(err)
	}
	_, err = client.conn.Compact(client.ctx, now.Header.Revision, clientv3.WithCompactPhysical())
	return client.explained(err)
}
