package httpfront

import (
	"bytes"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/valyala/fasthttp"
)

// pagePolicy decides what web pages may do at a port. Every page that is open in a browser can send
// requests to whatever that computer reaches, localhost included. The browser says in headers
// that no page can forge which page it is: Origin and Sec-Fetch-Site, or, when the page's own
// name resolves to this machine (DNS rebinding), that name in Host. Clients other than browsers
// send neither of the first two.
type pagePolicy struct {
	peer           bool               // this is the peer port
	anyOrigin      bool               // all pages may use this port
	ownOrigin      string             // origin of the pages of this port, at its advertised address
	allowed        map[string]headers // by origin, the headers that let its pages read an answer
	defaultHeaders headers            // the headers of all other answers

	hosts   map[string]bool // names of this machine
	anyHost bool            // every name is one of this machine
	// onlyOwnHosts: the names of this machine were given, and no others are served.
	onlyOwnHosts bool

	foreignPage, wrongHost *Error
}

var (
	headerOrigin       = []byte(fasthttp.HeaderOrigin)
	headerSecFetchSite = []byte("Sec-Fetch-Site")
	headerSecFetchMode = []byte("Sec-Fetch-Mode")
	headerSecFetchDest = []byte("Sec-Fetch-Dest")
)

// exposedHeaders are those that a page may read of an answer to it.
var exposedHeaders = strings.Join([]string{HeaderIndex, HeaderRaftIndex, HeaderRaftTerm, HeaderClusterID}, ", ")

// header is a header of an answer.
type header struct{ name, value string }

// headers are those that go with an answer. There are few of them, and many that have the same; nil:
// none.
type headers *[]header

// varyOrigin keeps a cache from giving one page the answer to another.
var varyOrigin = header{fasthttp.HeaderVary, fasthttp.HeaderOrigin}

// standardPorts are left out of an origin.
var standardPorts = map[string]string{"http": ":80", "https": ":443"}

func newPagePolicy(cfg *Config) *pagePolicy {
	p := &pagePolicy{
		peer: cfg.Peer, onlyOwnHosts: cfg.CheckHost,
		hosts: map[string]bool{"localhost": true, "127.0.0.1": true, "::1": true},
		wrongHost: HTTPError(http.StatusForbidden, "the name in Host is not one of this machine: use localhost, an IP address, or the host of "+cfg.URL+
			", or start it with -host-whitelist and that name"),
	}
	for _, host := range cfg.Hosts {
		p.anyHost = p.anyHost || host == "*"
		p.hosts[strings.ToLower(host)] = true
	}
	if u, err := url.Parse(strings.ToLower(cfg.URL)); err == nil && u.Host != "" {
		p.hosts[u.Hostname()] = true
		p.ownOrigin = u.Scheme + "://" + strings.TrimSuffix(u.Host, standardPorts[u.Scheme])
	}
	if cfg.Peer {
		p.foreignPage = HTTPError(http.StatusForbidden, "this port is for the other machines of the cluster, and not for web pages")
		return p
	}
	p.foreignPage = HTTPError(http.StatusForbidden,
		"pages of other origins may use this machine only if it is started with -cors and theirs, such as -cors http://example.com")
	p.defaultHeaders = &[]header{varyOrigin}
	p.allowed = make(map[string]headers)
	for _, origin := range cfg.CORS {
		headers := &[]header{
			{fasthttp.HeaderAccessControlAllowOrigin, origin},
			{fasthttp.HeaderAccessControlAllowMethods, "POST, GET, OPTIONS, PUT, DELETE"},
			{fasthttp.HeaderAccessControlAllowHeaders, "accept, content-type, authorization, last-event-id"},
			{fasthttp.HeaderAccessControlExposeHeaders, exposedHeaders},
			varyOrigin,
		}
		if origin == "*" {
			p.anyOrigin, p.defaultHeaders = true, headers
		} else {
			p.allowed[origin] = headers
		}
	}
	return p
}

// refusePage returns the error for a request that is not served because of the page that has sent
// it; nil if it may be served.
func (s *Server) refusePage(ctx *fasthttp.RequestCtx) *Error {
	refusal := s.pages.refuse(ctx)
	if refusal == nil || refusal != s.pages.foreignPage || s.cfg.Peer {
		return refusal
	}
	h := &ctx.Request.Header
	if !h.IsGet() && !h.IsHead() && !h.IsOptions() || len(h.PeekCanonical(headerOrigin)) == 0 {
		return refusal
	}
	rawPath, _ := target(ctx, h.RequestURI())
	clean, err := cleanPath(rawPath)
	if err != nil {
		return refusal
	}
	if route, _ := s.findRoute(clean.path); route == nil || !route.ForeignReads {
		return refusal
	}
	return nil
}

