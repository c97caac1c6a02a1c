// Package witness is what the members of a cluster know of each other's disks.
//
// Raft relies on every member having what it has acknowledged. A data directory that was
// restored from a backup, or a disk that lost writes, breaks that, and a directory that
// runs twice breaks it as well. So every member tells the others how far its log reaches
// durably, and they remember it: a [Record] for each member, kept on disk in one file.
// A process that connects with less, or while another one with its identity is connected,
// is refused.
//
// It owns the rule ([Book.Judge]), the records and their file, and the time after a start
// in which a process neither votes nor acks ([Probation]).
//
// It promises that a member which has lost nothing is never judged [Behind], whatever
// crashed and in whatever order its messages arrive. It does not promise the opposite: the
// loss of what no peer has seen, or all have forgotten, goes unnoticed.
//
// It must never read a clock, start a goroutine or know who is connected.
package witness
