package listen

// Readable is told when its connection can be read.
type Readable interface {
	// Readable is called on a goroutine that tells others as well, so it must not block.
	Readable()
}

// Poller tells when connections that nobody reads can be read, where the system allows that
// without a goroutine for each of them.
type Poller interface {
	// Arm has Readable called once, as soon as something arrives on c or its client goes. If
	// that may have happened since the last call, arrived is true and Readable is not called.
	// Whoever arms c has read all that had arrived before the last call, and what its TLS has
	// read ahead: see [Conn.TryRead].
	Arm(c *Conn, r Readable) (arrived bool, err error)
	// Forget is called before a connection that may be armed is closed. A call of Readable may
	// be under way.
	Forget(c *Conn)
	// Release is called when c is read by somebody who waits for it from now on, and is not armed again.
	Release(c *Conn)
	// Close ends the calls. Connections that are armed stay open.
	Close() error
}

// Peeks is the poller of systems that have no other, and of connections without a descriptor.
type Peeks struct{}

// peek reads the first byte of a connection ahead, on a goroutine of its own. Who reads the
// connection next gets the byte, or the error.
type peek struct {
	done chan struct{} // closed when the rest is set
	got  [1]byte
	n    int
	err  error
}

// Arm implements [Poller].
func (Peeks) Arm(c *Conn, r Readable) (arrived bool, err error) {
	p := &peek{done: make(chan struct{})}
	c.peeked = p
	go func() {
		p.n, p.err = c.read(p.got[:])
		close(p.done)
		r.Readable()
	}()
	return false, nil
}

// Forget implements [Poller]. The goroutine ends when the connection is closed.
func (Peeks) Forget(*Conn) {}

// Release implements [Poller]. Who reads the connection next gets what was read ahead.
func (Peeks) Release(*Conn) {}

// Close implements [Poller].
func (Peeks) Close() error { return nil }
