package httpfront

import (
	"bytes"
	"errors"

	"github.com/valyala/fasthttp"
)

var (
	headerContentLength    = []byte(fasthttp.HeaderContentLength)
	headerTransferEncoding = []byte(fasthttp.HeaderTransferEncoding)
	headerHost             = []byte(fasthttp.HeaderHost)
	headerConnection       = []byte(fasthttp.HeaderConnection)
	codingChunked          = []byte("chunked")

	// errVersion is a request in a version of HTTP that is not supported. fasthttp accepts
	// anything that looks like a version.
	errVersion = errors.New("httpfront: unsupported version of HTTP")
	// errExpectation is a request with an expectation other than 100-continue.
	errExpectation = errors.New("httpfront: unsupported expectation")
)

// expectContinue is the only value of Expect that is supported.
const expectContinue = "100-continue"

func supportsVersion(h *fasthttp.RequestHeader) bool {
	version := string(h.Protocol())
	return version == "HTTP/1.1" || version == "HTTP/1.0"
}

func hasExpectation(h *fasthttp.RequestHeader) bool {
	for _, value := range h.PeekAll(fasthttp.HeaderExpect) {
		if len(value) > 0 {
			return true
		}
	}
	return false
}

// hasUnsupportedExpectation reports whether a client expects anything but 100-continue. It looks at the
// header as it was sent, not as normalizeExpect has rewritten it.
func hasUnsupportedExpectation(h *fasthttp.RequestHeader) bool {
	for line := range bytes.SplitSeq(h.RawHeaders(), []byte{'\n'}) {
		name, value, _ := bytes.Cut(line, []byte{':'})
		if !bytes.EqualFold(name, []byte(fasthttp.HeaderExpect)) {
			continue
		}
		for expectation := range bytes.SplitSeq(value, []byte{','}) {
			if e := bytes.Trim(expectation, " \t\r"); len(e) > 0 && !bytes.EqualFold(e, []byte(expectContinue)) {
				return true
			}
		}
	}
	return false
}

// ambiguous returns why it is not certain where a request ends, or "". A proxy in front
// that decides otherwise would take part of one client's request for another's: request
// smuggling (RFC 9112, 5 and 6.1). It looks for what fasthttp lets pass; the rest, such as
// two lengths, never gets here.
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

// wantsClose reports whether the client wants the connection closed after this request.
// fasthttp sees that only if the last Connection is exactly "close".
func wantsClose(h *fasthttp.RequestHeader) bool {
	if h.ConnectionClose() {
		return true
	}
	if len(h.Peek(fasthttp.HeaderConnection)) == 0 {
		return false
	}
	for line := range bytes.SplitSeq(h.RawHeaders(), []byte{'\n'}) {
		name, value, _ := bytes.Cut(line, []byte{':'})
		if !bytes.EqualFold(name, headerConnection) {
			continue
		}
		for token := range bytes.SplitSeq(value, []byte{','}) {
			if bytes.EqualFold(bytes.Trim(token, " \t\r"), []byte("close")) {
				return true
			}
		}
	}
	return false
}

// invalidAuthority returns what is wrong with the host that a request names, or "". fasthttp takes
// what stands before an "@" for a user; others take it for the host (RFC 9110, 4.2.4 and 7.2).
func invalidAuthority(h *fasthttp.RequestHeader) string {
	if hasUser(h.Host()) {
		return "there is a user in Host"
	}
	target := h.RequestURI()
	if len(target) == 0 || target[0] == '/' {
		return ""
	}
	_, authority, absolute := bytes.Cut(target, []byte("://"))
	if !absolute {
		return ""
	}
	if end := bytes.IndexAny(authority, "/?#"); end >= 0 {
		authority = authority[:end]
	}
	switch {
	case len(authority) == 0:
		return "there is no host in the target"
	case hasUser(authority):
		return "there is a user in the target"
	}
	return ""
}

func hasUser(authority []byte) bool { return bytes.IndexByte(authority, '@') >= 0 }
