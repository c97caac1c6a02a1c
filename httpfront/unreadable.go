package httpfront

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/valyala/fasthttp"

	"etcd/apierror"
	"etcd/listen"
)

// The answers to requests that are not read to their end, or that cannot be read.

// badRequest answers a request that fasthttp could not read.
func (s *Server) badRequest(ctx *fasthttp.RequestCtx, err error) {
	setHeaders(&ctx.Response, s.pages.headers(&ctx.Request.Header))
	answer := s.unreadable(ctx, err)
	s.metrics.unrouted.count(answer.Status)
	answer.Write(&ctx.Response)
}

// headerReceived prepares a header before fasthttp looks for a body.
func headerReceived(h *fasthttp.RequestHeader) (unchanged fasthttp.RequestConfig) {
	normalizeExpect(h)
	hideChunks(h)
	return unchanged
}

// normalizeExpect makes fasthttp call expectBody before it waits for a body, whatever the
// client expects and however it spells that. A client of HTTP/1.0 is not sent 100-continue: it
// would take that for the answer.
func normalizeExpect(h *fasthttp.RequestHeader) {
	switch {
	case !h.IsHTTP11():
		h.Del(fasthttp.HeaderExpect)
	case hasExpectation(h):
		h.Set(fasthttp.HeaderExpect, expectContinue)
	}
}

// expectBody decides whether a client that has sent Expect is told to send its body.
func (s *Server) expectBody(ctx *fasthttp.RequestCtx) (status int) {
	refusal := s.refuseByHeader(ctx)
	length := ctx.Request.Header.ContentLength()
	switch {
	case refusal != nil:
	case hasUnsupportedExpectation(&ctx.Request.Header):
		refusal = s.unreadable(ctx, errExpectation)
	case length > s.cfg.MaxBody && length != lengthOfChunks:
		refusal = s.unreadable(ctx, errBodyTooLong)
	default:
		return http.StatusContinue
	}
	setHeaders(&ctx.Response, s.pages.headers(&ctx.Request.Header))
	s.metrics.unrouted.count(refusal.Status)
	refusal.Write(&ctx.Response)
	return refusal.Status
}

// refuseByHeader refuses a request that must not even be read to its end.
func (s *Server) refuseByHeader(ctx *fasthttp.RequestCtx) *Error {
	if refusal := s.refuseFraming(ctx); refusal != nil {
		return refusal
	}
	refusal := s.refusePage(ctx)
	if refusal != nil {
		closeAfterAnswer(ctx)
	}
	return refusal
}

// refuseFraming refuses a request in an unsupported version of HTTP, and one whose end is ambiguous.
func (s *Server) refuseFraming(ctx *fasthttp.RequestCtx) *Error {
	if !supportsVersion(&ctx.Request.Header) {
		return s.unreadable(ctx, errVersion)
	}
	why := cmp.Or(ambiguous(&ctx.Request.Header), invalidAuthority(&ctx.Request.Header))
	if why == "" {
		return nil
	}
	refusal := s.unreadable(ctx, nil)
	refusal.Cause += ": " + why
	return refusal
}

// closeAfterAnswer closes the connection after the answer. The rest of the request is discarded.
func closeAfterAnswer(ctx *fasthttp.RequestCtx) {
	ctx.Conn().(*conn).Linger()
	ctx.SetConnectionClose()
}

// unreadable returns the error for a request that cannot be read. Its connection ends,
// because it is unknown where the next request begins.
func (s *Server) unreadable(ctx *fasthttp.RequestCtx, err error) *Error {
	closeAfterAnswer(ctx)
	var (
		small  *fasthttp.ErrSmallBuffer
		netErr net.Error
	)
	switch {
	case errors.Is(err, listen.ErrPlain) && s.cfg.Peer:
		return HTTPError(http.StatusBadRequest, "this port speaks only TLS; the machines of this cluster are started with -serverCert and -serverKey")
	case errors.Is(err, listen.ErrPlain):
		return HTTPError(http.StatusBadRequest, "this port speaks only TLS; ask with https://")
	case errors.Is(err, listen.ErrTLS):
		return HTTPError(http.StatusBadRequest, "this port speaks plain HTTP; ask with http://")
	case errors.Is(err, errVersion):
		return HTTPError(http.StatusHTTPVersionNotSupported, "this server speaks HTTP/1.1 and HTTP/1.0")
	case errors.Is(err, errExpectation):
		return HTTPError(http.StatusExpectationFailed, "this server can only be expected to send 100-continue")
	case errors.Is(err, errBodyTooLong) && s.cfg.Peer:
		return HTTPError(http.StatusRequestEntityTooLarge, fmt.Sprintf("this port is for the other machines of the cluster, which send at most %d bytes", s.cfg.MaxBody))
	case errors.Is(err, errBodyTooLong):
		return HTTPError(http.StatusRequestEntityTooLarge, "the limit is set by -max-body")
	case errors.Is(err, errBodyMemory):
		return HTTPError(http.StatusServiceUnavailable,
			"the bodies of all requests in flight are too large together; nothing was done. The limit is set by -max-body-memory")
	case errors.As(err, &small) && !ctx.Conn().(*conn).gotLine:
		return uriTooLong()
	case errors.As(err, &small), errors.Is(err, errTrailers):
		return HTTPError(http.StatusRequestHeaderFieldsTooLarge, "request line and headers are too long")
	case errors.Is(err, errStalled):
		return HTTPError(http.StatusRequestTimeout, "too many clients are slow to send their requests, and this one has waited longest")
	case errors.Is(err, errBodyTooSlow):
		return HTTPError(http.StatusRequestTimeout, "the body of the request did not arrive in time; the limit is set by -body-timeout")
	case errors.As(err, &netErr) && netErr.Timeout():
		return HTTPError(http.StatusRequestTimeout, headerTooSlow)
	case errors.Is(err, io.ErrUnexpectedEOF): // of a body
		return NewError(apierror.InvalidForm, err.Error())
	}
	return HTTPError(http.StatusBadRequest, "the request cannot be read")
}
