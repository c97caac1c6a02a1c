package httpfront

import (
	"bytes"
	"errors"
	"io"
	"net"
	"time"

	"github.com/valyala/fasthttp"

	"etcd/listen"
)

// connListener wraps the connections that a port accepts in a conn.
type connListener struct {
	net.Listener
	server    *Server
	checkHost bool
}

func (a connListener) Accept() (net.Conn, error) {
	for {
		accepted, err := a.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &conn{Conn: accepted.(*listen.Conn), server: a.server, checksHost: a.checkHost, undecided: a.server.cfg.HTTP2 != nil}
		if !c.parkNew() {
			return c, nil
		}
	}
}

// conn is a client's connection. It adds to that of the port its session and a buffer for bytes
// that were read ahead and are read again.
type conn struct {
	*listen.Conn
	server  *Server
	session *session
	parking
	place *place // since it was parked; nil: it was not

	readAhead   []byte // read ahead; Read returns it first
	failed      error  // and then this
	more        bool   // not all that had arrived with a direct request may have been read
	validHost   string // the host of its last direct request
	gotLine     bool   // a line has arrived since the last request: an error is not in the request line
	drained     bool   // Read gets nothing new, so that a buffered reader above returns only what it has
	checksHost  bool   // a request that calls this machine by a name of others is refused
	awaitsFirst bool   // fasthttp has not announced the first request yet
	served      bool   // a request was, so it may be parked until the next one
	shortened   bool   // the deadline of Read is that of parking
	greets      bool   // its TLS handshake has not begun
	undecided   bool   // it may become HTTP/2

	deadline  time.Time // of Read, for the goroutine that reads
	lostPlace bool      // it has lost its place in Server.stalled, whose lock guards that while it is there
}

// takeReadAhead copies what was read ahead. When that is all, its memory is free.
func (c *conn) takeReadAhead(p []byte) (n int) {
	n = copy(p, c.readAhead)
	if c.readAhead = c.readAhead[n:]; len(c.readAhead) == 0 {
		c.readAhead = nil
	}
	return n
}

// errDrained ends reading from a buffered reader above a drained conn.
var errDrained = errors.New("httpfront: drained")

func (c *conn) Read(p []byte) (int, error) {
	if !c.drained {
		c.place.beforeRead()
	}
	n, err := 0, error(nil)
	switch {
	case len(c.readAhead) > 0:
		n = c.takeReadAhead(p)
		c.SetIdle(false)
	case c.drained:
		return 0, errDrained
	case c.failed != nil:
		return 0, c.failed
	default:
		n, err = c.await(p)
	}
	if c.shortened {
		if err = c.endWait(n, err); err != nil {
			return n, err
		}
	}
	if c.undecided {
		if n, err = c.decide(p, n, err); err != nil {
			return n, err
		}
	}
	c.gotLine = c.gotLine || bytes.IndexByte(p[:n], '\n') >= 0
	return n, err
}

// reclaim takes the connection back from a hijack: what the buffered reader above has read
// ahead will be read again, so the reader, with its buffer, can go back to its pool.
func (c *conn) reclaim(hijacked io.Reader) error {
	c.drained = true
	early, err := io.ReadAll(hijacked)
	c.drained = false
	if !errors.Is(err, errDrained) {
		return errors.Join(errors.New("httpfront: reading ahead on a hijacked connection did not end where it should"), err)
	}
	if len(early) > 0 {
		c.readAhead = early
	}
	return nil
}

// connState keeps track of whether a connection has a request in flight. fasthttp announces
// the first one before a byte of it has arrived; that one begins when something is read.
func connState(nc net.Conn, state fasthttp.ConnState) {
	c, ok := nc.(*conn)
	if !ok {
		return
	}
	switch state {
	case fasthttp.StateNew:
		c.beIdle()
	case fasthttp.StateIdle:
		c.served = true
		c.SetIdle(true)
	case fasthttp.StateActive:
		if !c.awaitsFirst {
			c.SetIdle(false)
		}
		c.awaitsFirst = false
	case fasthttp.StateHijacked:
		c.Admit()
	}
}

// beIdle marks the connection as idle: it is about to wait for its first request, or for
// the first one after a watch.
func (c *conn) beIdle() {
	c.awaitsFirst = true
	c.SetIdle(true)
}
