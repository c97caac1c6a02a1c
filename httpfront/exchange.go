package httpfront

import (
	"time"

	"github.com/valyala/fasthttp"

	"etcd/actors"
	"etcd/apierror"
	"etcd/listen"
)

// Exchange is one request and the way to its answer: what a handler works on. It is what
// an API is built on, besides [Route] and [Answer]:
//
//   - parse: Path, Slash, [Exchange.Key], [Exchange.Form], Body, [Exchange.Header];
//   - ask: [Exchange.Read], [Exchange.Propose] and their kin in ask.go, each of which waits
//     for its answer, in time;
//   - park: [Exchange.Watch].
//
// It is valid during the call of its handler only; what a watch renders later must not hold
// on to it.
type Exchange struct {
	// Path is clean. Slash says that it was written with a slash at its end.
	Path  string
	Slash bool
	// Body is the whole body.
	Body string
	// Deadline is when the client has to have its answer, unless it is that of a watch.
	Deadline time.Time

	query   string
	ctx     *fasthttp.RequestCtx
	server  *Server
	session *session // nil until Start
}

// Handler answers a request; nil if it has been answered already, or its connection was taken
// over for a watch.
type Handler func(x *Exchange) Answer

// Key is what the path has below a prefix: "/v1/keys/a" below "/v1/keys" is "/a", and
// "/v1/keys" itself is "/". ok is false if the path is elsewhere.
func (x *Exchange) Key(prefix string) (key string, ok bool) { return under(x.Path, prefix) }

// Header is that of the request.
func (x *Exchange) Header() *fasthttp.RequestHeader { return &x.ctx.Request.Header }

// Plain says that the request has neither a query nor a body, so that its form is empty.
func (x *Exchange) Plain() bool { return x.query == "" && x.Body == "" }

// Form returns the parameters of the request. The error is in the shape of the API.
func (x *Exchange) Form() (Form, *Error) {
	f, err := readForm(&x.ctx.Request.Header, x.Body, x.query)
	if err != nil {
		return nil, NewError(apierror.InvalidForm, err.Error())
	}
	return f, nil
}

// Scheme is that of the URLs of this port.
func (x *Exchange) Scheme() string { return x.server.cfg.scheme() }

// Conn is the connection over which the request has come.
func (x *Exchange) Conn() *listen.Conn { return x.ctx.Conn().(*conn).Conn }

// Report logs that the client speaks in a way that cannot work, see [listen.Port.Report].
func (x *Exchange) Report(f listen.Fault, err error) { x.server.port.Report(x.ctx.Conn(), f, err) }

// Fasthttp is the request as the library has it, for what answers it by itself.
func (x *Exchange) Fasthttp() *fasthttp.RequestCtx { return x.ctx }

// Machine is the one that is served; nil before there is one, which only the handlers of
// early routes see.
func (x *Exchange) Machine() *actors.Machine {
	if !x.server.isAttached() {
		return nil
	}
	return x.server.machine
}

// Start begins the session of the request once there is a machine; false if there is none
// in time. The handlers of early routes call it before they ask for anything; for all others
// it was called.
func (x *Exchange) Start() bool {
	if !x.server.waitForMachine(x.Deadline) {
		return false
	}
	x.session = x.server.sessionOf(x.ctx.Conn().(*conn))
	return true
}
