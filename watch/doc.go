// Package watch is the core of the watch hub: who waits for which events.
//
// It owns the watchers of this machine, and the one step in which a position in
// the history is looked up and what comes next is subscribed to. Because that is
// one step of one owner, a watcher misses nothing and sees nothing twice.
//
// It promises that
//   - a watcher that starts at an index gets every matching event from that index
//     on, in order, or is told that the history no longer reaches back that far;
//   - a watcher without an index gets the events that are published after it was
//     added;
//   - an event costs work for the watchers that match it, not for those that do not;
//     only the removal of a directory looks at every watched path;
//   - the same calls give the same deliveries in the same order;
//   - an idle watcher costs its own few words and nothing else.
//
// It never blocks, starts no goroutine, reads no clock and does not know who a
// watcher is: it returns what to deliver and its caller delivers it.
package watch
