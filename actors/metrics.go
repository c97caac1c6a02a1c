package actors

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"etcd/raftnode"
	"etcd/store/logtime"
	"etcd/store/tree"
	"etcd/wal"
	"etcd/watch"
)

// What the actors count for metrics. They only add to counters, or publish what they know; a scrape
// reads that on its own goroutine (see collect.go), and waits for no actor.

// metrics is what the actors of one machine count. Its fields may be read at any time.
type metrics struct {
	raft  latest[raftnode.Status] // as of the last tick
	state latest[stateTotals]
	hub   latest[watch.Stats]
	links links
	disk  diskWrites

	leaderChanges, proposalsFailed, readsFailed, slowApplies atomic.Uint64
	watchRequests, eventsDelivered, watchesLost              atomic.Uint64
	watchLag                                                 atomic.Uint64 // in entries, as of the last scrape
	lagAsked                                                 atomic.Bool   // the hub is going to tell it
	logFull                                                  atomic.Bool
	receiving                                                atomic.Bool // a snapshot of the leader

	snapshotTimes prometheus.Histogram
	snapshotBytes atomic.Uint64 // of all that were written since the start
	lastSnapshot  atomic.Uint64 // bytes of the last one
}

func newMetrics() *metrics {
	return &metrics{
		disk: diskWrites{times: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "etcd_disk_wal_fsync_duration_seconds", Help: "How long it takes to write a batch to the log and fdatasync it.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15),
		})},
		snapshotTimes: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "etcd_debugging_snap_save_total_duration_seconds", Help: "How long it takes to write a snapshot.",
			Buckets: prometheus.ExponentialBuckets(0.01, 2, 14),
		}),
	}
}

// latest is the latest value of something that an actor publishes.
type latest[T any] struct {
	mu    sync.Mutex
	value T
}

func (l *latest[T]) set(value T) {
	l.mu.Lock()
	l.value = value
	l.mu.Unlock()
}

func (l *latest[T]) get() T {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.value
}

// stateTotals is what metrics say of the state.
type stateTotals struct {
	tree.Totals
	counts                              Counts
	history, historyLimit, historyBytes int
	quota                               uint64
	version                             uint32
	size                                uint64 // of what counts against the quota
	kv                                  keyspaceTotals
}

// keyspaceTotals is what metrics say of the keyspace of the v3 API.
type keyspaceTotals struct {
	keys                int
	bytes               uint64
	revision, compacted int64
	counts              kvCounts
}

// slowApply is how long a batch of entries may take to apply, as in etcd.
const slowApply = logtime.Time(100 * time.Millisecond)

func (m *metrics) applied(began, answered logtime.Time) {
	if answered > began+slowApply {
		m.slowApplies.Add(1)
	}
}

// countFailure counts a request that the core could not serve.
func (m *metrics) countFailure(token any) {
	switch token.(type) {
	case *Propose, *Join, *Leave:
		m.proposalsFailed.Add(1)
	case *Read, *Query, *Sync:
		m.readsFailed.Add(1)
	}
}

func (m *metrics) countDeliveries(deliveries []watch.Delivery) {
	events := 0
	for i := range deliveries {
		switch err := deliveries[i].Err; {
		case err == nil:
			events++
		case errors.Is(err, ErrHistoryLost) || errors.As(err, new(*watch.ClearedError)):
			m.watchesLost.Add(1)
		}
	}
	if events > 0 {
		m.eventsDelivered.Add(uint64(events))
	}
}

func (m *metrics) snapshotSaved(took time.Duration, bytes int64) {
	m.snapshotTimes.Observe(took.Seconds())
	m.snapshotBytes.Add(uint64(bytes))
	m.lastSnapshot.Store(uint64(bytes))
}

// diskWrites counts writes to the log.
type diskWrites struct {
	times    prometheus.Histogram
	began    atomic.Int64 // when the write under way did, since epoch; 0: there is none
	bytes    atomic.Uint64
	segments atomic.Int64
}

func (d *diskWrites) begin() (began time.Duration) {
	began = time.Since(epoch)
	d.began.Store(int64(began))
	return began
}

func (d *diskWrites) end(began time.Duration, log *wal.Log) {
	d.began.Store(0)
	d.times.Observe((time.Since(epoch) - began).Seconds())
	d.bytes.Store(log.Written())
	d.segments.Store(int64(log.Segments()))
}

// waiting returns how long the write under way has waited for the disk; 0: there is none.
func (d *diskWrites) waiting() time.Duration {
	began := d.began.Load()
	if began == 0 {
		return 0
	}
	return time.Since(epoch) - time.Duration(began)
}

// DiskWait returns how long the write to the log that is under way has taken so far; 0 if there is
// none.
func (m *Machine) DiskWait() time.Duration { return m.metrics.disk.waiting() }

// LogFull reports whether the log is full until the next snapshot is on disk, see [LogFull].
func (m *Machine) LogFull() bool { return m.metrics.logFull.Load() }
