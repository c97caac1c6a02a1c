package httpfront

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"etcd/actors"
)

// A connection on which nobody reads is parked: it has no goroutine and no buffers, and the poller
// says when something arrives. It is parked for a watch until its event, and for its next request:
// at once, or, if fasthttp serves it, when that does not come at once.

const (
	// parkAfter is how long a goroutine of fasthttp waits for the next request.
	parkAfter = time.Second
	// maxReadAhead bounds the bytes that a client may send while its watch waits. They have to
	// be read, because only that shows that the client has gone; more end the connection.
	maxReadAhead = 4096
)

// phase is what happens on a connection.
type phase uint8

const (
	serving    phase = iota // fasthttp reads requests and answers them
	handling                // a part of the handler of a direct request runs, or its answer is being written
	waiting                 // a direct request waits for what it has asked for
	watching                // parked until the event, or the next events of its stream
	answering               // somebody writes that
	idle                    // parked until the next request
	gathering               // parked until there is more of it, see partial.go
	handedOver              // it is HTTP/2 and belongs to somebody else, see http2.go
)

// parking is the part of a connection that is about being parked.
type parking struct {
	mu    sync.Mutex
	phase phase
	// next is the phase that Close begins instead of closing, because fasthttp closes whatever
	// it lets go of; serving: none.
	next     phase
	ended    bool // it is closed, whatever goes on in its phase
	armed    bool // the poller is going to call Readable
	readable bool // it has, while an answer was written
	counted  bool // in Server.unserved
	watch    *parkedWatch
	stream   *following    // that watch, if it goes on after its first event
	inFlight *direct       // while waiting
	reply    actors.Answer // the events, or what a direct request has asked for; nil: it has not come
	lost     bool          // what a direct request has asked for has not come in time

	part  partial           // while gathering
	blank int               // bytes of empty lines since the last request
	list  *aging[*conn]     // of those that are idle or gathering: Server.idles or Server.begun
	links agingLinks[*conn] // in that
}

func (c *conn) agingLinks() *agingLinks[*conn] { return &c.links }

// SetReadDeadline sets the deadline of Read. Where fasthttp is about to wait for the next
// request, it is earlier.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.shortened = c.served && c.Idle() && !c.server.cfg.Peer
	if c.shortened {
		t = time.Now().Add(parkAfter)
	}
	return c.limitRead(t)
}

// endWait ends the wait for the next request: n bytes of it have arrived, or there is an error.
// When that is the deadline, it is parked.
func (c *conn) endWait(n int, err error) error {
	switch {
	case n > 0:
		c.shortened = false
		if !c.awaitsFirst {
			return err // fasthttp sets a deadline itself
		}
		return errors.Join(err, c.limitRead(time.Now().Add(c.server.cfg.HeaderTimeout)))
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.parkNext(idle)
		return io.EOF // for which fasthttp has no answer
	}
	return err
}

// parkNext has Close park the connection. Its place belongs to the goroutine that serves it now.
func (c *conn) parkNext(next phase) {
	c.place = nil
	c.mu.Lock()
	c.next = next
	c.mu.Unlock()
}

// Write writes an answer of fasthttp.
func (c *conn) Write(p []byte) (int, error) {
	c.place.leave()
	return c.Conn.Write(p)
}

// flush writes the rest of what TryWrite was given, within a time.
func (c *conn) flush(limit time.Duration) error { return c.within(limit, c.Flush) }

// within writes something within a time.
func (c *conn) within(limit time.Duration, write func() (int, error)) error {
	// A deadline would hold for what TryWrite is given next.
	err := c.SetWriteDeadline(time.Now().Add(limit))
	_, writeErr := write()
	return errors.Join(err, writeErr, c.SetWriteDeadline(time.Time{}))
}

// Close closes the connection, unless it is to be parked. At the peer port others close it too.
func (c *conn) Close() error {
	c.mu.Lock()
	next := c.next
	c.next = serving
	c.mu.Unlock()
	switch next {
	case watching:
		c.parkForWatch()
		return nil
	case handedOver:
		if c.SetDeadline(time.Time{}) != nil { // those of fasthttp would hold there
			break
		}
		c.handOver()
		return nil
	case idle:
		if c.SetDeadline(time.Time{}) != nil { // those of fasthttp would hold for TryRead and TryWrite
			break
		}
		c.mu.Lock()
		parked := c.beIdleParked(&c.server.idles)
		c.mu.Unlock()
		if parked {
			return nil
		}
	}
	return c.end()
}

