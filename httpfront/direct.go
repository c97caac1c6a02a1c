package httpfront

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"time"
	"unsafe"

	"github.com/valyala/fasthttp"

	"etcd/actors"
	"etcd/listen"
)

// A direct request has arrived whole on a parked connection, and its route is direct: whoever
// learns that it has arrived reads it and sends its message, and whoever has the answer writes it.
// Neither waits, so there is no goroutine to wake and none to park, and no deadline to set.
// Everything else is left to fasthttp, with the bytes that were read: requests of other routes, large
// ones, and whatever is answered with an error before its handler is called. Half ones stay parked.

const (
	// maxDirect bounds a direct request, in bytes.
	maxDirect = 4096
	// maxLight bounds, in bytes, the values in an answer that is rendered by whoever has it, be that
	// the store actor. Others get a goroutine.
	maxLight = 16 << 10
	// maxKeptHost bounds the host that is kept with a connection, in bytes.
	maxKeptHost = 256
	// maxRoom bounds the bytes that are kept to render the next answer in.
	maxRoom = 64 << 10
)

// direct is a direct request in flight.
type direct struct {
	conn   *conn
	ctx    fasthttp.RequestCtx
	x      Exchange
	then   any // with what the handler goes on, see [Exchange.ask]
	status int // of the answer
	// parksLater: the connection is parked for a watch by somebody else.
	parksLater bool
	malformed  bool // its header is in error, whatever comes behind what has arrived

	arrived arrived
	reader  bufio.Reader // of that
	data    []byte       // a copy of that
	out     bytes.Buffer
	writer  bufio.Writer // into out
}

func newDirect() *direct {
	d := &direct{}
	d.reader = *bufio.NewReaderSize(nil, maxDirect)
	d.writer = *bufio.NewWriterSize(&d.out, 512)
	return d
}

// arrived reads what has arrived on a connection, once: what was read ahead first.
type arrived struct {
	conn *conn
	done bool
}

func (a *arrived) Read(p []byte) (n int, err error) {
	if a.done {
		return 0, errDrained
	}
	a.done = true
	if c := a.conn; len(c.readAhead) > 0 {
		return c.takeReadAhead(p), nil
	}
	n, err = a.conn.TryRead(p)
	if n == 0 && err == nil {
		return 0, errDrained
	}
	a.conn.more = n == len(p) || a.conn.OverTLS()
	return n, err
}

// serveDirectly serves the request of a parked connection, whose phase is handling.
func (c *conn) serveDirectly() {
	if c.greets {
		go c.shakeHands()
		return
	}
	d := c.server.directs.Get().(*direct)
	d.conn = c
	d.arrived = arrived{conn: c}
	d.reader.Reset(&d.arrived)
	_, err := d.reader.Peek(1)
	if err != nil {
		d.release()
		c.nothingArrived(err)
		return
	}
	data, _ := d.reader.Peek(d.reader.Buffered()) // they are there
	d.data = append(d.data[:0], data...)          // fasthttp changes what it parses
	part := false
	if c.undecided && !c.OverTLS() {
		switch greetingOf(d.data) {
		case greetsHTTP2:
			c.readAhead = append(bytes.Clone(d.data), c.readAhead...)
			d.release()
			c.handOver()
			return
		case greetsPart:
			part = true
		default:
			c.undecided = false
		}
	}
	if part || !d.parse() {
		c.readAhead = append(bytes.Clone(d.data), c.readAhead...)
		malformed := d.malformed
		d.release()
		c.mu.Lock()
		if malformed || !c.keepPart() {
			c.serve()
		}
		c.mu.Unlock()
		return
	}
	if rest := d.reader.Buffered(); rest > 0 {
		c.readAhead = append(bytes.Clone(d.data[len(d.data)-rest:]), c.readAhead...)
	}
	c.SetIdle(false)
	d.handle()
}

// nothingArrived goes on after a connection could not be read.
func (c *conn) nothingArrived(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case errors.Is(err, errDrained):
		if !c.beIdleParked(c.list) {
			c.endSoon()
		}
	case errors.Is(err, listen.ErrTLS):
		c.failed = err
		c.serve() // fasthttp answers it
	default:
		c.endSoon()
	}
}

