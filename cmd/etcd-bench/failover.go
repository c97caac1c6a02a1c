package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	probeEvery      = 5 * time.Millisecond // a new write to each survivor
	failoverTimeout = 30 * time.Second
	settleTime      = time.Second // between a restart and the next kill, and up to a heartbeat more
)

// failoverTimes kills the leaders of all clusters in turns, again and again.
func (b *bench) failoverTimes() error {
	all, err := b.startAll(b.systems, machines)
	if err != nil {
		return err
	}
	defer all.stop()
	times := make([]result, len(all))
	for round := range b.failovers {
		b.say("kill %d of %d", round+1, b.failovers)
		for i, c := range all {
			took, err := c.failover()
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			times[i].latencies = append(times[i].latencies, microseconds(took))
		}
	}
	for i, c := range all {
		r := &times[i]
		b.report.add(figure{Work: workFailover, System: c.name, At: params{Machines: machines}, Latencies: r.distribution(),
			Values: map[metric]float64{events: float64(len(r.latencies)), best: r.percentile(0), p50: r.percentile(50), worst: r.percentile(100)}})
	}
	b.report.note(workFailover, fmt.Sprintf("Ours and etcd with a heartbeat of %s and an election timeout of %s, ZooKeeper with a tick of %[2]s. Ours and ZooKeeper notice that the process of the leader is gone.", heartbeat, election))
	return nil
}

// failover kills the leader, returns how long it takes until a survivor has
// acknowledged a write, and makes the cluster whole again.
func (c *cluster) failover() (time.Duration, error) {
	time.Sleep(settleTime + rand.N(heartbeat))
	leader := -1
	for i := range c.members {
		if c.leads(c, i) {
			leader = i
		}
	}
	if leader < 0 {
		return 0, errors.New("no machine says that it is the leader")
	}
	dead := c.members[leader]
	begin := time.Now()
	if err := dead.cmd.Process.Kill(); err != nil {
		return 0, err
	}
	took, err := c.firstWrite(begin, dead)
	if err != nil {
		return 0, err
	}
	<-dead.exited
	if err := dead.launch(); err != nil {
		return 0, err
	}
	return took, c.waitReady(dead)
}

// firstWrite returns when a survivor acknowledges a write. New writes are sent
// all the time, because one that was sent too early may wait for a leader that
// is dead.
func (c *cluster) firstWrite(begin time.Time, dead *member) (time.Duration, error) {
	acknowledged := make(chan time.Duration, 1)
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	limit := time.After(failoverTimeout)
	for {
		for _, m := range c.members {
			if m == dead {
				continue
			}
			go func() {
				one, err := c.connect(m, 1)
				if err != nil {
					return
				}
				defer one.Close()
				one.SetDeadline(time.Now().Add(failoverTimeout))
				if one.do(write, 0) == nil {
					select {
					case acknowledged <- time.Since(begin):
					default:
					}
				}
			}()
		}
		select {
		case took := <-acknowledged:
			return took, nil
		case <-tick.C:
		case <-limit:
			return 0, fmt.Errorf("no write is acknowledged within %s", failoverTimeout)
		}
	}
}
