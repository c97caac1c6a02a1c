package httpfront

import (
	"errors"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"etcd/actors"
	"etcd/watch"
)

const (
	// maxReadAhead bounds the bytes that a client may send while its watch waits. They have to be
	// read, because only a Read shows that the client has gone; more end the connection.
	maxReadAhead = 4096
	// watchWriteTimeout bounds writing the answer to a watch.
	watchWriteTimeout = 30 * time.Second
)

// Watch registers a watcher, hijacks the connection from fasthttp and parks it until the
// event comes. render makes the answer of it. The handler returns what Watch returns.
func (x *Exchange) Watch(w watch.Watcher, render func(watch.Delivery) Answer) Answer {
	s, ctx := x.session, x.ctx
	s.server.root.Send(s.server.machine.Hub, &actors.Watch{ReplyTo: s.pid, Subscriber: s.expect(), Watcher: w})
	// ctx is not valid outside this call.
	headers := s.server.pages.headers(&ctx.Request.Header)
	keepAlive := !wantsClose(&ctx.Request.Header) && ctx.Request.Header.IsHTTP11()
	ctx.HijackSetNoResponse(true)
	done := s.countHijack()
	ctx.Hijack(func(hijacked net.Conn) {
		if err := s.conn.reclaim(hijacked); err != nil {
			s.server.log.Error("cannot take over a connection for a watch", "error", err)
			return // fasthttp closes it
		}
		s.conn.parked = func() {
			defer done()
			if s.await(keepAlive, headers, render) && !s.server.stopping.Load() {
				s.conn.beIdle()
				_ = s.server.http.ServeConn(s.conn) // its errors are the client's, as in Serve
				return
			}
			_ = s.conn.Close() // there is nobody left to tell
		}
	})
	return nil
}

// countHijack counts the connection as hijacked until done is called, or until it is
// closed: fasthttp may find it broken and never hand it over. The count overlaps with that
// of fasthttp, so that a stop never sees the connection uncounted.
func (s *session) countHijack() (done func()) {
	s.server.hijacked.Add(1)
	done = sync.OnceFunc(s.server.hijacked.Done)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hijackEnd = done
	return done
}

// await waits for the event and answers. It reports whether the connection can serve
// another request.
func (s *session) await(keepAlive bool, headers []header, render func(watch.Delivery) Answer) (goOn bool) {
	defer func() {
		if p := recover(); p != nil {
			s.server.log.Error("panic while answering a watch; please report this message", "panic", p, "stack", string(debug.Stack()))
			goOn = false
		}
	}()
	var a Answer
	reply, err := s.awaitEvent()
	switch {
	case errors.Is(err, errReadAhead):
		a = HTTPError(http.StatusBadRequest, "more than "+strconv.Itoa(maxReadAhead)+" bytes sent behind a waiting watch")
		keepAlive = false
		s.conn.Linger()
	case err != nil:
		return false
	default:
		a = render(reply.Deliveries[0])
	}
	keepAlive = keepAlive && !s.server.stopping.Load()
	resp := fasthttp.AcquireResponse()
	defer fasthttp.ReleaseResponse(resp)
	setHeaders(resp, headers)
	a.Write(resp)
	if !keepAlive {
		resp.SetConnectionClose()
	}
	if s.conn.SetWriteDeadline(time.Now().Add(watchWriteTimeout)) != nil {
		return false
	}
	if _, err := resp.WriteTo(s.conn); err != nil {
		return false
	}
	return keepAlive
}

// errReadAhead is a client that has sent too much while its watch waited.
var errReadAhead = errors.New("httpfront: too many bytes behind a waiting watch")

// awaitEvent waits for the reply in Read, so that it notices when the client has gone, which
// is an error. Another is errReadAhead.
func (s *session) awaitEvent() (*actors.WatchReply, error) {
	s.setReading(true)
	reply, err := s.readUntilEvent()
	s.setReading(false)
	return reply, errors.Join(err, s.conn.SetReadDeadline(time.Time{}))
}

func (s *session) readUntilEvent() (*actors.WatchReply, error) {
	var buf [256]byte
	for {
		select {
		case r := <-s.answers:
			return r.(*actors.WatchReply), nil
		default:
		}
		if len(s.conn.readAhead) > maxReadAhead {
			return nil, errReadAhead
		}
		n, err := s.conn.Conn.Read(buf[:])
		s.conn.readAhead = append(s.conn.readAhead, buf[:n]...)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, err
		}
	}
}
