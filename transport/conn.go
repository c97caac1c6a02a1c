package transport

import (
	"net"
	"time"
)

// writeStep is how much is written under one deadline, in bytes.
const writeStep = 64 << 10

// timedConn is a connection on which every read and write must make progress within a
// timeout.
type timedConn struct {
	net.Conn
	readTimeout  time.Duration // 0: the deadline for reading is set by other means
	writeTimeout time.Duration
}

func newTimedConn(c net.Conn, timeout time.Duration) *timedConn {
	return &timedConn{Conn: c, readTimeout: timeout, writeTimeout: timeout}
}

func (c *timedConn) Read(p []byte) (int, error) {
	if c.readTimeout > 0 {
		if err := c.SetReadDeadline(time.Now().Add(c.readTimeout)); err != nil {
			return 0, err
		}
	}
	return c.Conn.Read(p)
}

// Write writes all of p, in steps with a deadline each.
func (c *timedConn) Write(p []byte) (written int, err error) {
	for len(p) > 0 {
		if err := c.SetWriteDeadline(time.Now().Add(c.writeTimeout)); err != nil {
			return written, err
		}
		n, err := c.Conn.Write(p[:min(len(p), writeStep)])
		written += n
		if err != nil {
			return written, err
		}
		p = p[n:]
	}
	return written, nil
}
