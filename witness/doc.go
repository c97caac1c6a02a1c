// Package witness is what the members of a cluster know of each other's disks.
//
// Raft relies on every member having what it has acknowledged. A data directory that was
// restored from a backup, or a disk that lost writes, breaks that, and a directory that
// runs twice breaks it as well. So every member tells the others how far its log reaches
// durably, and they remember it: a [Record] for each member, kept on disk in one file.
// A process that comes with less, or while another one with its identity is connected, is
// not taken in.
//
// It owns the rule ([Book.Judge]), the records and their file, and the time in which a
// process that has just started takes no part ([Probation]).
//
// It promises that a member which has lost nothing is never judged [Behind], whatever
// crashed and in whatever order its messages arrive. It does not promise the opposite: what
// nobody has seen, or everybody has forgotten, nobody misses.
//
// It must never read a clock, start a goroutine or know who is connected.
package witness
