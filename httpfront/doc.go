// Package httpfront is the HTTP engine of a machine: what all APIs over HTTP have in common.
// Each of them is a package that gives it routes: v1, ops, and peerfront for the peer port.
//
// It owns reading requests, one session actor per connection, the requests to the machine
// (see [Exchange]) and the deadlines of their answers, parking a connection for a watch,
// the errors of v1 and v2, limits on what clients may send, and which web pages may use a
// port. It must never know an API, a key, or which routes there are.
//
// It promises that
//   - every request gets exactly one answer, a bad one an error in the JSON shape of
//     the API, and nothing is applied after such an error;
//   - a watch that waits, and a connection that waits for its next request for longer than a
//     second, cost no goroutine and no buffers where the system has a poller; a watch gives its
//     connection back to keep-alive after the answer, and is gone when its client is;
//   - whatever a client controls has a limit.
//
// # The life of a connection
//
// Every connection of the port (see package listen) is wrapped in a conn, which gets a
// session when its first request needs one. With TLS the first Read does the handshake; what
// is said here of reads and deadlines holds for both.
// fasthttp parses the header of a request and calls the handler. That reads the body to
// its end, in memory that grows with what arrives, or ends the connection; it sends one
// message and waits for the session actor to receive the answer. A session therefore has
// one request in flight at a time.
//
// A watch hijacks the connection from fasthttp, because a handler that waits cannot see
// that its client has gone. Fasthttp closes what it lets go of: then the connection is parked
// (see park.go), and the poller of the port says when its client has sent something or has gone.
// When the session actor receives the event, it writes the answer without waiting; only if
// the socket is full a goroutine goes on. Then the connection is parked until its next request.
package httpfront
