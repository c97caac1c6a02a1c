package httpfront

import (
	"time"

	"github.com/valyala/fasthttp"

	"etcd/actors"
	"etcd/apierror"
	"etcd/listen"
)

// Exchange is one request, as its handler sees it, and all that the handler needs to answer
// it. An API is built on it, on [Route] and on [Answer]:
//
//   - parse: Path, Slash, [Exchange.Key], [Exchange.Form], Body, [Exchange.Header];
//   - ask: [Exchange.Read], [Exchange.Propose] and the others in ask.go, each of which has
//     a deadline for its answer;
//   - park: [Exchange.Watch], [Exchange.Follow].
//
// It is valid until the request is answered, or its connection is parked for a watch; what renders
// the answer of a watch later must not keep it.
type Exchange struct {
	// Path is clean. Slash means that the client wrote it with a slash at its end.
	Path  string
	Slash bool
	// Key is the part of the path below that of the route: "/v1/keys/a" below "/v1/keys" is
	// "/a", and "/v1/keys" itself is "/".
	Key string
	// Body is the whole body. Unlike Path and Key, and like what Form returns, it is only valid as
	// long as the exchange.
	Body string
	// Deadline is when the request times out. A watch waits for its event without one.
	Deadline time.Time

	query   string
	fields  [4]Field // room for a form
	ctx     *fasthttp.RequestCtx
	server  *Server
	session *session // nil until Start
	direct  *direct  // nil: fasthttp serves the request

	claim   claim
	pass    pass
	needed  need   // for what is being read
	command []byte // that was proposed
	checks  int    // how often that was refused because users and roles have changed
	mayWait bool   // a direct request is on a goroutine of its own

	recovered bool // see mustRecover

	arrived   time.Time
	operation *operation
	times     actors.Times // of what was asked for
	parked    bool         // for a watch, which counts itself
}

// Handler answers a request. It returns nil if the request has been answered already, or is
// answered later, see [Exchange.Read] and [Exchange.Watch].
type Handler func(x *Exchange) Answer

// Header returns the header of the request.
func (x *Exchange) Header() *fasthttp.RequestHeader { return &x.ctx.Request.Header }

// Plain reports whether the request has neither a query nor a body, so that its form is empty.
func (x *Exchange) Plain() bool { return x.query == "" && x.Body == "" }

// Form returns the parameters of the request, which are valid as long as the exchange. The
// error is in the shape of the API.
func (x *Exchange) Form() (Form, *Error) {
	f, err := x.ReadForm()
	if err != nil {
		return nil, NewError(apierror.InvalidForm, err.Error())
	}
	return f, nil
}

// ReadForm is Form for an API with errors of its own. One about an escape wraps a [url.EscapeError].
func (x *Exchange) ReadForm() (Form, error) {
	return readForm(x.fields[:0], &x.ctx.Request.Header, x.Body, x.query)
}

// Query returns the query as it was sent. It is valid as long as the exchange.
func (x *Exchange) Query() string { return x.query }

// Scheme returns the scheme of the URLs of the listener that the request has reached.
func (x *Exchange) Scheme() string { return x.ctx.Conn().(*conn).scheme() }

// Conn returns the connection on which the request has arrived.
func (x *Exchange) Conn() *listen.Conn { return x.ctx.Conn().(*conn).Conn }

// Report logs that the client speaks in a way that cannot work, see [listen.Port.Report].
func (x *Exchange) Report(f listen.Fault, err error) { x.server.port.Report(x.ctx.Conn(), f, err) }

// Fasthttp returns the request as the library has it, for handlers that write the response
// themselves.
func (x *Exchange) Fasthttp() *fasthttp.RequestCtx { return x.ctx }

// Machine returns the machine that is served. It is nil before there is one, which only
// handlers of early routes see.
func (x *Exchange) Machine() *actors.Machine {
	if !x.server.isAttached() {
		return nil
	}
	return x.server.machine
}

// Start waits for the machine, begins the session of the request, and reports whether the
// machine was there before the deadline. Handlers of early routes call it before they ask for
// anything; for all others it has been called.
func (x *Exchange) Start() bool {
	c := x.ctx.Conn().(*conn)
	if !x.server.isAttached() {
		c.place.leave()
		if !x.server.waitForMachine(x.Deadline) {
			return false
		}
	}
	x.session = x.server.sessionOf(c)
	return true
}
