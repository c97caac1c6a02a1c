package httpfront

import (
	"bytes"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"etcd/actors"
	"etcd/store/tree"
	"etcd/watch"
)

// watchWriteTimeout bounds writing the answer to a watch.
const watchWriteTimeout = 30 * time.Second

// EventRenderer makes the answers to watches of one API. Equal renderers make equal answers of
// the same event.
type EventRenderer interface {
	Render(m *actors.Machine, d watch.Delivery) Answer
}

const (
	// HeaderIndex is the header with an index from which a client that has nothing in its hands may go
	// on: a watch from the next one misses nothing.
	HeaderIndex = "X-Etcd-Index"
	// HeaderRaftIndex and HeaderRaftTerm are those with the last entry that was applied, and its term.
	HeaderRaftIndex = "X-Raft-Index"
	HeaderRaftTerm  = "X-Raft-Term"
	// HeaderClusterID is that with the ID of the cluster.
	HeaderClusterID = "X-Etcd-Cluster-Id"
)

// parkedWatch is the watch of a parked connection.
type parkedWatch struct {
	renderer  EventRenderer
	operation *operation
	pass      *watchPass // nil: users and roles were off
	headers   headers    // of the answer
	keepAlive bool
	watchers  int    // that count, until it has ended
	from      uint64 // the index from which events were asked for; 0: new ones
	tooMuch   bool   // the client has sent too much behind it
}

// Watch registers a watcher, hijacks the connection from fasthttp and parks it until the
// event comes, of which the renderer makes the answer; or until a time is over, 0 for none, which
// is answered with a 204. The handler returns what Watch returns.
func (x *Exchange) Watch(w watch.Watcher, renderer EventRenderer, timeout time.Duration) Answer {
	if x.mustRecover() {
		return x.afterRecovery(func(x *Exchange) Answer { return x.Watch(w, renderer, timeout) })
	}
	pass, err := x.checkWatch(w, nil)
	if err != nil {
		return x.orWait(err, func(x *Exchange) Answer { return x.Watch(w, renderer, timeout) })
	}
	if refusal := x.takeWatchers(1); refusal != nil {
		return refusal
	}
	id := x.session.expect()
	answer := x.park(&parkedWatch{renderer: renderer, pass: pass, watchers: 1}, nil, &actors.Watch{Subscriber: id, Watcher: w})
	if timeout > 0 { // the hub must not hear of that first
		x.session.giveUpAfter(id, timeout)
	}
	return answer
}

// park sends a watch to the hub, and parks the connection for it. stream is nil if the watch ends with
// its first event.
func (x *Exchange) park(parked *parkedWatch, stream *following, message *actors.Watch) Answer {
	s, ctx, c := x.session, x.ctx, x.session.conn
	x.parked = true
	parked.operation, parked.from = x.operation, message.Watcher.Since
	parked.headers = s.server.pages.headers(&ctx.Request.Header)
	parked.keepAlive = !wantsClose(&ctx.Request.Header) && ctx.Request.Header.IsHTTP11()
	c.beginWatch(parked, stream)
	message.ReplyTo = s.pid
	s.server.root.Send(s.server.machine.Hub, message)
	if x.direct != nil {
		return nil
	}
	ctx.HijackSetNoResponse(true)
	ctx.Hijack(func(hijacked net.Conn) {
		if err := c.reclaim(hijacked); err != nil {
			s.server.log.Error("cannot take over a connection for a watch", "error", err)
			return // fasthttp closes it
		}
		c.parkNext(watching)
	})
	return nil
}

// beginWatch prepares for the event, which may come before the connection is parked. It is
// counted from now on, so that a stop never sees the connection uncounted.
func (c *conn) beginWatch(w *parkedWatch, stream *following) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watch, c.stream, c.reply = w, stream, nil
	c.count()
}

// watches reports whether a watch is in flight.
func (c *conn) watches() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.watch != nil
}

// deliver takes the event of the watch, or what a direct request has asked for; nil: it has not
// come in time. It does not block.
func (c *conn) deliver(reply actors.Answer) {
	c.mu.Lock()
	c.reply, c.lost = reply, reply == nil
	before := c.phase
	switch before {
	case watching:
		c.phase = answering
	case waiting:
		c.phase = handling
	case answering: // the last of a stream, at a stop, and a slow client must not hold that up
		_ = c.SetWriteDeadline(time.Now().Add(lastWords)) // without it that takes a little longer
	}
	c.mu.Unlock()
	switch before {
	case watching:
		c.answer()
	case waiting:
		d := c.inFlight
		c.inFlight = nil // it goes back to its pool
		d.resume()
	}
}

