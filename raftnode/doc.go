// Package raftnode is the consensus core: go.etcd.io/raft's RawNode as a step
// machine.
//
// It owns the Raft state of this machine, the newest part of the log in memory and
// what was read back of the rest, the proposals and reads that wait for an answer,
// and the envelope in which a command travels through the log.
//
// It is driven by hand: every input (a tick, a proposal, a read, the report that
// something is durable or applied) is a method call that returns at once, and
// [Node.Work] hands back what has to happen next. Nothing happens in between,
// so a test, a simulator and an actor drive it in the same way. The same inputs give
// the same outputs, but for the random part of election timeouts, which Raft draws
// itself.
//
// It promises that
//   - an [Append] must be durable before [Node.Appended] is called with it, and
//     nothing that depends on it (a vote, an acknowledgement, a commit) leaves
//     before that;
//   - entries are handed out for application in order, once, and only when they
//     are committed;
//   - every proposal and every read is answered exactly once: by its entry being
//     handed out, by being released, or by a [Failure], and within the request
//     timeout;
//   - a proposal that was forwarded to the leader is proposed once, however often the
//     network loses or duplicates it, as long as nothing of one process of a member arrives
//     after something of its next process;
//   - a read is released only when the entries handed out before it contain every
//     write that was acknowledged before the read arrived.
//
// It never blocks, never touches a disk, a socket or a clock, and never looks
// into a command.
package raftnode