// parse reads a request, and reports whether it is a direct one.
func (d *direct) parse() (ok bool) {
	defer func() {
		if recover() != nil {
			ok = false // whoever serves it instead will see it again, and report it
		}
	}()
	c, s := d.conn, d.conn.server
	d.ctx.Init2(c, s.http.Logger, true)
	h := &d.ctx.Request.Header
	if err := h.Read(&d.reader); err != nil {
		_, long := errors.AsType[*fasthttp.ErrSmallBuffer](err)
		d.malformed = !long && !errors.Is(err, errDrained) && !errors.Is(err, io.EOF)
		return false
	}
	if !h.IsHTTP11() {
		return false
	}
	length := h.ContentLength() // negative if unknown
	switch {
	case h.IsGet():
		if length > 0 || length == -1 {
			return false
		}
		length = 0
	case h.IsPost(), h.IsPut(), h.IsDelete():
		if length == -1 {
			return false
		}
		length = max(0, length)
	default:
		return false
	}
	uri := h.RequestURI()
	if d.reader.Buffered() < length || length > s.cfg.MaxBody || hasExpectation(h) || s.stopping.Load() || !s.isAttached() ||
		uri[0] != '/' || hasControls(uri) || !c.checkHost(h.Host()) || ambiguous(h) != "" || s.refusePage(&d.ctx) != nil {
		return false
	}
	rawPath, query, _ := bytes.Cut(uri, []byte{'?'})
	clean, err := cleanPath(rawPath)
	if err != nil || clean.odd != nil {
		return false
	}
	d.x.ctx, d.x.server, d.x.direct, d.x.Path, d.x.Slash, d.x.query = &d.ctx, s, d, clean.path, clean.slash, untilRelease(query)
	route, key := s.findRoute(clean.path)
	if route == nil || !route.Direct || route.Guard != Open && route.Guard != ByKey || !d.x.isKnown() {
		return false
	}
	d.x.Key = key
	d.x.operation = route.operations[string(h.Method())]
	if d.x.operation == nil {
		return false
	}
	if length > 0 {
		body, _ := d.reader.Peek(length) // they are there
		_, _ = d.reader.Discard(length)
		d.x.Body = untilRelease(body)
	}
	return true
}

