// Package crashfs is a data directory in memory, for tests: it can fail any
// operation, and it knows what a power cut would leave of it.
//
// It owns the difference between what a process has written and what is durable: the
// content of a file as of its last Sync, the names in the directory as of the last
// SyncDir.
//
// It promises that never less than that survives a crash, and nothing about order beyond it:
// any part of what was not synced may survive, down to single bytes. As on Linux, what a
// failed sync could not write is not retried: the page cache shows it, the disk may not have
// it, and the next sync succeeds without it.
//
// It must never be part of the server.
package crashfs
