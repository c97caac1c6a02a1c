package actors

import (
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.etcd.io/raft/v3"

	"etcd/store/tree"
	"etcd/transport"
)

// Names follow those of etcd where the meaning is the same, so that its dashboards and alerts work
// here. docs/operations.md describes them all.

// Describe implements [prometheus.Collector]. It describes nothing: which kinds of actors and which
// peers there are is known only when they are.
func (m *Machine) Describe(chan<- *prometheus.Desc) {}

// Collect implements [prometheus.Collector]. It waits for no actor.
func (m *Machine) Collect(ch chan<- prometheus.Metric) {
	s := sink{ch}
	m.collectRaft(s)
	m.collectDisk(s)
	m.collectKinds(s)
	m.collectState(s)
	m.collectWatches(s)
	m.collectPeers(s)
}

// sink takes the metrics of a scrape. Labels are names and values in turn.
type sink struct{ ch chan<- prometheus.Metric }

func (s sink) counter(name, help string, value uint64, labels ...string) {
	s.send(prometheus.CounterValue, name, help, float64(value), labels)
}

func (s sink) gauge(name, help string, value float64, labels ...string) {
	s.send(prometheus.GaugeValue, name, help, value, labels)
}

func (s sink) send(kind prometheus.ValueType, name, help string, value float64, labels []string) {
	var names, values []string
	for pair := range slices.Chunk(labels, 2) {
		names, values = append(names, pair[0]), append(values, pair[1])
	}
	desc := prometheus.NewDesc(name, help, names, nil)
	metric, err := prometheus.NewConstMetric(desc, kind, value, values...)
	if err != nil {
		metric = prometheus.NewInvalidMetric(desc, err) // nothing recovers a panic here
	}
	s.ch <- metric
}

func (m *Machine) collectRaft(s sink) {
	r := m.metrics.raft.get()
	s.gauge("etcd_server_has_leader", "Whether a leader is known.", number(r.Leader != raft.None))
	s.gauge("etcd_server_is_leader", "Whether this machine leads.", number(r.Leader != raft.None && r.Leader == r.MemberID))
	s.gauge("etcd_server_is_learner", "Whether this machine has no vote yet.", number(slices.Contains(r.Learners, r.MemberID)))
	s.gauge("etcd_server_id", "The ID of this machine as a member.", 1, "server_id", m.memberID())
	s.counter("etcd_server_leader_changes_seen_total", "Leaders that this machine has learned of since its start.", m.metrics.leaderChanges.Load())
	s.counter("etcd_server_proposals_committed_total", "The commit index.", r.Commit)
	s.counter("etcd_server_proposals_applied_total", "The index of the last entry that was applied.", r.Applied)
	s.gauge("etcd_server_proposals_pending", "Proposals that wait for a leader or to be committed.", float64(r.Pending))
	s.counter("etcd_server_proposals_failed_total", "Proposals that were refused, or whose outcome is unknown.", m.metrics.proposalsFailed.Load())
	s.counter("etcd_server_read_indexes_failed_total", "Linearizable reads that were not served.", m.metrics.readsFailed.Load())
	s.counter("etcd_server_slow_apply_total", "Batches of entries that took over 100 ms to apply.", m.metrics.slowApplies.Load())
	s.gauge("etcd_server_snapshot_apply_in_progress_total", "Whether a snapshot of the leader is being received.", number(m.metrics.receiving.Load()))
	s.gauge("etcd_cluster_members", "Members of the cluster by role.", float64(len(r.Voters)), "role", "voter")
	s.gauge("etcd_cluster_members", "Members of the cluster by role.", float64(len(r.Learners)), "role", "learner")
	s.gauge("etcd_raft_term", "The term.", float64(r.Term))
	s.gauge("etcd_raft_commit_index", "The commit index.", float64(r.Commit))
	s.gauge("etcd_raft_applied_index", "The index of the last entry that was applied.", float64(r.Applied))
	s.gauge("etcd_raft_log_full", "Whether the log is full until the next snapshot is on disk, so that a leader refuses writes.", number(m.LogFull()))
}

