package httpfront

import (
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	// maxViews bounds the views that are being rendered. Each keeps in memory what was
	// overwritten since it was taken.
	// A request over it has cost the store a view all the same, one a batch at most.
	maxViews = 64
	// viewTimeout bounds how long a view is held, however slow its client is.
	viewTimeout = 30 * time.Second
	// A piece of a body ends when it has pieceBytes, or has taken pieceTime. Between two
	// pieces the renderer yields to other goroutines.
	pieceBytes = 16 << 10
	pieceTime  = 200 * time.Microsecond
	// workTime is how long a renderer works before it sleeps for as long: a goroutine that
	// only yields is always runnable, and then the runtime does not poll the network for up to
	// 10 ms. A sleep after each piece would be too short to be kept.
	workTime = 5 * pieceTime
)

var errViewTimeout = errors.New("the client has taken too long to read its answer")

// Stream answers with a body in JSON that is rendered from a view of the state, piece by
// piece, while it is sent. render starts from the beginning, and returns a function that
// appends a small part of the next piece to a buffer and reports whether there are more. render
// may be called twice.
func (x *Exchange) Stream(render func() (next func(piece []byte) (_ []byte, more bool))) Answer {
	s := x.server
	select {
	case s.views <- struct{}{}:
	default:
		return RetryLater{HTTPError(http.StatusServiceUnavailable, "too many large directories are being listed")}
	}
	st := s.stream(x.ctx.Conn(), render())
	// Clients that do not know chunks, or get only the header, have to be told the length first.
	if head := x.Header(); !head.IsHead() && head.IsHTTP11() {
		return streamAnswer{st, -1}
	}
	size, rendered := 0, false
	defer func() {
		if !rendered {
			st.release()
		}
	}()
	for !st.done {
		if time.Now().After(st.deadline) {
			return RetryLater{HTTPError(http.StatusServiceUnavailable, "the directory takes too long to list")}
		}
		st.render()
		size += len(st.rest)
	}
	rendered = true
	st.rest, st.done, st.next = nil, false, render()
	return streamAnswer{st, size}
}

func (s *Server) stream(conn net.Conn, next func([]byte) ([]byte, bool)) *stream {
	return &stream{conn: conn, server: s, next: next, deadline: time.Now().Add(viewTimeout)}
}

// Views returns how many views of the state this port holds, to render answers from them.
func (x *Exchange) Views() int { return len(x.server.views) }

// streamAnswer is an answer whose body is rendered while it is sent.
type streamAnswer struct {
	stream *stream
	size   int // of the body in bytes, -1 if unknown
}

func (a streamAnswer) Write(resp *fasthttp.Response) {
	resp.Header.SetContentType(TypeJSON)
	resp.SetBodyStream(a.stream, a.size)
}

// stream is a body that is rendered while it is read.
type stream struct {
	conn     net.Conn
	server   *Server
	next     func([]byte) ([]byte, bool)
	deadline time.Time
	piece    []byte
	rest     []byte        // of the piece: not read yet
	worked   time.Duration // since the last sleep
	done     bool          // no piece follows
	started  bool
}

func (s *stream) Read(p []byte) (int, error) {
	if !s.started {
		s.started = true
		// An error means that the connection is closed, which the next write says as well.
		_ = s.conn.SetWriteDeadline(s.deadline)
	}
	for len(s.rest) == 0 {
		if s.done {
			return 0, io.EOF
		}
		if time.Now().After(s.deadline) {
			return 0, errViewTimeout
		}
		s.render()
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// render renders the next piece.
func (s *stream) render() {
	s.server.renders <- struct{}{}
	defer func() { // also when next panics
		<-s.server.renders
		runtime.Gosched()
	}()
	s.piece = s.piece[:0]
	began := time.Now()
	for !s.done && len(s.piece) < pieceBytes && time.Since(began) < pieceTime {
		var more bool
		s.piece, more = s.next(s.piece)
		s.done = !more
	}
	s.rest = s.piece
	if s.worked += time.Since(began); s.worked >= workTime {
		time.Sleep(s.worked) // with its place in renders, so that no other renderer takes over
		s.worked = 0
	}
}

// Close ends the answer, whether or not all of it was sent. fasthttp calls it.
func (s *stream) Close() error {
	s.release()
	return nil
}

// release gives the view back, once.
func (s *stream) release() {
	if s.next != nil {
		s.next = nil
		<-s.server.views
	}
}
