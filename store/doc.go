// Package store is the replicated state machine: the tree of keys for the v1
// and the v2 API (package tree), the users and roles (package auth), the members
// of the cluster, and the snapshot of all that.
//
// It owns what a command is. Commands are storepb messages in log order;
// Apply turns each into a Result with at most one event.
//
// It promises that
//   - the state is a function of the commands, their indexes and their times:
//     machines that applied the same log write byte-identical snapshots;
//   - a View never changes once handed out, so it may be read in any goroutine
//     while the store goes on;
//   - taking a View takes constant time, whatever the size of the state.
//
// It must never read a clock, start a goroutine, log, touch a file or a
// socket, or know HTTP, actors or Raft. A Store belongs to one goroutine; that
// includes its reading methods.
package store
