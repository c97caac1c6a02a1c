// Package watch is the core of the watch hub: the subscribers, their watches, and the events
// that are delivered to them.
//
// It owns the subscribers of this machine and their watches. A subscriber is one
// connection or stream, however many watches it has. While it is current, each published
// event is matched once and put on its ready list, [MaxReady] deliveries at most; a writer
// takes the list, and reports when it is written. If the list overflows the subscriber is
// behind, and so is one that adds a watch from an index in the past: its ready list is
// dropped, and a [CatchUp] searches the history for what it has missed. That takes none of
// the hub's time, and one pass serves all subscribers that wait for one. Events that are
// published meanwhile go to a ready list again, and when the pass is over the subscriber
// becomes current in one step. A subscriber whose only watch ends with an event is forgotten
// when that is published, and its delivery goes to the next writer.
//
// It promises that
//   - a watch from an index gets every matching event from that index on, in order, once,
//     or is told that the history no longer reaches back that far, or that there is no leader;
//   - a watch without an index gets the events that are published after it was added;
//   - what a batch says of the events up to its index is true, so that its subscriber may go on from
//     there at another machine;
//   - a subscriber that does not take its deliveries costs a cursor, and delays no other;
//   - an event costs work for the watches that match it, and the removal of a directory for
//     those below it, not for others;
//   - no call but CatchUp.Scan scans the history, and that only as many events as it is told;
//   - the same calls give the same deliveries in the same order;
//   - an idle watch costs its own few words of memory and nothing else.
//
// It never blocks, starts no goroutine, reads no clock and does not know who a
// subscriber is: it returns what to deliver and its caller delivers it.
package watch
