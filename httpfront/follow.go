package httpfront

import (
	"errors"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
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
	// attempts is how often, before a client is taken for dead, it is looked whether the client has taken anything: the
	// system wakes a writer only when a good part of its buffer is free.
	attempts = 4
	// lastWords bounds writing to a stream while the server stops.
	lastWords = time.Second
	// sizeRoom is the room for the size of a chunk before it.
	sizeRoom = 10
)

// StreamFormat is how an API writes its streams. Equal formats write equal bytes for the same event.
// What a function appends is complete: a client that reads it need not wait for more.
type StreamFormat interface {
	ContentType() string
	// AppendStart appends the first thing in a stream: it has everything after the index.
	AppendStart(to []byte, index uint64) []byte
	AppendEvent(to []byte, m *actors.Machine, e *tree.Event) []byte
	// AppendHeartbeat appends a sign of life: the client has everything up to the index.
	AppendHeartbeat(to []byte, index uint64) []byte
	// AppendError appends the last thing in a stream: the client can go on after the index, which is 0
	// if that is not known. [Lost] says whether it has missed something.
	AppendError(to []byte, err error, index uint64) []byte
	// Refuse returns the answer to a request whose stream cannot begin; nil: it begins nevertheless,
	// and ends with the error.
	Refuse(err error, index uint64) Answer
}

// Lost reports whether a stream that ends with err may lack events. Otherwise another machine has
// them.
func Lost(err error) bool { return !errors.Is(err, actors.ErrClosing) }

// following is a stream in flight.
type following struct {
	conn    *conn
	id      uint64 // of the subscriber
	format  StreamFormat
	chunked bool

	begun  bool   // its header was rendered
	over   bool   // its last piece was
	index  uint64 // up to which it has, or has told, everything
	news   bool   // something was rendered of the batch that is being written
	batch  []watch.Delivery
	upTo   uint64 // the index of that
	goesOn bool   // the hub has more

	lastWrite  time.Time
	prev, next *following // in beats
}

// Follow registers a watcher and others that begin at the same moment, takes the connection out of
// fasthttp and writes their events to it, each once, until the client leaves. The handler returns
// what Follow returns.
func (x *Exchange) Follow(w watch.Watcher, others []watch.Watcher, format StreamFormat) Answer {
	f := &following{
		conn: x.session.conn, id: x.session.expect(), format: format,
		chunked: x.Header().IsHTTP11(),
	}
	return x.park(&parkedWatch{following: f}, &actors.Watch{Subscriber: f.id, Watcher: w, Others: others, Beat: true})
}

// tell writes what has come for a stream: the first piece as far as that does not block. It leaves
// the rest to a goroutine.
func (c *conn) tell() {
	f := c.watch.following
	c.server.beats.remove(f)
	c.mu.Lock()
	reply, _ := c.reply.(*actors.WatchReply)
	c.reply = nil
	c.mu.Unlock()
	if reply != nil {
		f.take(reply)
	}
	p := c.server.pieces.Get().(*piece)
	f.render(p)
	all, err := c.TryWrite(p.data)
	if err == nil && (!all || p.more) {
		go c.tellRest(p, all)
		return
	}
	c.server.putPiece(p)
	c.told(err)
}

// tellRest goes on where tell would have to wait.
func (c *conn) tellRest(p *piece, all bool) {
	var err error
	for {
		if !all {
			err = c.flushAsTaken()
		}
		if err != nil || !p.more {
			break
		}
		c.watch.following.render(p)
		all, err = c.TryWrite(p.data)
	}
	c.server.putPiece(p)
	c.told(err)
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
	f := c.watch.following
	if err != nil || f.over {
		f.batch = nil
		if f.goesOn { // for other watchers of the stream, which ends
			c.session.abandon()
		}
		c.answered(err == nil && c.watch.keepAlive && !c.server.stopping.Load())
		return
	}
	c.mu.Lock()
	if c.reply != nil { // the last one, at a stop
		c.mu.Unlock()
		c.tell()
		return
	}
	c.phase = watching
	c.server.beats.add(f)
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
	switch from := f.conn.watch.from; {
	case f.begun:
	case from > 0:
		f.index = from - 1
	case len(f.batch) > 0 && f.batch[0].Event != nil:
		f.index = f.batch[0].Event.Index - 1
	default:
		f.index = f.upTo
	}
}

// piece is a part of an answer that is written as one.
type piece struct {
	data []byte // in room
	room []byte
	more bool // the batch has more
}

func newPiece() any { return &piece{room: make([]byte, 0, 1024)} }

// putPiece keeps a piece for the next batch of a stream.
func (s *Server) putPiece(p *piece) {
	p.data = nil
	if cap(p.room) > maxRoom {
		p.room = nil
	}
	s.pieces.Put(p)
}

