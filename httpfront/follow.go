package httpfront

import (
	"errors"
	"os"
	"time"

	"github.com/valyala/fasthttp"

	"etcd/actors"
	"etcd/store/tree"
	"etcd/watch"
)

// A stream is a watch that goes on: its answer is written piece by piece, as events come. Between
// two of them its connection is parked like that of any watch. The hub hands out no more before
// Written, so a client that is slow to read has one batch in memory, of which one piece is rendered.

const (
	// attempts is how often it is looked whether a client has taken anything, before it is taken for
	// dead: the system wakes a writer only when a good part of its buffer is free.
	attempts = 4
	// lastWords bounds writing to a stream while the server stops.
	lastWords = time.Second
)

// StreamFormat is how an API writes its streams. Equal formats write equal bytes for the same event.
// What a function appends is complete: a client that reads it need not wait for more.
type StreamFormat interface {
	ContentType() string
	// Beats says that there are heartbeats.
	Beats() bool
	// Cut says that a stream which ends with an error is cut off, so that nobody takes it for whole.
	Cut() bool
	// AppendStart appends the first thing in a stream: it has everything after the index.
	AppendStart(to []byte, index uint64) []byte
	AppendEvent(to []byte, gaps *Gaps, m *actors.Machine, e *tree.Event) []byte
	// AppendHeartbeat appends a sign of life: the client has everything up to the index.
	AppendHeartbeat(to []byte, index uint64) []byte
	// AppendError appends the last thing in a stream: the client can go on after the index, which is 0
	// if that is not known. [Lost] says whether it has missed something.
	AppendError(to []byte, err error, index uint64) []byte
	// Refuse returns the answer to a request whose stream cannot begin; nil: it begins nevertheless,
	// and ends with the error.
	Refuse(m *actors.Machine, err error, index uint64) Answer
}

// StreamHead sets headers of the answer that a stream is.
type StreamHead interface {
	SetHeaders(h *fasthttp.ResponseHeader)
}

// Lost reports whether a stream that ends with err may lack events. Otherwise another machine has
// them.
func Lost(err error) bool {
	return !errors.Is(err, actors.ErrClosing) && !errors.Is(err, actors.ErrNoQuorum)
}

// following is a stream in flight.
type following struct {
	parkedWatch
	conn    *conn
	id      uint64 // of the subscriber
	format  StreamFormat
	chunked bool

	head StreamHead // nil: the usual one

	begun  bool   // its header was rendered
	over   bool   // its last piece was
	cut    bool   // it ends before its end
	index  uint64 // up to which it has, or has told, everything
	news   bool   // something was rendered of the batch that is being written
	batch  []watch.Delivery
	upTo   uint64 // the index of that
	goesOn bool   // the hub has more

	ended bool                   // it no longer counts
	quiet agingLinks[*following] // in Server.quiet
}

func (f *following) agingLinks() *agingLinks[*following] { return &f.quiet }

// streamTimes are the times of streams. The tests have others.
var streamTimes = struct {
	// heartbeatEvery is how long nothing may be written to a stream. It is less than what proxies wait.
	heartbeatEvery time.Duration
	// deadAfter is how long a client may take nothing at all of what is written to its stream.
	deadAfter time.Duration
}{15 * time.Second, time.Minute}

// endStream ends the stream of a connection, if it has one. The caller holds mu.
func (c *conn) endStream() {
	f := c.stream
	if f == nil || f.ended {
		return
	}
	f.ended = true
	c.server.quiet.remove(f)
	if c.server.streams.Add(-1) == 0 {
		c.server.dropShared()
	}
}

// Follow registers a watcher and others that begin at the same moment, takes the connection out of
// fasthttp and writes their events to it, each once, until the client leaves or all of them have their
// last event. head sets the headers of the answer, in which nothing else is said of an index; nil: it
// has the index after which the events begin. The handler returns what Follow returns.
func (x *Exchange) Follow(w watch.Watcher, others []watch.Watcher, format StreamFormat, head StreamHead) Answer {
	if x.mustRecover() {
		return x.afterRecovery(func(x *Exchange) Answer { return x.Follow(w, others, format, head) })
	}
	pass, err := x.checkWatch(w, others)
	if err != nil {
		return x.orWait(err, func(x *Exchange) Answer { return x.Follow(w, others, format, head) })
	}
	watchers := 1 + len(others)
	if refusal := x.takeWatchers(watchers); refusal != nil {
		return refusal
	}
	f := &following{
		parkedWatch: parkedWatch{pass: pass, watchers: watchers}, conn: x.session.conn, id: x.session.expect(), format: format, head: head,
		chunked: x.Header().IsHTTP11(),
	}
	x.server.streams.Add(1)
	// Nothing that a stream of events to come needs can be gone, so its header can be sent as soon as the hub
	// knows of it. If there is no leader, it is cut off then. The connection is handling the request until then, so no event overtakes it.
	early := x.direct != nil && head != nil && w.Since == 0 && !format.Beats()
	message := &actors.Watch{Subscriber: f.id, Watcher: w, Others: others, Beat: !early}
	if answer := x.park(&f.parkedWatch, f, message); !early {
		return answer
	}
	x.direct.parksLater = !f.sendHeader()
	return nil
}

