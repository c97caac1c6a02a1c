// Package httpfront is the HTTP engine of a machine: what all APIs over HTTP have in common.
// Each of them is a folder that gives it routes: v1, ops, and peerfront for the port for
// machines.
//
// It owns reading requests, one session actor per connection, what may be asked of the
// machine (see [Exchange]) and waiting for it in time, parking a connection for a watch,
// the errors of v1 and v2, limits on what clients may send, and which web pages may use a
// port. It must never know an API, a key, or which routes there are.
//
// It promises that
//   - every request gets exactly one answer, bad ones an error in the JSON shape of
//     the API, and nothing is applied after an error;
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
// its end, in memory that grows with what comes, or ends the connection; it sends one
// message and waits for the session actor to receive the answer. A session therefore has
// one request under way at a time.
//
// A watch takes the connection out of fasthttp (a hijack), because a handler that
// waits cannot see its client leave. From then on one goroutine waits in Read. The
// session actor, when it receives the event, ends that Read by moving its deadline
// to the past; the goroutine writes the answer and hands the connection back to
// fasthttp.
package httpfront
