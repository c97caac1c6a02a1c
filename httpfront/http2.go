package httpfront

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"

	"etcd/listen"
)

// Clients that speak HTTP/2 are told apart by their connection: with TLS by the protocol that the handshake
// has chosen, and without it by the first bytes. Their connections are handed to somebody else. They
// go on counting at the port, and nothing else here knows of them.

// HTTP2 serves the connections of clients that speak HTTP/2.
type HTTP2 interface {
	// Serve serves a connection, of which nothing was read. It does not wait for its end.
	Serve(net.Conn)
	// Shutdown tells the clients to dial another machine, and waits until their requests are
	// finished or ctx ends. Connections that come later are closed.
	Shutdown(ctx context.Context) error
}

const (
	// http2Preface is how a client begins without TLS.
	http2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	// http2ByALPN is the protocol of a TLS handshake.
	http2ByALPN = "h2"
)

// http2Counts are the connections that were handed over.
type http2Counts struct{ plain, overTLS atomic.Int64 }

// greeting is what a connection begins with.
type greeting uint8

const (
	greetsHTTP1 greeting = iota
	greetsHTTP2
	greetsPart // it may still become HTTP/2
)

// greetingOf tells how the first bytes of a connection without TLS begin.
func greetingOf(first []byte) greeting {
	switch {
	case len(first) >= len(http2Preface) && string(first[:len(http2Preface)]) == http2Preface:
		return greetsHTTP2
	case len(first) < len(http2Preface) && string(first) == http2Preface[:len(first)]:
		return greetsPart
	}
	return greetsHTTP1
}

// isPart reports whether a request that is in data cannot be served because it may become HTTP/2.
func (c *conn) isPart(data []byte) bool {
	return c.undecided && !c.OverTLS() && greetingOf(data) == greetsPart
}

// choseHTTP2 reports whether a connection over TLS, whose handshake is done, is one for HTTP/2.
func (c *conn) choseHTTP2() bool {
	state, overTLS := c.TLS()
	return overTLS && state.NegotiatedProtocol == http2ByALPN
}

// decide is Read on a connection whose protocol is not known, of which n bytes were read. If it is HTTP/2
// it ends the goroutine that reads, so that Close hands the connection over.
func (c *conn) decide(p []byte, n int, err error) (int, error) {
	for err == nil && n > 0 && n < len(p) && c.isPart(p[:n]) {
		var more int
		more, err = c.await(p[n:])
		n += more
	}
	c.undecided = false
	if n == 0 || !c.choseHTTP2() && (c.OverTLS() || greetingOf(p[:n]) != greetsHTTP2) {
		return n, err
	}
	c.readAhead = append(bytes.Clone(p[:n]), c.readAhead...)
	c.parkNext(handedOver)
	return 0, io.EOF // for which fasthttp has no answer
}

// handOver gives a connection away that has begun to speak HTTP/2. What was read ahead is read there.
func (c *conn) handOver() {
	c.mu.Lock()
	c.phase, c.ended = handedOver, true // it is not to be closed here any more
	c.uncount()
	c.mu.Unlock()
	s := c.server
	s.poller.Release(c.Conn)
	c.SetIdle(false)
	h := &http2Conn{Conn: c.Conn, read: c.readAhead, open: &s.http2.plain}
	if c.OverTLS() {
		h.open = &s.http2.overTLS
	}
	h.open.Add(1)
	go s.cfg.HTTP2.Serve(h) // this may be the goroutine of the poller
}

// http2Conn is a connection that was handed over.
type http2Conn struct {
	*listen.Conn
	read    []byte // before it was handed over
	open    *atomic.Int64
	closing sync.Once
}

func (c *http2Conn) Read(p []byte) (int, error) {
	if len(c.read) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.read)
	if c.read = c.read[n:]; len(c.read) == 0 {
		c.read = nil
	}
	return n, nil
}

func (c *http2Conn) Close() error {
	c.closing.Do(func() { c.open.Add(-1) })
	return c.Conn.Close()
}

func (s *Server) shutdownHTTP2(ctx context.Context) error {
	if s.cfg.HTTP2 == nil {
		return nil
	}
	return s.cfg.HTTP2.Shutdown(ctx)
}
