// Package store is the replicated state machine: one tree of keys for the v1
// and the v2 API, the index of deadlines, the history of events for watchers,
// the members of the cluster, and the snapshot of all that.
//
// It owns what a command means. Commands are storepb messages in log order;
// Apply turns each into a Result with at most one Event. It is neutral between
// the APIs: a refused command is reported as a Failure, which the HTTP codecs
// word in their own ways.
//
// It promises that
//   - the state is a function of the commands, their indexes and their times:
//     machines that applied the same log write byte-identical snapshots;
//   - Node, Event, History and Snapshot never change once handed out, so they
//     may be read in any goroutine while the store goes on;
//   - taking a Snapshot or a History takes constant time, whatever the size of
//     the tree;
//   - listing a directory costs in proportion to its children, not to what is
//     below them.
//
// It must never read a clock, start a goroutine, log, touch a file or a
// socket, or know HTTP, actors or Raft. A Store belongs to one goroutine; that
// includes its reading methods.
//
// # Keys
//
// A path is "/" or "/a/b": absolute, without empty, "." and ".." components.
// Paths are compared as bytes and any valid UTF-8 is allowed in them. Names
// that begin with an underscore are hidden by the APIs, not here. The root is
// always there and cannot be changed.
//
// # History
//
// The history holds the newest HistoryLimit published events, and of those
// only as many as fit in MaxHistoryBytes. Which events that are is part of the
// replicated state, so both limits may only change through the log or with
// the format version of snapshots.
package store
