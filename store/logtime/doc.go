// Package logtime is time as entries of the log carry it.
//
// It owns the representation, which is part of the formats of commands and
// snapshots. It promises that arithmetic never wraps around. It must never read
// a clock: what time it is comes in from outside, with an entry.
package logtime
