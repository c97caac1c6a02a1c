// Package mvcc is the keyspace of the v3 API: byte strings in their order, each with every version it has had
// since the last compaction.
//
// It owns revisions. The first is 1, of an empty keyspace; every command that changes anything makes one more,
// and numbers its changes from 0.
//
// It promises that
//   - what a command does is a function of the commands before it, and it is done whole or not at all;
//   - compaction is logical: no reader, snapshot, hash or size sees what was compacted, however much of it is
//     still in memory. [Keyspace.Free] frees that piece by piece, whenever the caller has time;
//   - a [View] never changes once handed out, and taking one takes constant time;
//   - the newest versions of n keys are read in O(log n + n), those of an older revision in O(log n + versions in
//     the range), the changes since a revision in O(log n + changes).
//
// It must never read a clock, start a goroutine, log, or know clients, actors or Raft.
package mvcc
