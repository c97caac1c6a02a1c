package httpfront

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// lingerTime and lingerBytes bound how much of a refused body is read and thrown
	// away, so that the client reads the answer instead of a reset connection.
	lingerTime  = time.Second
	lingerBytes = 64 << 20
	// drainTime is how long a listener goes on accepting at a stop.
	drainTime = 20 * time.Millisecond
)

// listener hands out conns and refuses those over the limit.
type listener struct {
	net.Listener
	server  *Server
	closing sync.Once
	closed  chan struct{}
	swept   []net.Conn    // accepted at the very end
	scarce  seldom        // logging that there are no descriptors
	crowded seldom        // logging that there are too many connections
	telling chan struct{} // holds one for each connection that is being told that it is one too many
}

// Close may be called again: a stop closes the listener first, and fasthttp does too.
func (l *listener) Close() (err error) {
	l.closing.Do(func() {
		err = l.Listener.Close()
		close(l.closed)
	})
	return err
}

// drain closes the listener after it has taken those who are connected already and
// wait to be accepted: the kernel would reset them.
func (l *listener) drain() {
	tcp, ok := l.Listener.(*net.TCPListener)
	if !ok || tcp.SetDeadline(time.Now().Add(drainTime)) != nil {
		_ = l.Close() // it may be closed already
	}
	<-l.closed
}

// sweep takes those who are connected and not accepted. Between this and closing is
// as little time as can be.
func (l *listener) sweep() {
	raw, err := l.Listener.(*net.TCPListener).SyscallConn()
	if err != nil {
		return
	}
	var fds []int
	_ = raw.Control(func(fd uintptr) { // an error means that the listener is closed
		for {
			c, _, err := syscall.Accept(int(fd))
			if err != nil {
				break
			}
			fds = append(fds, c)
		}
	})
	_ = l.Close() // accepting ends either way
	for _, fd := range fds {
		syscall.CloseOnExec(fd)
		file := os.NewFile(uintptr(fd), "client")
		c, err := net.FileConn(file)
		_ = file.Close() // c has a copy
		if err == nil {
			l.swept = append(l.swept, c)
		}
	}
}

// accept returns the next connection. At a stop these are the ones that were swept.
func (l *listener) accept() (net.Conn, error) {
	if len(l.swept) > 0 {
		c := l.swept[0]
		l.swept = l.swept[1:]
		return c, nil
	}
	c, err := l.Listener.Accept()
	for isScarce(err) {
		if !l.waitForRoom(err) {
			return nil, net.ErrClosed
		}
		c, err = l.Listener.Accept()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		if l.sweep(); len(l.swept) > 0 {
			return l.accept()
		}
		return nil, net.ErrClosed
	}
	return c, err
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.accept()
		if err != nil {
			return nil, err
		}
		if l.server.open.Add(1) > int64(l.server.cfg.MaxConnections) {
			l.server.open.Add(-1)
			l.refuse(c)
			continue
		}
		wrapped := &conn{Conn: l.dress(c), server: l.server}
		wrapped.counted.Store(true)
		if surplus := l.server.newcomers.add(wrapped); surplus != nil {
			l.dismiss(surplus)
		}
		return wrapped, nil
	}
}

// dress puts TLS on a connection if this port has it.
func (l *listener) dress(c net.Conn) net.Conn {
	if l.server.cfg.TLS == nil {
		return c
	}
	return secure(c, l.server.cfg.TLS)
}

// conn is a client's connection. What it adds to a net.Conn is its session, and
// that bytes which were read too early can be given back.
type conn struct {
	net.Conn
	server  *Server
	session *session

	early   []byte // read next
	gotLine bool   // a line has come since the last request: an error is not in its first
	drained bool   // give back what is buffered above, read nothing new
	greeted bool   // something has been read
	chunked bool   // a body in chunks is being read
	unread  int    // bytes that it may still take, sizes and extensions of the chunks included
	linger  atomic.Bool
	quiet   atomic.Bool // no request is under way
	first   bool        // fasthttp has not announced the first request
	counted atomic.Bool // among the open ones
	host    netip.Prefix
	closing sync.Once
}

// errDrained ends reading from a buffered reader above a drained conn.
var errDrained = errors.New("httpfront: drained")

func (c *conn) Read(p []byte) (int, error) {
	if len(c.early) > 0 {
		n := copy(p, c.early)
		c.early = c.early[n:]
		c.quiet.Store(false)
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
	if !c.greeted {
		n, err = c.firstRead(p[:n], err)
	}
	if n > 0 {
		c.quiet.Store(false)
	}
	c.gotLine = c.gotLine || bytes.IndexByte(p[:n], '\n') >= 0
	return n, err
}

// reclaim takes the connection back from a hijack: what the reader above had read
// ahead will be read again, and nothing keeps that reader and its buffer alive.
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

// Close closes the connection and ends its session.
func (c *conn) Close() (err error) {
	c.closing.Do(func() {
		if c.session != nil {
			c.session.stop()
		}
		if c.linger.Load() {
			c.drainRefused()
		}
		err = c.Conn.Close()
		c.server.conns.Delete(c)
		c.server.newcomers.remove(c)
		c.uncount()
	})
	return err
}

// uncount makes room for another connection.
func (c *conn) uncount() {
	if c.counted.CompareAndSwap(true, false) {
		c.server.open.Add(-1)
	}
}

func (c *conn) drainRefused() {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || c.Conn.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, wire(c.Conn), lingerBytes) // whatever ends it, the next step is to close
}
