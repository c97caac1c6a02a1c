// Package vfs is the small part of a filesystem that a data directory needs.
//
// It owns the interfaces [FS] and [File], their real implementation, [Dir], and the
// question who else can put files there, [CheckDir].
//
// It promises that a call which returns nil did what its comment says, on a disk that
// honours flushes, that signals are not mistaken for errors, and that nobody who can write
// in the directory makes it use a file elsewhere, or wait.
//
// Not every system can do all of it. Linux is the measure; the files of the others (_darwin,
// _windows, _otherunix) say what cannot be promised there.
//
// It must never retry a failed fsync, follow a link in the directory, or know what the
// files mean.
package vfs