func (m *Machine) collectDisk(s sink) {
	s.ch <- m.metrics.disk.times
	s.counter("etcd_disk_wal_write_bytes_total", "Bytes that were written to the log since the start.", m.metrics.disk.bytes.Load())
	s.gauge("etcd_disk_wal_segments", "Segment files of the log.", float64(m.metrics.disk.segments.Load()))
	s.gauge("etcd_disk_wal_waiting_seconds", "How long the write under way has waited for the disk.", m.DiskWait().Seconds())
	s.ch <- m.metrics.snapshotTimes
	s.counter("etcd_snap_saved_bytes_total", "Bytes of the snapshots that were written since the start.", m.metrics.snapshotBytes.Load())
	s.gauge("etcd_snap_last_bytes", "Bytes of the last snapshot that was written since the start.", float64(m.metrics.lastSnapshot.Load()))
}

func (m *Machine) collectKinds(s sink) {
	m.kindsMu.Lock()
	kinds := slices.Clone(m.kinds)
	m.kindsMu.Unlock()
	now := time.Now()
	for _, k := range kinds {
		depth := k.Depth()
		s.gauge("etcd_actor_mailbox_depth", "Messages that wait in the mailboxes of a kind of actor.", float64(depth), "kind", k.Name)
		s.gauge("etcd_actor_mailbox_peak", "The highest depth of the last one to two minutes, and since the last scrape.", float64(k.peak.read(now, depth)), "kind", k.Name)
		s.counter("etcd_actor_messages_received_total", "Messages that were handled.", uint64(k.Received()), "kind", k.Name)
		s.gauge("etcd_actor_running", "Actors that run.", float64(k.Running()), "kind", k.Name)
		s.counter("etcd_actor_started_total", "Actors that have started.", k.started.Load(), "kind", k.Name)
		s.counter("etcd_actor_ended_total", "Actors that have ended.", k.ended.Load(), "kind", k.Name)
		s.counter("etcd_actor_panics_total", "Actors that have panicked.", k.panics.Load(), "kind", k.Name)
		if k.handling != nil {
			s.ch <- k.handling
		}
	}
}

func (m *Machine) collectState(s sink) {
	state := m.metrics.state.get()
	s.gauge("etcd_cluster_version", "The version of the cluster, as a label.", 1, "cluster_version", strconv.FormatUint(uint64(state.version), 10))
	s.gauge("etcd_store_keys", "Keys with a value.", float64(state.Nodes-state.Dirs))
	s.gauge("etcd_store_directories", "Directories.", float64(state.Dirs))
	s.gauge("etcd_store_deadlines", "Keys and directories with a time to live.", float64(state.Deadlines))
	s.gauge("etcd_store_bytes", "Bytes of all paths and values.", float64(state.Bytes))
	s.gauge("etcd_store_quota_used_bytes", "Bytes that count against the quota: all paths, keys and values, and 128 for each key, directory, and version of a v3 key.", float64(state.size))
	s.gauge("etcd_server_quota_backend_bytes", "The quota; 0: there is none.", float64(state.quota))
	s.gauge("etcd_store_history_events", "Events that are kept for watchers.", float64(state.history))
	s.gauge("etcd_store_history_limit_events", "Events that may be kept for watchers.", float64(state.historyLimit))
	s.gauge("etcd_store_history_bytes", "Bytes of the events that are kept.", float64(state.historyBytes))
	s.gauge("etcd_store_history_limit_bytes", "Bytes of events that may be kept.", tree.MaxHistoryBytes)
	const reads, failedReads = "Reads of keys.", "Reads of keys that are not there."
	s.counter("etcd_debugging_store_reads_total", reads, m.local.found.Load(), "action", "get")
	s.counter("etcd_debugging_store_reads_failed_total", failedReads, m.local.failed.Load(), "action", "get")
	for action := tree.ActionSet; action <= tree.ActionCompareAndDelete; action++ {
		success, fail := state.counts.of(action)
		s.counter("etcd_debugging_store_writes_total", "Writes that were applied.", *success, "action", action.String())
		s.counter("etcd_debugging_store_writes_failed_total", "Writes whose condition did not hold, or that were not possible.", *fail, "action", action.String())
	}
	s.counter("etcd_debugging_store_expires_total", "Keys and directories that have expired.", state.counts.Expired)
	m.collectKeyspace(s, state.kv)
}

