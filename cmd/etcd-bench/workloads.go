package main

import (
	"fmt"
	"strings"
)

// workload is one kind of work. It starts servers of its own and adds figures to the report.
type workload struct {
	name string
	run  func(*bench) error
}

// workloads are all there are, in the order of a full run.
var workloads = []workload{
	{"writes", func(b *bench) error { return b.requests(write) }},
	{"reads", func(b *bench) error { return b.requests(localRead, linearizableRead) }},
	{"mixed", func(b *bench) error { return b.requests(mixed) }},
	{"v2", (*bench).bothAPIs},
	{"v3", (*bench).v3Requests},
	{"compaction", (*bench).duringCompactions},
	{"tls", (*bench).overTLS},
	{"fanout", (*bench).fanOutToMany},
	{"sparse", (*bench).besideWatchers},
	{"idle", (*bench).idleClients},
	{"expiry", (*bench).massExpiry},
	{"data", (*bench).bigData},
	{"restart", (*bench).restarts},
	{"failover", (*bench).failoverTimes},
	{"snapshots", (*bench).duringSnapshots},
	{"reconnect", (*bench).reconnecting},
	{"listings", (*bench).besideListings},
	{"overload", (*bench).overloaded},
}

// Titles of work in the report.
const (
	workWrites            = "Writes"
	workLocalReads        = "Local reads"
	workLinearizableReads = "Linearizable reads"
	workMixed             = "Mixed: 90 % local reads, 10 % writes"
	workFanOut            = "Fan-out: one key, many watchers"
	workBesideWatchers    = "Writes beside idle watchers"
	workSparse            = "Many watchers, each of its own key, few of which change"
	workIdleWatchers      = "Idle watchers"
	workIdleStreams       = "Idle streams"
	workIdleConnections   = "Idle keep-alive connections"
	workExpiry            = "Mass expiry"
	workBigData           = "Data sets: writes, memory, restart"
	workRestart           = "Restart after kill -9"
	workFailover          = "Fail-over: from kill -9 of the leader to the first write acknowledged by a survivor"
	workSnapshots         = "Writes while a snapshot is written"
	workNoSnapshots       = "Writes between snapshots"
	workReconnect         = "Many clients come back at once: writes of other keys"
	workReconnectEvents   = "Many clients come back at once: from the answer to such a write to its watcher"
	workListings          = "Writes to a large directory"
	workCompaction        = "v3: Writes while old versions are compacted"
	workOverload          = "Overload: more clients that write than find room"
)

const (
	ours     = "ours"
	oursTLS  = "ours, TLS"
	typical  = 64 // connections, where only one number is measured
	machines = 3
)

func workNames() string {
	var names []string
	for _, w := range workloads {
		names = append(names, w.name)
	}
	return strings.Join(names, ",")
}

// chosen returns the workloads of a list of names.
func chosen(names string) (some []workload, err error) {
	if names == "all" {
		return workloads, nil
	}
next:
	for _, name := range strings.Split(names, ",") {
		for _, w := range workloads {
			if w.name == name {
				some = append(some, w)
				continue next
			}
		}
		return nil, fmt.Errorf("-work: there is no %q; there are all,%s", name, workNames())
	}
	return some, nil
}

// startAll starts a cluster of each system. If it fails, it stops those it has started.
func (b *bench) startAll(systems []*system, machines int) (all clusters, err error) {
	for _, s := range systems {
		c, err := s.start(b.base, machines)
		if err != nil {
			all.stop()
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		all = append(all, c)
	}
	return all, nil
}

type clusters []*cluster

func (all clusters) stop() {
	for _, c := range all {
		c.stop()
	}
}

// alone starts a fresh machine of each system, one after the other, for what depends on the
// history of a process, such as its memory.
func (b *bench) alone(systems []*system, measure func(*cluster) error) error {
	for _, s := range systems {
		err := func() error {
			c, err := s.start(b.base, 1)
			if err != nil {
				return err
			}
			defer c.stop()
			return measure(c)
		}()
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}
