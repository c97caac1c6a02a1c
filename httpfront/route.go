package httpfront

import (
	"bytes"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"etcd/actors"
	"etcd/apierror"
)

// maxURI bounds the request target, in bytes. It is below the bound of the whole header, so
// that a long key gets its own error.
const maxURI = 8 << 10

// Route is a path, or a tree of them, and its handlers by method.
type Route struct {
	Path    string
	Tree    bool // everything below Path too
	Methods map[string]Handler
	// Other answers requests of any other method; nil: with the error of v1.
	Other func(method string) Answer
	// Guard says who may use the route while users and roles are on.
	Guard Guard
	// Fail returns the answer to a request that failed with err, such as ErrUnauthorized, in the shape of
	// the API; nil: that of v1.
	Fail func(m *actors.Machine, err error) Answer
	// AnyKey takes keys that are not valid UTF-8, as if each byte that is not were U+FFFD, and those
	// that contain NUL.
	AnyKey bool
	// ForeignReads answers what pages of other origins ask for that changes nothing. They are not told
	// that they may read the answer.
	ForeignReads bool
	// Early routes are also served before there is a machine.
	Early bool
	// Probe routes tell how the machine is, also when too many requests are in flight.
	Probe bool
	// API is the name of the API, for metrics: "v1", "ops". See [Of].
	API string
	// Waits says that answers of these routes wait for an event: how long they take says nothing
	// about this machine.
	Waits bool
	// Direct routes have handlers that do not wait: all they ask for are Read, Propose, AfterSync,
	// Watch and Follow, whose results they return. So they need no goroutine, see direct.go.
	Direct bool
}

// Get returns the methods of a route that can only be read.
func Get(h Handler) map[string]Handler {
	return map[string]Handler{http.MethodGet: h, http.MethodHead: h}
}

// Of names the API of routes.
func Of(api string, routes []Route) []Route {
	for i := range routes {
		routes[i].API = api
	}
	return routes
}

// served is a route as a server has it: with its operations by method.
type served struct {
	Route
	operations map[string]*operation
}

// serveRoutes prepares routes for serving.
func serveRoutes(port string, routes []Route, m *metrics) []served {
	all := make([]served, len(routes))
	for i, r := range routes {
		all[i] = served{r, make(map[string]*operation, len(r.Methods))}
		for method, h := range r.Methods {
			all[i].operations[method] = m.operation(port, r, method, h)
		}
	}
	return all
}

// handle is called by fasthttp for every request.
func (s *Server) handle(ctx *fasthttp.RequestCtx) {
	x := &Exchange{ctx: ctx, server: s, arrived: time.Now(), operation: s.metrics.unrouted}
	defer func() {
		// fasthttp does not recover, and one bad request must not end the machine.
		if p := recover(); p != nil {
			s.answerPanic(ctx, p)
		}
		if !x.parked {
			x.finish(ctx.Response.StatusCode())
		}
	}()
	setHeaders(&ctx.Response, s.pages.headers(&ctx.Request.Header))
	if a := s.answer(x); a != nil {
		a.Write(&ctx.Response)
		x.admitAnswer(&ctx.Response)
	}
	if s.stopping.Load() || wantsClose(&ctx.Request.Header) {
		ctx.SetConnectionClose()
	}
}

// answerPanic reports a panic of a handler, and answers its request.
func (s *Server) answerPanic(ctx *fasthttp.RequestCtx, p any) {
	s.log.Error("panic in the handler of a request; please report this message",
		"method", string(ctx.Method()), "path", string(ctx.Path()), "panic", p, "stack", string(debug.Stack()))
	ctx.Response.Reset()
	setHeaders(&ctx.Response, s.pages.headers(&ctx.Request.Header))
	NewError(apierror.RaftInternal, "internal error").Write(&ctx.Response)
	ctx.SetConnectionClose()
}

func (s *Server) answer(x *Exchange) Answer {
	ctx := x.ctx
	c := ctx.Conn().(*conn)
	if refusal := s.refuseByHeader(ctx); refusal != nil {
		return refusal
	}
	body, counted, err := s.readBody(ctx)
	defer s.bodies.giveBack(counted)
	if err != nil {
		return s.unreadable(ctx, err)
	}
	c.gotLine = false
	if ctx.IsOptions() && len(s.cfg.CORS) > 0 {
		return empty{} // its headers answer a browser that asks for a page what it may send
	}
	uri := ctx.Request.Header.RequestURI()
	if len(uri) > maxURI {
		return uriTooLong()
	}
	rawPath, query := target(ctx, uri)
	clean, err := cleanPath(rawPath)
	if err != nil {
		return NewError(apierror.InvalidField, err.Error())
	}
	x.Deadline, x.Path, x.Slash, x.query, x.Body = time.Now().Add(s.cfg.RequestTimeout), clean.path, clean.slash, query, body
	route, key := s.findRoute(x.Path)
	x.Key = key
	switch {
	case clean.odd != nil && (route == nil || !route.AnyKey):
		return NewError(apierror.InvalidField, clean.odd.Error())
	case route == nil:
		return NotFound(x)
	}
	return route.serve(x)
}

// findRoute returns the route of a clean path and the key in it; nil: there is none.
func (s *Server) findRoute(path string) (route *served, key string) {
	for i := range s.routes {
		route := &s.routes[i]
		key, ok := trimRoute(path, route.Path)
		if ok && (route.Tree || key == "/") {
			return route, key
		}
	}
	return nil, ""
}

// NotFound is the answer if there is nothing at the path of a request.
func NotFound(x *Exchange) Answer { return HTTPError(http.StatusNotFound, x.Path) }

func uriTooLong() *Error {
	return HTTPError(http.StatusRequestURITooLong, "the limit is "+strconv.Itoa(maxURI)+" bytes")
}

// target splits a request target into path and query. fasthttp does not do it because it
// would look for a host in "//a/b".
func target(ctx *fasthttp.RequestCtx, uri []byte) (rawPath []byte, query string) {
	if len(uri) > 0 && uri[0] == '/' {
		rawPath, rawQuery, _ := bytes.Cut(uri, []byte{'?'})
		return rawPath, string(rawQuery)
	}
	return ctx.URI().PathOriginal(), string(ctx.URI().QueryString())
}

func (route *served) serve(x *Exchange) Answer {
	method := string(x.ctx.Method())
	if operation, ok := route.operations[method]; ok {
		x.operation = operation
		if !route.Early {
			if refusal := x.await(); refusal != nil {
				return refusal
			}
		}
		if refusal := x.guard(&route.Route); refusal != nil {
			return refusal
		}
		return operation.handler(x)
	}
	if route.Other != nil {
		return route.Other(method)
	}
	allow := make([]string, 0, len(route.Methods))
	for m := range route.Methods {
		allow = append(allow, m)
	}
	slices.Sort(allow)
	return methodNotAllowed(method, strings.Join(allow, ", "))
}
