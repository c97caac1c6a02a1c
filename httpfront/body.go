package httpfront

import (
	"errors"
	"io"
	"os"
	"time"
	"unsafe"

	"github.com/valyala/fasthttp"
)

// firstBody is the memory, in bytes, that every body may take. What it takes beyond that
// counts against -max-body-memory; so small requests are served even when large ones have
// used that up, and the sum of these first bytes is bounded by the number of connections.
const firstBody = 4 << 10

var (
	// errBodyTooLong is a body over -max-body.
	errBodyTooLong = errors.New("httpfront: the body is too long")
	// errBodyTooSlow is a body that has not arrived in time.
	errBodyTooSlow = errors.New("httpfront: the body has not arrived in time")
	// errBodyMemory is a body for which -max-body-memory has nothing left.
	errBodyMemory = errors.New("httpfront: too many bytes of request bodies in flight")
)

// readBody reads the body of a request. Its buffer grows with what has arrived, to twice
// that at most, whatever Content-Length says. The caller gives counted back to s.bodies
// when the request is served, also after an error.
func (s *Server) readBody(ctx *fasthttp.RequestCtx) (body string, counted int64, err error) {
	length := ctx.Request.Header.ContentLength()
	isChunked := length == lengthOfChunks
	if length > s.cfg.MaxBody && !isChunked {
		return "", 0, errBodyTooLong
	}
	stream := ctx.RequestBodyStream()
	if stream == nil || length == 0 {
		return "", 0, nil
	}
	c := ctx.Conn().(*conn)
	most := length
	if isChunked {
		most = s.cfg.MaxBody + 1 // one more, to see that it is too long
		stream = newChunks(stream, s.cfg.MaxBody)
	}
	buf := make([]byte, 0, min(most, firstBody))
	deadline := time.Now().Add(s.cfg.BodyTimeout)
	limited := -limitStep // so much had arrived when the deadline was set
	for {
		if len(buf) == cap(buf) {
			if len(buf) == most {
				return "", counted, errBodyTooLong
			}
			grown := min(2*cap(buf), most)
			n := int64(grown - cap(buf))
			if !s.bodies.take(n, s.budget(s.cfg.MaxBodyMemory)-s.cfg.MaxBodyMemory) {
				return "", counted, errBodyMemory
			}
			counted += n
			buf = append(make([]byte, 0, grown), buf...)
		}
		if len(buf)-limited >= limitStep {
			if err := c.limitBody(deadline, len(buf)); err != nil {
				return "", counted, err
			}
			limited = len(buf)
		}
		n, err := stream.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded) && !s.cfg.Peer:
			return "", counted, errBodyTooSlow
		case !errors.Is(err, io.EOF):
			return "", counted, err
		case !isChunked && len(buf) < length:
			return "", counted, io.ErrUnexpectedEOF
		default:
			return unsafe.String(unsafe.SliceData(buf), len(buf)), counted, nil // nobody writes to buf any more
		}
	}
}

const (
	// minBodyRate is how many bytes of a body have to arrive in a second, once its time is over.
	minBodyRate = 16 << 10
	// limitStep is how many of them have to arrive before the deadline is set again, so that chunks of
	// a byte do not take a call each.
	limitStep = 4 << 10
)

// limitBody sets the deadline of reading the next part of a body of which so much has arrived.
func (c *conn) limitBody(deadline time.Time, arrived int) error {
	if c.server.cfg.Peer {
		return nil // it is that of the whole request
	}
	return c.limitRead(deadline.Add(time.Duration(arrived) * time.Second / minBodyRate))
}
