// Package vfs is the small part of a filesystem that a data directory needs.
//
// It owns the interfaces [FS] and [File], their real implementation, [Dir], and the check
// whether others can put files there, [CheckDir].
//
// It promises that a call which returns nil did what its comment says, on a disk that
// honours flushes, that signals are not mistaken for errors, and that nobody who can write
// in the directory can make it use a file elsewhere, or block.
//
// Not every system can do all of it. Linux is the reference; the files of the others (_darwin,
// _windows, _otherunix) say what cannot be promised there.
//
// It must never retry a failed fsync, follow a link in the directory, or know what the
// files mean.
package vfs
