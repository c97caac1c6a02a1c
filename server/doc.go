// Package server is a whole machine as a library: Run takes a Config and runs a machine
// of it until its context ends.
//
// It owns the configuration and its validation, what the data directory remembers of it,
// recognising whose data a directory holds, the lock, founding and joining a cluster, the two
// ports and their TLS, the certificate of -auto-tls, the clock, and the order of start and
// stop.
//
// It promises that nothing is changed before the configuration is known to be valid and the
// data directory to be of this program; that a start which fails leaves nothing behind that
// the next one would stumble over; and that a stop is bounded in time, whatever the disk and
// the network do.
//
// It must never read flags, variables or signals, write to standard output or error, or
// decide anything about keys, members or the log: those who started the process, and the
// packages below it, do.
package server
