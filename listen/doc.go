// Package listen is what a machine's ports have in common, independent of their protocols.
//
// It owns accepting and counting connections, TLS and its handshakes, what is done about too
// many connections and about clients that do not speak the port's protocol, stopping
// without losing clients that are connected already, and polling connections that nobody reads.
//
// It promises that
//   - no more connections are open than the port may have. One over the limit is told so, if
//     that costs next to nothing, before anything is read from it;
//   - at a peer port there is always room for a pending connection, one whose dialer
//     has not been admitted yet: the oldest of the host with the most is evicted;
//   - no connection waits for the handshake of another;
//   - running out of descriptors ends nothing, and what anybody can provoke is logged
//     at a rate limit.
//
// It must never know the protocol spoken over a connection, its handlers, or an actor.
package listen