// untilRelease returns bytes of a request as a string, which is valid until the request is released.
func untilRelease(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// hasControls reports whether a request target has bytes that no target may have.
func hasControls(uri []byte) bool {
	for _, b := range uri {
		if b < ' ' || b == 0x7f {
			return true
		}
	}
	return false
}

// checkHost reports whether the host of a request is valid. It is the same for all requests of
// most connections.
func (c *conn) checkHost(host []byte) bool {
	if string(host) == c.validHost {
		return true
	}
	var uri fasthttp.URI
	if uri.Parse(host, []byte{'/'}) != nil || hasUser(host) {
		return false
	}
	if len(host) <= maxKeptHost {
		c.validHost = string(host)
	}
	return true
}

// handle calls the handler.
func (d *direct) handle() {
	c := d.conn
	c.blank = 0
	d.x.arrived = time.Now()
	d.x.Deadline = d.x.arrived.Add(c.server.cfg.RequestTimeout)
	d.x.session = c.server.sessionOf(c)
	d.proceed(d.render(nil, nil))
}

// proceed goes on after a part of the handler: with the answer that it has rendered, or else when
// what was asked for has come.
func (d *direct) proceed(rendered bool) {
	c := d.conn
	if rendered {
		d.answer()
		return
	}
	c.mu.Lock()
	switch {
	case c.watch != nil, d.parksLater:
		later := d.parksLater
		d.release()
		c.mu.Unlock()
		if !later {
			c.parkForWatch()
		}
	case c.reply != nil || c.lost:
		c.mu.Unlock()
		d.resume()
	default:
		c.phase = waiting
		c.inFlight = d
		c.mu.Unlock()
	}
}

// resume goes on with what has come for the request.
func (d *direct) resume() {
	if isLight(d.conn.reply) {
		d.goOn()
	} else {
		go d.goOn()
	}
}

func (d *direct) goOn() {
	c, then := d.conn, d.then
	reply := c.reply
	c.reply, c.lost = nil, false
	d.then = nil
	d.proceed(d.render(then, reply))
}

// isLight reports whether an answer is made of a reply in next to no time.
func isLight(reply actors.Answer) bool {
	switch r := reply.(type) {
	case *actors.ReadReply:
		return r.View == nil && len(r.Children) == 0 && (r.Node == nil || len(r.Node.Value) <= maxLight)
	case *actors.Proposed:
		size := 0
		if e := r.Result.Event; e != nil {
			size = len(e.Node.Value)
			if e.Prev != nil {
				size += len(e.Prev.Value)
			}
		}
		if f := r.Result.Failure; f != nil && f.Node != nil {
			size = len(f.Node.Value)
		}
		return size <= maxLight
	case *checkLater:
		return false
	}
	return true
}

// render calls the handler, or goes on with then, and renders its answer, if there is one; an error
// if that panics.
func (d *direct) render(then any, came actors.Answer) (rendered bool) {
	s, resp := d.conn.server, &d.ctx.Response
	defer func() {
		if p := recover(); p != nil {
			s.answerPanic(&d.ctx, p)
			rendered = true
		}
	}()
	var a Answer
	if then == nil {
		a = d.x.operation.handler(&d.x)
	} else {
		a = d.x.goOn(then, came)
	}
	if a == nil {
		return false
	}
	setHeaders(resp, s.pages.headers(&d.ctx.Request.Header))
	a.Write(resp)
	d.x.admitAnswer(resp)
	if s.stopping.Load() || wantsClose(&d.ctx.Request.Header) {
		resp.SetConnectionClose()
	}
	return true
}

// answer writes the answer, as far as that does not block, and leaves the rest to a goroutine.
func (d *direct) answer() {
	c, resp := d.conn, &d.ctx.Response
	d.status = resp.StatusCode()
	if resp.IsBodyStream() {
		go d.stream()
		return
	}
	d.out.Reset()
	d.writer.Reset(&d.out)
	_ = resp.Write(&d.writer) // a buffer takes everything
	_ = d.writer.Flush()
	keepAlive := !resp.ConnectionClose()
	all, err := c.TryWrite(d.out.Bytes())
	if err != nil || all {
		d.answered(err == nil && keepAlive)
		return
	}
	resp.Reset() // a client that is slow to read takes the memory of one answer, not of two
	go func() {
		err := c.flush(writeTimeout)
		d.answered(err == nil && keepAlive)
	}()
}

// stream writes an answer that is rendered while it is sent.
func (d *direct) stream() {
	c, resp := d.conn, &d.ctx.Response
	d.writer.Reset(c)
	keepAlive := !resp.ConnectionClose()
	err := c.SetWriteDeadline(time.Now().Add(writeTimeout))
	if err == nil {
		err = errors.Join(resp.Write(&d.writer), d.writer.Flush(), c.SetWriteDeadline(time.Time{}))
	}
	d.answered(err == nil && keepAlive)
}

// answered goes on after the answer.
func (d *direct) answered(keepAlive bool) {
	c := d.conn
	d.x.finish(d.status)
	d.release()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !keepAlive {
		c.endSoon()
		return
	}
	c.awaitNext()
}

// awaitNext has the next request served, which may have arrived. The caller holds mu.
func (c *conn) awaitNext() {
	switch {
	case len(c.readAhead) > 0 || c.readable || c.more:
		c.phase, c.list, c.readable = handling, &c.server.idles, false
		c.more = c.more && len(c.readAhead) > 0 // which is read first
		go c.serveDirectly()
	case !c.beIdleParked(&c.server.idles):
		c.endSoon()
	}
}

// release gives back what a request needs.
func (d *direct) release() {
	s := d.conn.server
	d.conn, d.then, d.x, d.parksLater, d.malformed = nil, nil, Exchange{}, false, false
	d.ctx.Request.Reset()
	d.ctx.Response.Reset()
	if d.out.Cap() > maxRoom {
		d.out = bytes.Buffer{}
	}
	s.directs.Put(d)
}

// parkNew parks a connection that has just been accepted, if its port and this system allow that.
func (c *conn) parkNew() (parked bool) {
	s := c.server
	if _, peeks := s.poller.(listen.Peeks); peeks || s.cfg.Peer {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.greets = c.OverTLS()
	if !c.beIdleParked(&s.begun) {
		s.begun.remove(c)
		c.phase, c.greets = serving, false
		return false
	}
	return true
}

// shakeHands does the TLS handshake of a connection that was parked before it.
func (c *conn) shakeHands() {
	c.greets = false
	switch err := c.Handshake(); {
	case err == nil && c.undecided && c.choseHTTP2():
		c.handOver()
	case err == nil:
		c.undecided = false
		c.serveDirectly()
	case errors.Is(err, listen.ErrPlain):
		c.mu.Lock()
		c.failed = err
		c.serve() // fasthttp answers it
		c.mu.Unlock()
	default:
		_ = c.end() // there is nobody left to tell
	}
}
