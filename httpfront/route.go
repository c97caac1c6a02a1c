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

	"etcd/transport"
)

// maxURI bounds the request target. It is below the bound of the whole header, so
// that a long key gets its own error.
const maxURI = 8 << 10

// request is what a handler works on. It is valid during the call only.
type request struct {
	ctx     *fasthttp.RequestCtx
	server  *Server
	session *session // nil for those of withoutMachine
	// deadline is when the client has to have its answer, unless it is that of a watch.
	deadline time.Time
	path     string // clean
	slash    bool   // the path was written with a slash at its end
	query    string
	body     string
	// certificateFault is what was wrong with the certificate of a machine when it was last
	// looked at.
	certificateFault error
}

// handler answers a request; nil if the connection was taken over for a watch.
type handler func(r *request) answer

// route is a path, or a tree of them, and its handlers by method.
type route struct {
	path    string
	tree    bool // everything below path too
	methods map[string]handler
}

func get(h handler) map[string]handler {
	return map[string]handler{http.MethodGet: h, http.MethodHead: h}
}

// clientRoutes lists every endpoint of the client port.
func clientRoutes() []route {
	keys := map[string]handler{
		http.MethodGet: getKey, http.MethodHead: getKey,
		http.MethodPost: setKey, http.MethodPut: setKey, http.MethodDelete: deleteKey,
	}
	watch := map[string]handler{http.MethodGet: watchKey, http.MethodPost: watchKey}
	return []route{
		{"/v1/keys", true, keys},
		{"/v1/get", true, map[string]handler{http.MethodGet: getKey, http.MethodHead: getKey}},
		{"/v1/watch", true, watch},
		{"/leader", false, get(leader)},
		{"/machines", false, get(machines)},
		{"/v1/leader", false, get(leaderURL)},
		{"/v1/machines", false, get(machineURLs)},
		{"/v2/members", true, map[string]handler{
			http.MethodGet: listMembers, http.MethodHead: listMembers, http.MethodDelete: removeMember,
		}},
		{transport.PresencePath, false, get(misdirected)},
		{joinPath, false, map[string]handler{http.MethodGet: notFound, http.MethodHead: notFound, http.MethodPost: misdirected}},
		{"/stats", false, get(stats)},
		{"/v1/stats/store", false, get(storeStats)},
		{"/v1/stats/self", false, get(selfStats)},
		{"/v1/stats/leader", false, get(leaderStats)},
		{"/health", false, get(health)},
		{"/version", false, get(version)},
		{"/", false, get(version)},
	}
}

// peerRoutes lists every endpoint of the port for other machines.
func peerRoutes() []route {
	return []route{
		{transport.StreamPath, false, map[string]handler{http.MethodGet: acceptStream}},
		{transport.SnapshotPath, false, map[string]handler{http.MethodPost: acceptSnapshot}},
		{transport.PresencePath, false, get(presence)},
		{joinPath, false, map[string]handler{http.MethodPost: fewAtATime(join)}},
		{"/leader", false, get(membersOnly(fewAtATime(leader)))},
		{"/machines", false, get(membersOnly(fewAtATime(machines)))},
		{"/hash", false, get(membersOnly(fromMembersHost(stateHash)))},
		{"/version", false, get(version)},
		{"/", false, get(version)},
	}
}

// withoutMachine are the paths that are answered before there is a machine.
var withoutMachine = []string{"/health", "/version", "/"}

// start begins the session of a request once there is a machine; false if there is none
// in time.
func (r *request) start() bool {
	if !r.server.waitForMachine(r.deadline) {
		return false
	}
	r.session = r.server.sessionOf(r.ctx.Conn().(*conn))
	r.session.deadline = r.deadline
	return true
}

// handle is the entry of every request.
func (s *Server) handle(ctx *fasthttp.RequestCtx) {
	defer func() {
		// fasthttp does not recover, and one bad request must not end the machine.
		if p := recover(); p != nil {
			s.log.Error("a request made its handler panic; please report this message",
				"method", string(ctx.Method()), "uri", string(ctx.RequestURI()), "panic", p, "stack", string(debug.Stack()))
			newError(codeRaftInternal, "internal error").write(&ctx.Response)
			ctx.SetConnectionClose()
		}
	}()
	setHeaders(&ctx.Response, s.pages.headers(&ctx.Request.Header))
	if a := s.answer(ctx); a != nil {
		a.write(&ctx.Response)
	}
	if s.stopping.Load() || wantsClose(&ctx.Request.Header) {
		ctx.SetConnectionClose()
	}
}

func (s *Server) answer(ctx *fasthttp.RequestCtx) answer {
	c := ctx.Conn().(*conn)
	if refusal := s.unwelcome(ctx); refusal != nil {
		return refusal
	}
	body, counted, err := s.readBody(ctx)
	defer s.bodies.give(counted)
	if err != nil {
		return s.unreadable(ctx, err)
	}
	c.gotLine = false
	if ctx.IsOptions() && len(s.cfg.CORS) > 0 {
		return text("") // its headers answer a browser that asks for a page what it may send
	}
	uri := ctx.Request.Header.RequestURI()
	if len(uri) > maxURI {
		return uriTooLong()
	}
	rawPath, query := target(ctx, uri)
	clean, slash, err := cleanPath(rawPath)
	if err != nil {
		return newError(codeInvalidField, err.Error())
	}
	r := &request{ctx: ctx, server: s, deadline: time.Now().Add(s.cfg.RequestTimeout), path: clean, slash: slash, query: query, body: body}
	for i := range s.routes {
		route := &s.routes[i]
		if route.path != clean {
			if !route.tree {
				continue
			}
			if _, ok := under(clean, route.path); !ok {
				continue
			}
		}
		return route.serve(r)
	}
	return notFound(r)
}

func notFound(r *request) answer { return httpError(http.StatusNotFound, r.path) }

func uriTooLong() *apiError {
	return httpError(http.StatusRequestURITooLong, "the limit is "+strconv.Itoa(maxURI)+" bytes")
}

// target splits a request target. It is not left to fasthttp, which looks for a
// host in "//a/b".
func target(ctx *fasthttp.RequestCtx, uri []byte) (rawPath []byte, query string) {
	if len(uri) > 0 && uri[0] == '/' {
		rawPath, rawQuery, _ := bytes.Cut(uri, []byte{'?'})
		return rawPath, string(rawQuery)
	}
	return ctx.URI().PathOriginal(), string(ctx.URI().QueryString())
}

func (route *route) serve(r *request) answer {
	method := string(r.ctx.Method())
	if h, ok := route.methods[method]; ok {
		if !slices.Contains(withoutMachine, route.path) && !r.start() {
			return newError(codeLeaderElect, "this machine is still starting: it reads its data, or waits for the cluster that it is to join")
		}
		return h(r)
	}
	allow := make([]string, 0, len(route.methods))
	for m := range route.methods {
		allow = append(allow, m)
	}
	slices.Sort(allow)
	return methodNotAllowed(method, strings.Join(allow, ", "))
}
