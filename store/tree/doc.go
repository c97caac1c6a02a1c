// Package tree is what the v1 and the v2 API share: files and directories,
// their deadlines, and the history of events for watchers.
//
// It owns what a command about keys does to the tree. Every command gets the
// index of its entry, which becomes the created and the modified index of what
// it writes, and makes at most one Event. A refused command is reported as a
// Failure, which the HTTP codecs word in their own ways.
//
// It promises that
//   - the tree is a function of the commands, their indexes and their times;
//   - Node, Event, History and View never change once handed out, so they may
//     be read in any goroutine while the tree goes on;
//   - taking a View or a History takes constant time, whatever the size of the
//     tree, and so does removing a directory with all that is in it;
//   - listing a directory costs in proportion to its children, not to what is
//     below them.
//
// It must never read a clock, start a goroutine, log, touch a file or a
// socket, or know HTTP, actors, Raft or who belongs to the cluster. A Tree
// belongs to one goroutine; that includes its reading methods.
//
// # Paths
//
// A path is "/" or "/a/b": absolute, without empty, "." and ".." components.
// Paths are compared as bytes and any valid UTF-8 is allowed in them. Names
// that begin with an underscore are hidden by the APIs, not here. The root is
// always there and cannot be changed.
//
// # History
//
// The history holds the newest events, at most as many as its limit says, and
// of those only as many as fit in MaxHistoryBytes. Which events that are is
// part of the replicated state, so both limits may only change through the log
// or with the format version of snapshots.
package tree
