package httpfront

import (
	"net"

	"github.com/valyala/fasthttp"
)

// connState follows whether a connection has a request under way. fasthttp announces
// the first one before a byte of it has come; that one begins when something is read.
func (s *Server) connState(nc net.Conn, state fasthttp.ConnState) {
	c, ok := nc.(*conn)
	if !ok {
		return
	}
	switch state {
	case fasthttp.StateNew:
		s.conns.Store(c, nil)
		c.beQuiet()
	case fasthttp.StateIdle:
		c.quiet.Store(true)
	case fasthttp.StateActive:
		if !c.first {
			c.quiet.Store(false)
		}
		c.first = false
	case fasthttp.StateHijacked:
		s.newcomers.remove(c)
	}
}

// beQuiet says that the connection is about to wait for its first request, or for the
// first one after a watch.
func (c *conn) beQuiet() {
	c.first = true
	c.quiet.Store(true)
}

// closeQuiet closes the connections without a request at a stop. fasthttp knows only
// those that had one before, and would wait for the others.
func (s *Server) closeQuiet() {
	s.conns.Range(func(key, _ any) bool {
		if c := key.(*conn); c.quiet.Load() {
			_ = c.Close() // there is nobody to tell
		}
		return true
	})
}
