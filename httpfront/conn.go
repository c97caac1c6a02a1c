package httpfront

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"

	"github.com/valyala/fasthttp"

	"etcd/listen"
)

// accepting gives the connections of a port what HTTP needs of them.
type accepting struct{ net.Listener }

func (a accepting) Accept() (net.Conn, error) {
	c, err := a.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c.(*listen.Conn)}, nil
}

// conn is a client's connection. What it adds to that of the port is its session, that
// bytes which were read too early can be given back, and what a body in chunks may take.
type conn struct {
	*listen.Conn
	session *session

	early   []byte // read next
	gotLine bool   // a line has come since the last request: an error is not in its first
	drained bool   // give back what is buffered above, read nothing new
	chunked bool   // a body in chunks is being read
	unread  int    // bytes that it may still take, sizes and extensions of the chunks included
	first   bool   // fasthttp has not announced the first request
	// parked is what the connection does next instead of being closed by fasthttp, which
	// does that to one that was taken out of it.
	parked  func()
	closing sync.Once
}

// errDrained ends reading from a buffered reader above a drained conn.
var errDrained = errors.New("httpfront: drained")

func (c *conn) Read(p []byte) (int, error) {
	if len(c.early) > 0 {
		n := copy(p, c.early)
		c.early = c.early[n:]
		c.SetQuiet(false)
		return n, nil
	}
	if c.drained {
		return 0, errDrained
	}
	if c.chunked && c.unread <= 0 {
		return 0, errChunks
	}
	n, err := c.Conn.Read(p)
	c.unread -= n
	c.gotLine = c.gotLine || bytes.IndexByte(p[:n], '\n') >= 0
	return n, err
}

// reclaim takes the connection back from a hijack: what the reader above had read
// ahead will be read again, and the reader, with its buffer, goes back to its pool.
func (c *conn) reclaim(hijacked io.Reader) error {
	c.drained = true
	early, err := io.ReadAll(hijacked)
	c.drained = false
	if !errors.Is(err, errDrained) {
		return errors.Join(errors.New("httpfront: a hijacked connection did not end where it should"), err)
	}
	if len(early) > 0 {
		c.early = early
	}
	return nil
}

// Close ends the session of the connection, and closes it. When fasthttp closes a connection
// that was taken out of it for a watch it has put all its own away, and the watch begins to
// wait, on a goroutine of its own.
func (c *conn) Close() error {
	if parked := c.parked; parked != nil {
		c.parked = nil
		go parked()
		return nil
	}
	c.closing.Do(func() {
		if c.session != nil {
			c.session.stop()
		}
	})
	return c.Conn.Close()
}

// connState follows whether a connection has a request under way. fasthttp announces
// the first one before a byte of it has come; that one begins when something is read.
func connState(nc net.Conn, state fasthttp.ConnState) {
	c, ok := nc.(*conn)
	if !ok {
		return
	}
	switch state {
	case fasthttp.StateNew:
		c.beQuiet()
	case fasthttp.StateIdle:
		c.SetQuiet(true)
	case fasthttp.StateActive:
		if !c.first {
			c.SetQuiet(false)
		}
		c.first = false
	case fasthttp.StateHijacked:
		c.LetIn()
	}
}

// beQuiet says that the connection is about to wait for its first request, or for the
// first one after a watch.
func (c *conn) beQuiet() {
	c.first = true
	c.SetQuiet(true)
}