func (m *Machine) collectKeyspace(s sink, kv keyspaceTotals) {
	s.gauge("etcd_debugging_mvcc_keys_total", "Keys of the v3 API.", float64(kv.keys))
	s.gauge("etcd_debugging_mvcc_current_revision", "The revision of the v3 keys.", float64(kv.revision))
	s.gauge("etcd_debugging_mvcc_compact_revision", "The last revision that was compacted; -1: none was.", float64(kv.compacted))
	s.gauge("etcd_mvcc_db_total_size_in_use_in_bytes", "Bytes of all versions of v3 keys that are not compacted, and 128 for each.", float64(kv.bytes))
	s.counter("etcd_mvcc_put_total", "v3 keys that were written.", kv.counts.puts)
	s.counter("etcd_mvcc_delete_total", "v3 keys that were deleted.", kv.counts.deletions)
	s.counter("etcd_mvcc_txn_total", "v3 transactions that were applied.", kv.counts.txns)
	s.counter("etcd_mvcc_range_total", "v3 ranges and transactions that only read.", m.local.queries.Load())
}

func (m *Machine) collectWatches(s sink) {
	hub := m.metrics.hub.get()
	const subscribers = "Connections with watches: current ones, those that wait to catch up, and those that do."
	s.gauge("etcd_debugging_store_watchers", "Watches.", float64(hub.Watches))
	s.counter("etcd_debugging_store_watch_requests_total", "Watches that were asked for.", m.metrics.watchRequests.Load())
	s.gauge("etcd_watch_subscribers", subscribers, float64(hub.Subscribers-hub.Behind-hub.CatchingUp), "state", "current")
	s.gauge("etcd_watch_subscribers", subscribers, float64(hub.Behind), "state", "behind")
	s.gauge("etcd_watch_subscribers", subscribers, float64(hub.CatchingUp), "state", "catching_up")
	s.gauge("etcd_watch_lag_entries", "Entries by which the subscriber that was furthest behind lagged at the scrape before.", float64(m.metrics.watchLag.Load()))
	if m.metrics.lagAsked.CompareAndSwap(false, true) {
		m.System.Root.Send(m.Hub, reportLag{})
	}
	s.counter("etcd_watch_events_delivered_total", "Events that were delivered to watches.", m.metrics.eventsDelivered.Load())
	s.counter("etcd_watch_lost_total", "Watches that were refused, or have ended, because the history no longer had their events.", m.metrics.watchesLost.Load())
}

func (m *Machine) collectPeers(s sink) {
	s.counter("etcd_network_peer_refused_total", "Connections and messages of other machines that were refused.", uint64(m.Inbox.refused.Load()))
	m.metrics.links.each(func(member uint64, l *link) {
		to := MemberID(member)
		s.ch <- l.roundTrip
		control, bulk := l.control.Stats(), l.bulk.Stats()
		s.counter("etcd_network_peer_sent_bytes_total", "Bytes that were sent to a peer over streams.", control.Bytes+bulk.Bytes, "To", to)
		s.counter("etcd_network_peer_received_bytes_total", "Bytes that a peer has sent over streams.", m.Receiver.Received(member), "From", to)
		s.counter("etcd_network_peer_sent_failures_total", "Frames for a peer that were dropped.", control.Dropped+bulk.Dropped, "To", to)
		for class, stats := range map[transport.Class]transport.Stats{transport.Control: control, transport.Bulk: bulk} {
			s.gauge("etcd_network_peer_stream_connected", "Whether a stream to a peer is connected.", number(stats.Connected), "To", to, "stream", class.String())
		}
		s.gauge("etcd_network_active_peers", "Whether any stream to a peer is connected.", number(control.Connected || bulk.Connected), "Local", m.memberID(), "Remote", to)
		s.counter("etcd_network_disconnected_peers_total", "Streams to a peer that were lost.", control.Disconnects+bulk.Disconnects, "Local", m.memberID(), "Remote", to)
	})
}

func (m *Machine) memberID() string { return MemberID(m.disk.Identity.MemberID) }

func number(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