// render renders the next piece.
func (f *following) render(p *piece) {
	c := f.conn
	defer func() {
		if r := recover(); r != nil {
			c.server.log.Error("panic while writing a stream; please report this message", "panic", r, "stack", string(debug.Stack()))
			f.breakOff(p)
		}
	}()
	if c.watch.tooMuch && f.begun {
		f.breakOff(p)
		return
	}
	if !f.begun {
		if refusal := f.refusal(); refusal != nil {
			p.data = c.watch.render(refusal, c.watch.keepAlive && !c.server.stopping.Load())
			p.more, f.over = false, true
			return
		}
	}
	f.renderBatch(p)
}

// refusal returns the answer to a request whose stream cannot begin; nil: it can.
func (f *following) refusal() Answer {
	switch {
	case f.conn.watch.tooMuch:
		f.conn.Linger()
		f.conn.watch.keepAlive = false
		return tooMuchAhead()
	case len(f.batch) > 0 && f.batch[0].Err != nil:
		err := f.batch[0].Err
		return f.format.Refuse(err, f.resumeAfter(err))
	}
	return nil
}

// breakOff ends the stream where it is, which its client can see.
func (f *following) breakOff(p *piece) {
	p.data, p.more = nil, false
	f.conn.watch.keepAlive, f.over = false, true
}

// renderBatch renders a piece of the batch.
func (f *following) renderBatch(p *piece) {
	now := time.Now()
	to := p.room[:0]
	if !f.begun {
		to = f.appendHeader(to)
	}
	before := len(to)
	to = append(to, make([]byte, sizeRoom)...)
	if !f.begun {
		f.begun = true
		_ = f.conn.LimitSilence(f.conn.server.deadAfter) // without it a dead client is noticed later
		if len(f.batch) == 0 || f.batch[0].Err == nil {
			to = f.format.AppendStart(to, f.index)
			f.news = true
		}
	}
	for len(f.batch) > 0 && len(to) < pieceBytes {
		d := f.batch[0]
		f.batch = f.batch[1:]
		switch {
		case d.Err != nil:
			to = f.format.AppendError(to, d.Err, f.resumeAfter(d.Err))
			f.over, f.batch = true, nil
		case d.Event.Index > f.index: // otherwise another watcher of the stream had it
			to = f.conn.server.appendEvent(to, f.format, d.Event, now)
			f.index, f.news = d.Event.Index, true
		}
	}
	p.more = len(f.batch) > 0
	if !p.more && !f.over {
		f.batch, f.index = nil, max(f.index, f.upTo)
		if !f.news {
			to = f.format.AppendHeartbeat(to, f.index)
		}
	}
	to, begin := f.frame(to, before)
	p.room, p.data = to, to[begin:]
}

// resumeAfter returns the index after which the client can go on when the stream has ended with
// err: where it is, or after having looked at what is there.
func (f *following) resumeAfter(err error) uint64 {
	if Lost(err) {
		return f.upTo
	}
	return f.index
}

func (f *following) appendHeader(to []byte) []byte {
	resp := fasthttp.AcquireResponse()
	defer fasthttp.ReleaseResponse(resp)
	w := f.conn.watch
	w.operation.count(http.StatusOK)
	setHeaders(resp, w.headers)
	h := &resp.Header
	h.SetContentType(f.format.ContentType())
	h.Set(fasthttp.HeaderCacheControl, "no-store")
	setIndex(h, f.index)
	if f.chunked {
		h.SetContentLength(-1)
	} else {
		h.SetContentLength(-2) // up to the end of the connection
	}
	if !w.keepAlive {
		h.SetConnectionClose()
	}
	return append(to, h.Header()...)
}

// frame makes a chunk of what follows the room for its size, and adds the last chunk if the stream is
// over. before is how many bytes precede that room, and begin where all of it begins then.
func (f *following) frame(data []byte, before int) (_ []byte, begin int) {
	size := len(data) - before - sizeRoom
	var head []byte
	if f.chunked && size > 0 {
		head = append(strconv.AppendInt(make([]byte, 0, sizeRoom), int64(size), 16), "\r\n"...)
		data = append(data, "\r\n"...)
	}
	if f.chunked && f.over {
		data = append(data, "0\r\n\r\n"...)
	}
	begin = sizeRoom - len(head)
	copy(data[before+begin:], head)
	copy(data[begin:], data[:before]) // a header, at the beginning of the stream
	return data, begin
}

// sharedEvents is how many events are kept as they were rendered for a stream, for others that get
// them in the same moment.
const sharedEvents = 64

// sharedEvent is an event as it was rendered in a format.
type sharedEvent struct {
	event  *tree.Event
	format StreamFormat
	at     time.Time
	data   []byte
}

// appendEvent renders an event, or takes one that was just rendered for another stream.
func (s *Server) appendEvent(to []byte, format StreamFormat, e *tree.Event, now time.Time) []byte {
	slot := &s.shared[e.Index%sharedEvents]
	if last := slot.Load(); last != nil && last.event == e && last.format == format && now.Sub(last.at) < renderedFor {
		return append(to, last.data...)
	}
	begin := len(to)
	to = format.AppendEvent(to, s.machine, e)
	if data := to[begin:]; len(data) <= maxLight {
		slot.Store(&sharedEvent{event: e, format: format, at: now, data: append([]byte(nil), data...)})
	}
	return to
}
