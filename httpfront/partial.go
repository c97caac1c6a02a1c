package httpfront

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/valyala/fasthttp"

	"etcd/listen"
)

// A request that has arrived in part leaves its connection parked: what there is of it is kept, which takes
// no more memory than the client has sent, and the poller says when more comes. It is served when it is
// whole, or when there is so much of it that the limits of bodies hold for it.

// maxPartial bounds what is kept of a request, in bytes. It is what fasthttp reads at a time, so a
// longer header is an error.
const maxPartial = maxHeader

// maxBlank bounds the empty lines that are dropped between two requests, in bytes. Clients send one, if any;
// more are left to fasthttp, which ends a connection with a buffer full of them.
const maxBlank = 64

// partial is how far a request has arrived that is in conn.readAhead.
type partial struct {
	searched int // so many bytes do not have the end of the header
	size     int // of header and body, as far as anybody has to wait for them; 0: the header has not ended
}

// isEnough reports whether there is enough of a request to serve it.
func (p *partial) isEnough(data []byte, maxBody int) bool {
	if p.size == 0 {
		end := headerEnd(data, p.searched)
		if end < 0 {
			p.searched = max(0, len(data)-len("\n\r"))
			return len(data) >= maxPartial
		}
		p.size = end + bodyLength(data[:end], maxBody)
	}
	return len(data) >= min(p.size, maxPartial)
}

// hasEnough reports whether enough was read ahead to serve it, or to know that it is HTTP/2.
func (c *conn) hasEnough() bool {
	return !c.isPart(c.readAhead) && c.part.isEnough(c.readAhead, c.server.cfg.MaxBody)
}

// headerEnd returns where the header of a request ends, which is behind from; -1: not in data. It is an
// empty line, also if that or the one before it ends in a bare LF: what is wrong with those is for
// somebody else to say.
func headerEnd(data []byte, from int) int {
	for {
		i := bytes.IndexByte(data[from:], '\n')
		if i < 0 {
			return -1
		}
		from += i + 1
		switch rest := data[from:]; {
		case bytes.HasPrefix(rest, []byte("\n")):
			return from + 1
		case bytes.HasPrefix(rest, []byte("\r\n")):
			return from + 2
		}
	}
}

// bodyLength returns the length of the body that belongs to a header; 0 if there is none, or if the
// request is answered, or its client is told to go on, before that arrives.
func bodyLength(header []byte, maxBody int) (length int) {
	given := false
	for line := range bytes.SplitSeq(header, []byte{'\n'}) {
		name, value, _ := bytes.Cut(line, []byte{':'})
		switch {
		case bytes.EqualFold(name, headerContentLength):
			n, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 10, 32)
			if given || err != nil || n > uint64(maxBody) {
				return 0
			}
			given, length = true, int(n)
		case bytes.EqualFold(name, headerTransferEncoding), bytes.EqualFold(name, []byte(fasthttp.HeaderExpect)):
			return 0
		}
	}
	return length
}

// trimLines drops the empty lines before a request.
func trimLines(data []byte) []byte {
	for {
		rest, ok := bytes.CutPrefix(data, []byte("\n"))
		if !ok {
			if rest, ok = bytes.CutPrefix(data, []byte("\r\n")); !ok {
				return data
			}
		}
		data = rest
	}
}

// dropBlank drops the empty lines before a request, and reports whether they were few. If not, they stay,
// so that fasthttp has something to read. The caller holds mu.
func (c *conn) dropBlank() bool {
	rest := trimLines(c.readAhead)
	c.blank += len(c.readAhead) - len(rest)
	if c.blank > maxBlank {
		return false
	}
	c.readAhead = rest
	return true
}

// keepPart parks a connection until the rest of its request arrives, and reports whether it could:
// not if there is enough of it. The caller holds mu.
func (c *conn) keepPart() bool {
	if _, peeks := c.server.poller.(listen.Peeks); peeks {
		return false // it would take a goroutine for each byte
	}
	if !c.dropBlank() {
		return false
	}
	if len(c.readAhead) == 0 && c.list == &c.server.idles { // the end of the last request, to its client
		c.awaitNext()
		return true
	}
	c.part = partial{}
	if c.hasEnough() || !c.server.begun.add(c) {
		return false
	}
	c.list = &c.server.begun
	c.phase = gathering
	c.SetIdle(false)
	c.uncount()
	c.gather()
	return true
}

// gather reads what has arrived of a request, and has it served if that is enough, or if empty lines come
// instead. So what it reads is bounded, however fast the client sends. The caller holds mu.
func (c *conn) gather() {
	var buf [1024]byte
	for {
		n, err := c.TryRead(buf[:])
		c.readAhead = append(c.readAhead, buf[:n]...)
		few := len(c.readAhead) != n || c.dropBlank()
		if n == 0 && err == nil {
			var arrived bool
			if arrived, err = c.arm(); err == nil && !arrived {
				return
			}
		}
		enough := c.hasEnough()
		switch {
		case err == nil && !enough && few:
			continue
		case !c.list.take(c, c.count): // its time is over, or the server stops
		case enough && few:
			c.phase, c.readable, c.more = handling, false, true // of TLS, more may have been read than was returned
			go c.serveDirectly()                                // others may wait for this goroutine
		case !few, errors.Is(err, io.EOF):
			c.serve() // the client may still read that its request is not whole
		default:
			c.phase = answering // there is nobody left to answer
			c.endSoon()
		}
		return
	}
}

// tooSlow ends a connection whose request, or what has to be there of it, has not arrived in time. All that
// has arrived was read, so the client sees the answer.
func (c *conn) tooSlow() {
	c.mu.Lock()
	c.phase = answering
	c.mu.Unlock()
	if !c.greets {
		_, _ = c.TryWrite(c.server.tooSlowAnswer()) // it is closed either way
	}
	_ = c.end() // there is nobody left to tell
}

func (s *Server) tooSlowAnswer() []byte {
	resp := fasthttp.AcquireResponse()
	defer fasthttp.ReleaseResponse(resp)
	setHeaders(resp, s.pages.defaultHeaders)
	HTTPError(http.StatusRequestTimeout, headerTooSlow).Write(resp)
	resp.SetConnectionClose()
	s.metrics.unrouted.count(http.StatusRequestTimeout)
	var b bytes.Buffer
	_, _ = resp.WriteTo(&b) // a buffer takes everything
	return b.Bytes()
}