// answer writes the answer to the watch as far as that does not block, and leaves the rest to
// a goroutine.
func (c *conn) answer() {
	if c.stream != nil {
		c.tell()
		return
	}
	if c.hasHuge() {
		go c.answerHuge()
		return
	}
	data, keepAlive := c.renderAnswer()
	write := c.Flush
	if len(data) > maxLight && c.OverTLS() {
		// TryWrite would keep a copy of its own, encrypted, for a client that does not read.
		write = func() (int, error) { return c.Write(data) }
	} else if all, err := c.TryWrite(data); err != nil || all {
		c.answered(err == nil && keepAlive)
		return
	}
	go func() {
		err := c.server.answers.during(held(data, nil), func() error { return c.within(watchWriteTimeout, write) })
		c.answered(err == nil && keepAlive)
	}()
}

// answered goes on after the answer to a watch.
func (c *conn) answered(keepAlive bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endStream()
	c.giveBackWatchers()
	c.watch, c.stream, c.reply = nil, nil, nil
	switch {
	case !keepAlive:
		c.endSoon()
	case len(c.readAhead) > 0 || c.readable:
		c.serve()
	case !c.beIdleParked(&c.server.idles):
		c.endSoon()
	}
}

// renderAnswer returns the answer to the watch, and whether the connection is kept alive.
func (c *conn) renderAnswer() (data []byte, keepAlive bool) {
	defer func() {
		if p := recover(); p != nil {
			c.server.log.Error("panic while answering a watch; please report this message", "panic", p, "stack", string(debug.Stack()))
			data, keepAlive = nil, false
		}
	}()
	w := c.watch
	if w.tooMuch {
		c.Linger()
		return w.respond(tooMuchAhead(), false), false
	}
	keepAlive = w.keepAlive && !c.server.stopping.Load()
	if !w.isPermitted(c.server) {
		return w.respond(w.refusal(c.server), keepAlive), keepAlive
	}
	reply := c.reply.(*actors.WatchReply)
	if len(reply.Deliveries) == 0 {
		return w.respond(quiet{max(reply.Index+1, w.from) - 1}, keepAlive), keepAlive
	}
	return c.server.renderEvent(w, reply.Deliveries[0], keepAlive), keepAlive
}

// quiet is the answer to a watch whose time was over before there was an event. Nothing has
// happened up to its index.
type quiet struct{ index uint64 }

func (a quiet) Write(resp *fasthttp.Response) {
	resp.SetStatusCode(http.StatusNoContent)
	setIndex(&resp.Header, a.index)
}

func setIndex(h *fasthttp.ResponseHeader, index uint64) {
	h.Set(HeaderIndex, strconv.FormatUint(index, 10))
}

// rendered is an answer that was rendered for one watch, and is the same for others.
type rendered struct {
	event     *tree.Event
	renderer  EventRenderer
	headers   headers
	keepAlive bool
	at        time.Time
	data      []byte
}

// renderedFor is how long a rendered answer is used: it has a date, and what is left of a TTL.
const renderedFor = 100 * time.Millisecond

// renderEvent renders the answer to a watch, or returns one that was just rendered for another
// watch.
func (s *Server) renderEvent(w *parkedWatch, d watch.Delivery, keepAlive bool) []byte {
	if d.Event == nil {
		return w.respond(w.renderer.Render(s.machine, d), keepAlive)
	}
	last, now := s.rendered.Load(), time.Now()
	if last != nil && last.event == d.Event && last.renderer == w.renderer && last.headers == w.headers &&
		last.keepAlive == keepAlive && now.Sub(last.at) < renderedFor {
		w.operation.count(http.StatusOK)
		return last.data
	}
	data := w.respond(w.renderer.Render(s.machine, d), keepAlive)
	s.rendered.Store(&rendered{event: d.Event, renderer: w.renderer, headers: w.headers, keepAlive: keepAlive, at: now, data: data})
	return data
}

// respond returns an answer as it is sent, and counts it.
func (w *parkedWatch) respond(a Answer, keepAlive bool) []byte {
	resp := fasthttp.AcquireResponse()
	defer fasthttp.ReleaseResponse(resp)
	w.write(resp, a, keepAlive)
	w.operation.count(resp.StatusCode())
	var b bytes.Buffer
	_, _ = resp.WriteTo(&b) // a buffer takes everything
	return b.Bytes()
}

// write writes an answer into a response.
func (w *parkedWatch) write(resp *fasthttp.Response, a Answer, keepAlive bool) {
	setHeaders(resp, w.headers)
	a.Write(resp)
	if !keepAlive {
		resp.SetConnectionClose()
	}
}
