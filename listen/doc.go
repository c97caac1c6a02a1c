// Package listen is what a machine's ports have in common, whatever is spoken there.
//
// It owns accepting and counting connections, TLS and its handshakes, what is done about too
// many connections and about clients that do not speak what the port does, and stopping
// without losing who is connected already.
//
// It promises that
//   - no more connections are open than the port may have. One too many is told so, if that
//     costs next to nothing, before anything of it is read;
//   - at a port for machines there is always room for one that has not said yet who it is:
//     of those, the oldest of the host that has most of them makes way;
//   - nobody waits for another one's handshake;
//   - running out of descriptors ends nothing, and what anybody can bring about is logged
//     at a bounded rate.
//
// It must never know what is spoken over a connection, who answers it, or an actor.
package listen
