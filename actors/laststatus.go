package actors

import "etcd/raftnode"

// LastStatus returns the status of Raft as of the last tick, or of a later change of the leader. It asks no actor,
// and may be called from any goroutine.
func (m *Machine) LastStatus() raftnode.Status { return m.metrics.raft.get() }
