package httpfront

import (
	"bytes"
	"errors"
	"io"
	"math"

	"github.com/valyala/fasthttp"
)

// fasthttp takes what other parsers do not: chunks and trailers whose lines end in a bare LF, folded
// trailers, names with spaces. A proxy that reads on to the next CRLF would take what follows for part
// of the trailer, and fasthttp for the next request. So it is not told that a body is chunked, and
// hands over its bytes as they came.

const (
	// lengthOfChunks is the length that fasthttp is told of a chunked body.
	lengthOfChunks = math.MaxInt
	// maxSizeDigits bounds the digits of the size of a chunk. Some parsers take no more.
	maxSizeDigits = 16
	// Sizes and extensions may take chunkRatio bytes for each byte of content, and chunkSlack
	// on top of that.
	chunkRatio = 16
	chunkSlack = maxHeader
)

var (
	// errChunks is a body whose chunks cannot be read, or not in one way only.
	errChunks = errors.New("httpfront: the chunks of a body are malformed")
	// errChunkOverhead is a body of hardly any content: the rest are chunk extensions, which nobody
	// sends in good faith.
	errChunkOverhead = errors.New("httpfront: the chunks of a body hold too little content")
	// errTrailers is a body with trailers that are longer than headers may be.
	errTrailers = errors.New("httpfront: the trailers are too long")
)

// hideChunks tells fasthttp a length instead of the coding, if a body is chunked. If it is certain
// that the request is refused, fasthttp need not wait for the first byte of the body.
func hideChunks(h *fasthttp.RequestHeader) {
	switch length := h.ContentLength(); {
	case length == -1 && ambiguous(h) == "":
		h.SetContentLength(lengthOfChunks)
	case length == lengthOfChunks: // of a client that has counted so far
		h.SetContentLength(lengthOfChunks - 1)
	}
}

// chunks reads the content of a chunked body (RFC 9112, 7.1).
type chunks struct {
	raw      io.Reader
	limit    int  // bytes of content; a chunk of more is refused unread
	left     int  // bytes of the chunk
	begun    bool // a chunk was, so its end is due
	over     bool
	overhead int // bytes that sizes and extensions may still take
	one      [1]byte
}

func newChunks(raw io.Reader, limit int) *chunks {
	return &chunks{raw: raw, limit: limit, overhead: chunkSlack}
}

// Read implements [io.Reader]. It never reads beyond the end of the body.
func (c *chunks) Read(p []byte) (int, error) {
	if c.left == 0 && !c.over {
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	if c.over {
		return 0, io.EOF
	}
	n, err := c.raw.Read(p[:min(len(p), c.left)])
	c.left -= n
	c.overhead += chunkRatio * n
	return n, unexpected(err)
}

// next reads what stands before the content of the next chunk. Behind the last one, it reads the
// rest of the body.
func (c *chunks) next() error {
	if c.begun {
		if err := c.lineEnd(); err != nil {
			return err
		}
	}
	c.begun = true
	size, err := c.size()
	if err != nil {
		return err
	}
	switch {
	case size == 0:
		c.over = true
		return c.trailers()
	case size > c.limit:
		return errBodyTooLong
	}
	c.left = size
	return nil
}

// size reads the line with the size of a chunk. Extensions have no meaning here.
func (c *chunks) size() (size int, err error) {
	for digits := 0; ; digits++ {
		b, err := c.framing()
		if err != nil {
			return 0, err
		}
		digit := unhex(b)
		switch {
		case digit >= 0 && digits < maxSizeDigits && size <= math.MaxInt>>4:
			size = size<<4 | digit
		case digits > 0 && b == '\r':
			return size, c.expect('\n')
		case digits > 0 && b == ';':
			return size, c.extension()
		default:
			return 0, errChunks
		}
	}
}

func (c *chunks) extension() error {
	for {
		b, err := c.framing()
		switch {
		case err != nil:
			return err
		case b == '\r':
			return c.expect('\n')
		case isControl(b):
			return errChunks
		}
	}
}

// trailers reads the trailers, of which nothing is kept, and the end of the body.
func (c *chunks) trailers() error {
	var line []byte
	for total := 0; ; total++ {
		b, err := c.byte()
		switch {
		case err != nil:
			return err
		case total == maxHeader:
			return errTrailers
		case b == '\r':
			if err := c.expect('\n'); err != nil || len(line) == 0 {
				return err
			}
			if !isTrailer(line) {
				return errChunks
			}
			line = line[:0]
		case isControl(b):
			return errChunks
		default:
			line = append(line, b)
		}
	}
}

// isTrailer reports whether a line is a trailer that changes nothing about the request before it.
func isTrailer(line []byte) bool {
	name, _, ok := bytes.Cut(line, []byte{':'})
	if !ok || len(name) == 0 || bytes.ContainsAny(name, " \t") {
		return false
	}
	for _, forbidden := range [][]byte{headerContentLength, headerTransferEncoding, headerHost} {
		if bytes.EqualFold(name, forbidden) {
			return false
		}
	}
	return true
}

// lineEnd reads the end of a chunk.
func (c *chunks) lineEnd() error {
	if err := c.expect('\r'); err != nil {
		return err
	}
	return c.expect('\n')
}

func (c *chunks) expect(want byte) error {
	b, err := c.byte()
	if err == nil && b != want {
		err = errChunks
	}
	return err
}

// framing reads a byte of a size or an extension.
func (c *chunks) framing() (byte, error) {
	if c.overhead == 0 {
		return 0, errChunkOverhead
	}
	c.overhead--
	return c.byte()
}

func (c *chunks) byte() (byte, error) {
	_, err := io.ReadFull(c.raw, c.one[:])
	return c.one[0], unexpected(err)
}

// unexpected returns the error of reading where more must come.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// isControl reports whether a byte may not be in a line.
func isControl(b byte) bool { return b < ' ' && b != '\t' || b == 0x7f }
