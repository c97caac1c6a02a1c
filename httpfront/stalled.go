package httpfront

import (
	"errors"
	"os"
	"time"

	"etcd/listen"
)

// maxStalled bounds the goroutines that wait for what their client sends, each of which has buffers
// of about 36 KiB. They wait for what does not stay parked: a body whose length is unknown or over
// maxPartial or whose client is told to go on, or, for a moment, the next request. One more, and
// the one that waits longest, of the host that has the most of them, has to go.
const maxStalled = 512

// errStalled is a request whose client has lost its place among them.
var errStalled = errors.New("httpfront: too many clients are slow to send their requests")

// headerTooSlow is the cause of a 408 before a body.
const headerTooSlow = "the request did not arrive in time; the limit is set by -header-timeout"

// stalled are these connections.
type stalled struct{ listen.Room[*conn] }

// awaiting is the part of a connection that is about being one of them, guarded by conn.mu.
type awaiting struct {
	reads bool // its goroutine waits
	gone  bool // it has lost its place meanwhile
}

// await reads from the connection, on which nothing more may arrive for as long as the deadline allows.
func (c *conn) await(p []byte) (int, error) {
	if c.server.cfg.Peer { // where pending connections are bounded, and streams wait
		return c.Conn.Read(p)
	}
	c.mu.Lock()
	c.awaiting = awaiting{reads: true}
	c.mu.Unlock()
	if victim := c.server.stalled.Add(c); victim != nil {
		victim.loseTime()
	}
	n, err := c.Conn.Read(p)
	c.server.stalled.Remove(c)
	c.mu.Lock()
	c.awaiting.reads = false
	gone := c.awaiting.gone
	c.mu.Unlock()
	if gone && !c.shortened && errors.Is(err, os.ErrDeadlineExceeded) {
		err = errStalled
	}
	return n, err
}

// loseTime has the goroutine that waits for the client go on as if its time was over.
func (c *conn) loseTime() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.awaiting.reads {
		c.awaiting.gone = true
		_ = c.Conn.SetReadDeadline(time.Now()) // it may be closed already
	}
}
