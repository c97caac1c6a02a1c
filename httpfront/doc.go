// Package httpfront is the HTTP engine of a machine: what all APIs over HTTP have in common.
// Each of them is a package that gives it routes: v1, v2, ops, and peerfront for the peer port.
//
// It owns reading requests, one session actor per connection, the requests to the machine
// (see [Exchange]) and the deadlines of their answers, parking a connection for a watch,
// the errors of v1 and v2, limits on what clients may send, which web pages may use a port, and
// what users may ask for. It must never know an API, a key, or which routes there are.
//
// It promises that
//   - every request gets exactly one answer, a bad one an error in the JSON shape of
//     the API, and nothing is applied after such an error;
//   - a connection that waits, for a request or for the event of a watch, costs no goroutine and
//     no buffers where the system has a poller; a watch gives its connection back to keep-alive
//     after the answer, and is gone when its client is;
//   - a stream has each event once, and nothing that it says of an index is wrong; a reader that is
//     slow costs no other anything, one that is dead is cut off;
//   - whatever a client controls has a limit.
//
// # The life of a connection
//
// Every connection of the port (see package listen) is wrapped in a conn, which gets a
// session when its first request needs one. With TLS the first Read does the handshake; what
// is said here of reads and deadlines holds for both.
// It is parked (see park.go) until the poller of the port says that something has arrived. If that
// is a whole request, and its route is direct, it is served on the spot (see direct.go): the
// handler sends one message, and when the session actor receives the answer, it goes on with the
// handler and writes what that returns, without waiting. A session therefore has one
// request in flight at a time.
//
// Everything else is served by fasthttp, on a goroutine: it parses the header and calls the handler,
// the body is read to its end, in memory that grows with what arrives, and the handler waits for
// the session actor to receive the answer. A watch hijacks the connection from fasthttp,
// because a handler that waits cannot see that its client has gone. Fasthttp closes what it lets go
// of: then the connection is parked. A stream (see follow.go) is parked again after each batch of
// events, and asks the hub for a sign of life when it has written nothing for a while (see aging.go).
package httpfront
