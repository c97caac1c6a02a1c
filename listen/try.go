package listen

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
)

// errWouldBlock is a read or write that was not done, because it would have had to wait. TLS
// goes on after errors that say of themselves that they are temporary.
var errWouldBlock net.Error = wouldBlock{}

type wouldBlock struct{}

func (wouldBlock) Error() string   { return "listen: it would block" }
func (wouldBlock) Timeout() bool   { return true }
func (wouldBlock) Temporary() bool { return true }

// errTLSUnread ends a connection whose client has TLS answer, as to a request for new keys, and
// does not read the answers.
var errTLSUnread = errors.New("listen: the client does not read what its TLS has asked for")

// TryRead reads what has arrived, without waiting for more: if there is nothing, it returns 0
// and no error. Where there is no poller, that is one byte at most; of TLS it is one record at
// most, so there may be more, of which the poller does not tell.
func (c *Conn) TryRead(p []byte) (n int, err error) {
	s, overTLS := c.Conn.(*tlsConn)
	switch {
	case c.peeked != nil:
		select {
		case <-c.peeked.done:
			return c.takePeeked(p)
		default:
			return 0, nil
		}
	case overTLS:
		s.below.read.Store(true)
		n, err = s.Conn.Read(p)
		s.below.read.Store(false)
		if !s.below.empty() {
			return n, errTLSUnread
		}
	default:
		n, err = c.descriptor.tryRead(p)
	}
	if errors.Is(err, errWouldBlock) {
		return n, nil
	}
	if !c.hasRead {
		return c.firstRead(p[:n], err)
	}
	return n, err
}

// TryWrite writes what it can of p without waiting, and reports whether that was all. If not,
// the rest is written by Flush, and p must not change before.
func (c *Conn) TryWrite(p []byte) (all bool, err error) {
	if s, ok := c.Conn.(*tlsConn); ok {
		s.below.write.Store(true)
		_, err = s.Conn.Write(p)
		s.below.write.Store(false)
		return s.below.empty(), err
	}
	n, err := c.descriptor.tryWrite(p)
	if errors.Is(err, errWouldBlock) {
		err = nil
	}
	c.rest = nil
	if n < len(p) {
		c.rest = p[n:]
	}
	return c.rest == nil, err
}

// Flush writes the rest of what TryWrite was given, and waits for that. It returns how many bytes of it
// the client's side has taken. After a write deadline it may be called again, for what is left.
func (c *Conn) Flush() (n int, err error) {
	if s, ok := c.Conn.(*tlsConn); ok {
		return s.below.flush()
	}
	n, err = c.Conn.Write(c.rest)
	if c.rest = c.rest[n:]; len(c.rest) == 0 {
		c.rest = nil
	}
	return n, err
}

// nonblocking is a connection below TLS that does not wait while one of its switches is on:
// reading may write as well. What cannot be written at once is kept.
type nonblocking struct {
	net.Conn
	descriptor  *descriptor
	read, write atomic.Bool

	mu   sync.Mutex
	rest []byte
}

func (u *nonblocking) Read(p []byte) (int, error) {
	if u.read.Load() {
		return u.descriptor.tryRead(p)
	}
	return u.Conn.Read(p)
}

func (u *nonblocking) Write(p []byte) (int, error) {
	if !u.write.Load() && !u.read.Load() {
		return u.Conn.Write(p)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	n := 0
	if len(u.rest) == 0 {
		var err error
		if n, err = u.descriptor.tryWrite(p); err != nil && !errors.Is(err, errWouldBlock) {
			return n, err
		}
	}
	u.rest = append(u.rest, p[n:]...)
	return len(p), nil
}

func (u *nonblocking) empty() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.rest) == 0
}

func (u *nonblocking) flush() (n int, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	n, err = u.Conn.Write(u.rest)
	if u.rest = u.rest[n:]; len(u.rest) == 0 {
		u.rest = nil
	}
	return n, err
}