// end closes the connection for good.
func (c *conn) end() error {
	c.mu.Lock()
	over := c.ended
	c.ended = true
	if c.list != nil {
		c.list.remove(c)
	}
	c.endStream()
	c.giveBackWatchers()
	c.uncount()
	c.mu.Unlock()
	if over {
		return nil
	}
	c.server.poller.Forget(c.Conn)
	if c.session != nil {
		c.session.stop()
	}
	return c.Conn.Close()
}

// endSoon is end for goroutines that must not wait for a client to take the end of its TLS.
func (c *conn) endSoon() {
	go func() { _ = c.end() }() // there is nobody left to tell
}

// count counts the connection in Server.unserved. The caller holds mu.
func (c *conn) count() {
	if !c.counted {
		c.counted = true
		c.server.unserved.Add(1)
	}
}

// uncount undoes count. The caller holds mu.
func (c *conn) uncount() {
	if c.counted {
		c.counted = false
		c.server.unserved.Done()
	}
}

// beIdleParked parks the connection until its next request, in a list, and reports whether it could.
// The caller holds mu.
func (c *conn) beIdleParked(in *aging[*conn]) bool {
	if c.ended || !in.add(c) {
		return false
	}
	c.phase, c.list = idle, in
	c.SetIdle(true)
	c.uncount()
	arrived, err := c.arm()
	// The poller may have told of it while fasthttp served the connection, and does not tell again.
	arrived = arrived || c.readable
	if err == nil && arrived && in.take(c, c.count) {
		c.phase, c.readable = handling, false
		go c.serveDirectly()
	}
	return err == nil
}

// arm has Readable called, unless something may have arrived. The caller holds mu.
func (c *conn) arm() (arrived bool, err error) {
	if c.armed {
		return false, nil
	}
	arrived, err = c.server.poller.Arm(c.Conn, c)
	c.armed = !arrived && err == nil
	return arrived, err
}

// Readable implements [listen.Readable].
func (c *conn) Readable() {
	c.mu.Lock()
	c.armed = false
	switch c.phase {
	case watching:
		c.readWhileWatching()
	case serving, handling, waiting, answering:
		c.readable = true
	case gathering:
		c.gather()
	case idle:
		if c.list.take(c, c.count) { // otherwise its time is over or the server stops, and it is ended
			c.phase, c.readable = handling, false
			c.mu.Unlock()
			c.serveDirectly()
			return
		}
	}
	c.mu.Unlock()
}

// serve has fasthttp serve the connection again, as soon as there is a place. The caller holds mu.
func (c *conn) serve() {
	c.phase, c.readable, c.blank = serving, false, 0
	c.server.waking.add(c)
}

// parkForWatch parks the connection until the event of its watch.
func (c *conn) parkForWatch() {
	c.mu.Lock()
	if c.reply != nil { // it has come already
		c.phase = answering
		c.mu.Unlock()
		c.answer()
		return
	}
	c.phase, c.readable = watching, false
	c.readWhileWatching()
	c.mu.Unlock()
}

// readWhileWatching reads what the client has sent behind its watch, and arms the poller for
// more. The caller holds mu.
func (c *conn) readWhileWatching() {
	var buf [256]byte
	for len(c.readAhead) <= maxReadAhead {
		n, err := c.TryRead(buf[:])
		c.readAhead = append(c.readAhead, buf[:n]...)
		if err == nil && n == 0 {
			var arrived bool
			if arrived, err = c.arm(); err == nil && !arrived {
				return
			}
		}
		if err != nil {
			c.phase = answering // there is nobody left to answer
			c.endSoon()
			return
		}
	}
	c.phase = answering
	c.watch.tooMuch = true
	go c.answer()
}

// tooMuchAhead is the answer to a client that sends too much behind its watch.
func tooMuchAhead() *Error {
	return HTTPError(http.StatusBadRequest, "more than "+strconv.Itoa(maxReadAhead)+" bytes sent behind a waiting watch")
}
