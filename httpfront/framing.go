package httpfront

import (
	"bytes"

	"github.com/valyala/fasthttp"
)

var (
	headerContentLength    = []byte(fasthttp.HeaderContentLength)
	headerTransferEncoding = []byte(fasthttp.HeaderTransferEncoding)
	codingChunked          = []byte("chunked")
)

// ambiguous says why it is not certain where a request ends, or "". A proxy in front
// that decides otherwise would take part of one client's request for that of another
// (RFC 9112, 5 and 6.1). It looks for what fasthttp lets pass; the rest, such as two
// lengths, never gets here.
func ambiguous(h *fasthttp.RequestHeader) string {
	hasLength, hasCoding := false, false
	for raw := h.RawHeaders(); len(raw) > 0; {
		var line []byte
		line, raw, _ = bytes.Cut(raw, []byte{'\n'})
		line, ok := bytes.CutSuffix(line, []byte{'\r'})
		switch {
		case !ok:
			return "a line of the header ends in a bare LF"
		case len(line) == 0:
			continue
		case line[0] == ' ' || line[0] == '\t':
			return "a line of the header is folded"
		}
		name, value, _ := bytes.Cut(line, []byte{':'})
		if bytes.IndexByte(name, ' ') >= 0 {
			return "there is a space in the name of a header"
		}
		switch len(name) {
		case len(headerContentLength):
			hasLength = hasLength || bytes.EqualFold(name, headerContentLength)
		case len(headerTransferEncoding):
			if !bytes.EqualFold(name, headerTransferEncoding) {
				continue
			}
			hasCoding = true
			if !bytes.EqualFold(bytes.Trim(value, " \t"), codingChunked) {
				return "Transfer-Encoding is not chunked"
			}
		}
	}
	if hasLength && hasCoding {
		return "both Content-Length and Transfer-Encoding"
	}
	return ""
}

// wantsClose says whether the client ends the connection after this request. fasthttp
// sees that only if Connection is exactly "close".
func wantsClose(h *fasthttp.RequestHeader) bool {
	if h.ConnectionClose() {
		return true
	}
	for _, value := range h.PeekAll(fasthttp.HeaderConnection) {
		for token := range bytes.SplitSeq(value, []byte{','}) {
			if bytes.EqualFold(bytes.Trim(token, " \t"), []byte("close")) {
				return true
			}
		}
	}
	return false
}
