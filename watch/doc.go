// Package watch is the core of the watch hub: who waits for which events.
//
// It owns the subscribers of this machine and their watches. A subscriber is one
// connection or stream, however many watches it has. While it is current, what is
// published is matched once and made ready for it, [MaxReady] deliveries at most; a writer
// takes those, and says when they are written out. A subscriber for which more is published
// than that is behind, and so is one with a watch from an index in the past: what was ready
// is dropped, and a [CatchUp] looks in the history for what it has not got. That needs none
// of the hub's time, and one pass serves all who wait for one. Meanwhile what is published
// is made ready behind it again, and when the pass is over the subscriber is current in one
// step. A subscriber whose only watch ends with an event is forgotten when that is published,
// and its delivery handed to the next writer.
//
// It promises that
//   - a watch from an index gets every matching event from that index on, in order, once,
//     or is told that the history no longer reaches back that far;
//   - a watch without an index gets the events that are published after it was added;
//   - whoever does not take its deliveries costs a cursor, and delays nobody;
//   - an event costs work for the watches that match it, and the removal of a directory for
//     those below it, not for others;
//   - no call looks at the history but CatchUp.Scan, as far as it is told to;
//   - the same calls give the same deliveries in the same order;
//   - an idle watch costs its own few words and nothing else.
//
// It never blocks, starts no goroutine, reads no clock and does not know who a
// subscriber is: it returns what to deliver and its caller delivers it.
package watch
