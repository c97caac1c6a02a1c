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
//   - a watch costs one parked goroutine and no buffers while it is idle, gives its
//     connection back to keep-alive after the answer, and is gone within a second
//     when its client is;
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
// that its client has gone. From then on one goroutine waits in Read. When the session
// actor receives the event it ends that Read by moving its deadline to the past; the
// goroutine writes the answer and hands the connection back to fasthttp.
package httpfront