// sendHeader sends the header of a stream before anything else has come, and reports whether the
// client has taken it. Otherwise its connection is parked as soon as that has happened.
func (f *following) sendHeader() (sent bool) {
	c := f.conn
	p := c.server.pieces.Get().(*piece)
	p.room = f.appendHeader(p.room[:0])
	f.begin()
	all, err := c.TryWrite(p.room)
	if all || err != nil { // which comes again with the next write
		c.server.putPiece(p)
		return true
	}
	go func() {
		err := c.flush(writeTimeout)
		c.server.putPiece(p)
		if err != nil {
			c.session.abandon()
			c.answered(false)
			return
		}
		c.parkForWatch()
	}()
	return false
}

// tell writes what has come for a stream: the first piece as far as that does not block. It leaves
// the rest to a goroutine.
func (c *conn) tell() {
	f := c.stream
	c.server.quiet.remove(f)
	c.mu.Lock()
	reply, _ := c.reply.(*actors.WatchReply)
	c.reply = nil
	c.mu.Unlock()
	if reply != nil {
		f.take(reply)
	}
	p := c.server.pieces.Get().(*piece)
	if len(f.batch) > 0 && f.batch[0].Event != nil && isHuge(f.batch[0].Event) {
		p.more = true
		go c.tellRest(p, true) // whoever has brought the batch has others to serve
		return
	}
	f.render(p)
	all, err := c.writePart(p)
	if err == nil && (!all || !p.text.isOver() || p.more) {
		go c.tellRest(p, all)
		return
	}
	c.server.putPiece(p)
	c.told(err)
}

// tellRest goes on where tell would have to wait.
func (c *conn) tellRest(p *piece, all bool) {
	err := c.server.answers.during(c.stream.values(), func() error { return c.tellAll(p, all) })
	c.server.putPiece(p)
	c.told(err)
}

func (c *conn) tellAll(p *piece, all bool) error {
	for {
		err := c.server.answers.during(held(p.text.data, p.text.gaps), func() error { return c.tellPiece(p, all) })
		if err != nil || !p.more {
			return err
		}
		c.stream.render(p)
		all = true
	}
}

// tellPiece writes what is left of a piece. all: so far the client has taken everything.
func (c *conn) tellPiece(p *piece, all bool) (err error) {
	for {
		if !all {
			if err := c.flushAsTaken(); err != nil {
				return err
			}
		}
		if p.text.isOver() {
			return nil
		}
		if all, err = c.writePart(p); err != nil {
			return err
		}
	}
}

// values returns what the rest of a batch keeps in memory.
func (f *following) values() (all []string) {
	for _, d := range f.batch {
		if e := d.Event; e != nil {
			all = append(all, e.Node.Value)
			if e.Prev != nil {
				all = append(all, e.Prev.Value)
			}
		}
	}
	return all
}

// maxTried bounds what of a piece is written at a time, in bytes: over TLS it is encrypted whole, whatever the
// client takes.
const maxTried = 64 << 10

// writePart writes the next part of a piece as far as that does not block.
func (c *conn) writePart(p *piece) (all bool, err error) {
	if p.text.isOver() {
		return true, nil
	}
	return c.TryWrite(p.text.next(&p.escaped, maxTried))
}

// flushAsTaken writes the rest of what TryWrite was given, as long as the client takes any of it.
func (c *conn) flushAsTaken() error {
	for idle := 0; idle < attempts; idle++ {
		within := c.server.deadAfter / attempts
		if c.server.stopping.Load() {
			within = lastWords
		}
		if err := c.SetWriteDeadline(time.Now().Add(within)); err != nil {
			return err
		}
		n, err := c.Flush()
		switch {
		case err == nil:
			return c.SetWriteDeadline(time.Time{}) // it would hold for TryWrite
		case !errors.Is(err, os.ErrDeadlineExceeded) || c.server.stopping.Load():
			return err
		case n > 0:
			idle = -1
		}
	}
	return os.ErrDeadlineExceeded
}

// told goes on after a batch was written, or could not be.
func (c *conn) told(err error) {
	f := c.stream
	if err != nil || f.over {
		f.batch = nil
		if f.goesOn { // for other watchers of the stream, which ends
			c.session.abandon()
		}
		c.answered(err == nil && f.keepAlive && !c.server.stopping.Load())
		return
	}
	c.mu.Lock()
	if c.reply != nil { // the last one, at a stop
		c.mu.Unlock()
		c.tell()
		return
	}
	c.phase = watching
	if f.format.Beats() {
		c.server.quiet.add(f)
	}
	if !c.armed {
		c.readable = false
		c.readWhileWatching()
	}
	c.mu.Unlock()
	c.server.root.Send(c.server.machine.Hub, &actors.Written{Subscriber: f.id})
}

// take takes a batch that has come.
func (f *following) take(reply *actors.WatchReply) {
	f.batch, f.upTo, f.goesOn, f.news = reply.Deliveries, reply.Index, reply.More, false
	switch {
	case f.begun:
	case f.from > 0:
		f.index = f.from - 1
	case len(f.batch) > 0 && f.batch[0].Event != nil:
		f.index = f.batch[0].Event.Index - 1
	default:
		f.index = f.upTo
	}
}
