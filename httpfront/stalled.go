package httpfront

import (
	"errors"
	"os"
	"time"

	"etcd/listen"
)

// maxStalled bounds the goroutines that wait for what their client sends, each of which has buffers
// of about 36 KiB. They wait for what does not stay parked: a body whose length is unknown or over
// maxPartial or whose client is told to go on. One more, and the one that waits longest, of the host
// that has the most of them, has to go.
const maxStalled = 512

// errStalled is a request whose client has lost its place among them.
var errStalled = errors.New("httpfront: too many clients are slow to send their requests")

// headerTooSlow is the cause of a 408 before a body.
const headerTooSlow = "the request did not arrive in time; the limit is set by -header-timeout"

// stalled are these connections.
type stalled struct{ listen.Room[*conn] }

// await reads from the connection, on which nothing more may arrive for as long as the deadline allows.
func (c *conn) await(p []byte) (int, error) {
	// The wait for the next request is short, and must not cost those their places who have begun theirs.
	// At a peer port pending connections are bounded, and streams wait.
	if c.shortened || c.server.cfg.Peer {
		return c.Conn.Read(p)
	}
	c.lostPlace = false
	c.server.stalled.Add(c)
	n, err := c.Conn.Read(p)
	c.server.stalled.Remove(c)
	switch {
	case !c.lostPlace:
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = errStalled
	case err == nil: // it was read just before
		err = c.Conn.SetReadDeadline(c.deadline)
	}
	return n, err
}

// loseTime has the goroutine that waits for the client go on as if its time was over. It is called
// between Add and Remove, so it is that wait and not a later one.
func (c *conn) loseTime() {
	c.lostPlace = true
	_ = c.Conn.SetReadDeadline(time.Now()) // it may be closed already
}

// limitRead sets the deadline of Read.
func (c *conn) limitRead(t time.Time) error {
	c.deadline = t
	return c.Conn.SetReadDeadline(t)
}
