// Package wal keeps a member's Raft log and snapshots on disk.
//
// It owns the segment files and their records, the fsyncs, the snapshot
// files, the lock against a second process and the repair of what a crash
// left behind. All of it goes through the small filesystem interface
// [vfs.FS]; [vfs.Dir] is the real one. docs/storage-format.md describes every byte.
//
// It promises:
//
//   - What [Log.Sync], [Snapshots.Save] and [Create] returned nil for survives
//     a power cut, directory entries included, on a disk that honours flushes;
//     so does what [Open] has found, whoever wrote it.
//   - One Sync is one record, one write and one fdatasync, so a crash can
//     damage only the last record, which was never acked. [Open] cuts that
//     off and reports it. Any other damage makes it refuse to start.
//   - A failed write or fsync is never retried: the Log stays dead.
//   - A snapshot file appears whole or not at all. If it is damaged later,
//     recovery falls back to the one before it.
//
// It must never interpret what an entry or a snapshot body holds, start a
// goroutine, read a clock or write a log line.
package wal
