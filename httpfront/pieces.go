package httpfront

import (
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"
)

// sizeRoom is the room for the size of a chunk before it.
const sizeRoom = 10

// piece is a part of an answer that is written as one.
type piece struct {
	text text // in room
	room []byte
	more bool // the batch has more

	escaped []byte
}

func newPiece() any { return &piece{room: make([]byte, 0, 1024)} }

// putPiece keeps a piece for the next batch of a stream.
func (s *Server) putPiece(p *piece) {
	p.text = text{}
	if cap(p.room) > maxRoom {
		p.room = nil
	}
	p.escaped = nil
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
	if f.begun && (f.tooMuch || !f.isPermitted(c.server)) {
		f.breakOff(p)
		return
	}
	if !f.begun {
		if refusal := f.refusal(); refusal != nil {
			p.text = text{data: f.respond(refusal, f.keepAlive && !c.server.stopping.Load())}
			p.more, f.over = false, true
			return
		}
	}
	f.renderBatch(p)
}

// refusal returns the answer to a request whose stream cannot begin; nil: it can.
func (f *following) refusal() Answer {
	switch {
	case f.tooMuch:
		f.conn.Linger()
		f.keepAlive = false
		return tooMuchAhead()
	case !f.isPermitted(f.conn.server):
		return f.parkedWatch.refusal(f.conn.server)
	case len(f.batch) > 0 && f.batch[0].Err != nil:
		err := f.batch[0].Err
		return f.format.Refuse(f.conn.server.machine, err, f.resumeAfter(err))
	}
	return nil
}

// breakOff ends the stream where it is, which its client can see.
func (f *following) breakOff(p *piece) {
	p.text, p.more = text{}, false
	f.keepAlive, f.over = false, true
}

// renderBatch renders a piece of the batch.
func (f *following) renderBatch(p *piece) {
	now := time.Now()
	to := p.room[:0]
	if !f.begun {
		if len(f.batch) > 0 && f.batch[0].Err != nil {
			f.index = f.resumeAfter(f.batch[0].Err)
		}
		to = f.appendHeader(to)
	}
	before := len(to)
	to = append(to, make([]byte, sizeRoom)...)
	if !f.begun {
		f.begin()
		if len(f.batch) == 0 || f.batch[0].Err == nil {
			to = f.format.AppendStart(to, f.index)
			f.news = true
		}
	}
	var gaps Gaps
	for len(f.batch) > 0 && len(to) < pieceBytes && len(gaps) == 0 {
		d := f.batch[0]
		f.batch = f.batch[1:]
		switch {
		case d.Err != nil:
			to = f.format.AppendError(to, d.Err, f.resumeAfter(d.Err))
			f.over, f.batch = true, nil
			if f.format.Cut() {
				f.cut, f.keepAlive = true, false
			}
		case d.Event.Index > f.index: // otherwise another watcher of the stream had it
			to = f.conn.server.appendEvent(to, &gaps, f.format, d.Event, now)
			f.index, f.news = d.Event.Index, true
		}
	}
	p.more = len(f.batch) > 0
	if !p.more && !f.over {
		f.batch, f.index = nil, max(f.index, f.upTo)
		if !f.news {
			to = f.format.AppendHeartbeat(to, f.index)
		}
		f.over = !f.goesOn
	}
	to, begin := f.frame(to, gaps, before)
	for i := range gaps {
		gaps[i].at -= begin
	}
	p.room, p.text = to, text{data: to[begin:], gaps: gaps}
}

// begin notes that the header was rendered.
func (f *following) begin() {
	f.begun, f.head = true, nil
	// Of a client that only does not read flushAsTaken decides, so that this comes later. Without it
	// one that has vanished is noticed much later.
	_ = f.conn.LimitSilence(2 * f.conn.server.deadAfter)
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
	w := &f.parkedWatch
	w.operation.count(http.StatusOK)
	setHeaders(resp, w.headers)
	h := &resp.Header
	h.SetContentType(f.format.ContentType())
	if f.head != nil {
		f.head.SetHeaders(h)
	} else {
		h.Set(fasthttp.HeaderCacheControl, "no-store")
		setIndex(h, f.index)
	}
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

// frame makes a chunk of what follows the room for its size, gaps included, and adds the last chunk if the
// stream is over. before is how many bytes precede that room, and begin where all of it begins then.
func (f *following) frame(data []byte, gaps Gaps, before int) (_ []byte, begin int) {
	var head []byte
	if size := len(data) - before - sizeRoom + gaps.size(); f.chunked && size > 0 {
		head = chunkHead(size)
		data = append(data, "\r\n"...)
	}
	if f.chunked && f.over && !f.cut {
		data = append(data, "0\r\n\r\n"...)
	}
	begin = sizeRoom - len(head)
	copy(data[before+begin:], head)
	copy(data[begin:], data[:before]) // a header, at the beginning of the stream
	return data, begin
}

// chunkHead returns what precedes a chunk.
func chunkHead(size int) []byte {
	return append(strconv.AppendInt(make([]byte, 0, sizeRoom), int64(size), 16), "\r\n"...)
}
