package transport

import (
	"net"
	"time"
)

// writeStep is how much is written under one deadline, in bytes.
const writeStep = 64 << 10

// timedConn is a connection whose every read and write must make progress within a
// time.
type timedConn struct {
	net.Conn
	timeout time.Duration
}

func (c *timedConn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

// Write writes all of p, in steps with a deadline each.
func (c *timedConn) Write(p []byte) (written int, err error) {
	for len(p) > 0 {
		if err := c.SetWriteDeadline(time.Now().Add(c.timeout)); err != nil {
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
