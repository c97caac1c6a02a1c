// Package vfs is the small part of a filesystem that a data directory needs.
//
// It owns the interfaces [FS] and [File], and their real implementation, [Dir].
//
// It promises that a call which returns nil did what its comment says, on a disk that
// honours flushes, and that signals are not mistaken for errors.
//
// It must never retry a failed fsync, or know what the files mean.
package vfs