// refuse returns the error for a request that is not served because of the page that has sent
// it; nil if it may be served.
func (p *pagePolicy) refuse(ctx *fasthttp.RequestCtx) *Error {
	h := &ctx.Request.Header
	host := h.Host()
	if uri := h.RequestURI(); len(uri) > 0 && uri[0] != '/' {
		host = ctx.URI().Host() // that of an absolute URL, which takes precedence over Host
	}
	c := ctx.Conn().(*conn)
	if c.checksHost && !p.isOwnHost(host) && (p.onlyOwnHosts || !isSingleLabel(host) || len(h.Peek(fasthttp.HeaderAcceptEncoding)) > 0) {
		return p.wrongHost
	}
	origin := h.PeekCanonical(headerOrigin)
	switch {
	case p.anyOrigin:
		return nil
	case len(origin) > 0:
		if p.peer || !p.allows(string(origin), c.scheme(), host) {
			return p.foreignPage
		}
		return nil
	}
	// A browser sends Origin with every request that may change something. Of what a page reads
	// without it, it learns only whether there is something, and must not learn that either.
	switch string(h.PeekCanonical(headerSecFetchSite)) {
	case "", "none":
		return nil
	case "same-origin":
		if !p.peer {
			return nil
		}
	}
	if p.peer || !isNavigation(h) {
		return p.foreignPage
	}
	return nil
}

// allows reports whether pages of an origin may use this port: those that the port itself has
// served, under a name of this machine, and those that -cors permits.
func (p *pagePolicy) allows(origin, scheme string, host []byte) bool {
	if _, ok := p.allowed[origin]; ok || origin == p.ownOrigin {
		return true
	}
	return p.isOwnHost(host) && origin == scheme+"://"+strings.ToLower(string(host))
}

// isOwnHost reports whether host, as in a URL, is this machine. Any IP address is: a page has one
// as its host only if it was served from there.
func (p *pagePolicy) isOwnHost(host []byte) bool {
	if p.anyHost || len(host) == 0 { // a browser always sends Host
		return true
	}
	name := host
	if end := bytes.IndexByte(host, ']'); host[0] == '[' && end > 0 {
		name = host[1:end]
	} else if colon := bytes.IndexByte(host, ':'); colon >= 0 {
		name = host[:colon]
	}
	if p.hosts[string(name)] {
		return true
	}
	plain := strings.TrimSuffix(strings.ToLower(string(name)), ".")
	_, err := netip.ParseAddr(plain)
	return err == nil || p.hosts[plain]
}

// isSingleLabel reports whether host, as in a URL, is a name without a dot. Programs say anything there,
// such as the name of a container. A page cannot: whoever has such a name resolved to this machine, which
// takes a neighbour in its network, is given away by Accept-Encoding, which every browser sends, and which
// no page can leave out.
func isSingleLabel(host []byte) bool {
	name, _, _ := bytes.Cut(host, []byte{':'})
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return len(name) > 0
}

// isNavigation reports whether a browser follows a link, and shows the answer in a window of its own.
func isNavigation(h *fasthttp.RequestHeader) bool {
	return h.IsGet() && string(h.PeekCanonical(headerSecFetchMode)) == "navigate" &&
		string(h.PeekCanonical(headerSecFetchDest)) == "document"
}

// headers returns those that go with every answer to a request.
func (p *pagePolicy) headers(h *fasthttp.RequestHeader) headers {
	if len(p.allowed) > 0 {
		if headers, ok := p.allowed[string(h.PeekCanonical(headerOrigin))]; ok {
			return headers
		}
	}
	return p.defaultHeaders
}

func setHeaders(resp *fasthttp.Response, all headers) {
	if all == nil {
		return
	}
	for _, h := range *all {
		resp.Header.Set(h.name, h.value)
	}
}

// scheme returns the scheme of the URLs of the listener of a connection.
func (c *conn) scheme() string {
	if c.OverTLS() {
		return "https"
	}
	return "http"
}
