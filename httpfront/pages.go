package httpfront

import (
	"bytes"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/valyala/fasthttp"
)

// pages decides what web pages may do at a port. Every page that is open in a browser can send
// requests to whatever that computer reaches, localhost included. The browser says in headers
// that no page can forge which page it is: Origin and Sec-Fetch-Site, or, when the page's own
// name resolves to this machine (DNS rebinding), that name in Host. Clients other than browsers
// send neither of the first two.
type pages struct {
	peers     bool // this is the peer port
	every     bool // all pages may use this port
	scheme    string
	own       string              // origin of the pages of this port, at its advertised address
	permitted map[string][]header // by origin, the headers that let its pages read an answer
	others    []header            // the headers of all other answers

	checkHost bool
	hosts     map[string]bool // names of this machine
	everyHost bool            // every name is one of this machine

	foreign, wrongHost *Error
}

var (
	headerOrigin       = []byte(fasthttp.HeaderOrigin)
	headerSecFetchSite = []byte("Sec-Fetch-Site")
	headerSecFetchMode = []byte("Sec-Fetch-Mode")
	headerSecFetchDest = []byte("Sec-Fetch-Dest")
)

// header is a header of an answer.
type header struct{ name, value string }

// varyOrigin keeps a cache from giving one page the answer to another.
var varyOrigin = header{fasthttp.HeaderVary, fasthttp.HeaderOrigin}

// standardPorts are left out of an origin.
var standardPorts = map[string]string{"http": ":80", "https": ":443"}

func newPages(cfg *Config) *pages {
	p := &pages{
		peers:     cfg.Peer,
		scheme:    cfg.scheme(),
		checkHost: cfg.CheckHost,
		hosts:     map[string]bool{"localhost": true, "127.0.0.1": true, "::1": true},
		wrongHost: HTTPError(http.StatusForbidden, "the name in Host is none of this machine: ask for localhost, for an IP address, or for the host of "+cfg.URL+
			", or start it with -host-whitelist and that name"),
	}
	for _, host := range cfg.Hosts {
		p.everyHost = p.everyHost || host == "*"
		p.hosts[strings.ToLower(host)] = true
	}
	if u, err := url.Parse(strings.ToLower(cfg.URL)); err == nil && u.Host != "" {
		p.hosts[u.Hostname()] = true
		p.own = u.Scheme + "://" + strings.TrimSuffix(u.Host, standardPorts[u.Scheme])
	}
	if cfg.Peer {
		p.foreign = HTTPError(http.StatusForbidden, "this port is for the other machines of the cluster, and not for web pages")
		return p
	}
	p.foreign = HTTPError(http.StatusForbidden,
		"pages of other origins may use this machine only if it is started with -cors and theirs, such as -cors http://example.com")
	p.others = []header{varyOrigin}
	p.permitted = make(map[string][]header)
	for _, origin := range cfg.CORS {
		headers := []header{
			{fasthttp.HeaderAccessControlAllowOrigin, origin},
			{fasthttp.HeaderAccessControlAllowMethods, "POST, GET, OPTIONS, PUT, DELETE"},
			{fasthttp.HeaderAccessControlAllowHeaders, "accept, content-type"},
			varyOrigin,
		}
		if origin == "*" {
			p.every, p.others = true, headers
		} else {
			p.permitted[origin] = headers
		}
	}
	return p
}

// refuse returns the error for a request that is not served because of the page that has sent
// it; nil if it may be served.
func (p *pages) refuse(ctx *fasthttp.RequestCtx) *Error {
	h := &ctx.Request.Header
	host := h.Host()
	if uri := h.RequestURI(); len(uri) > 0 && uri[0] != '/' {
		host = ctx.URI().Host() // that of an absolute URL, which takes precedence over Host
	}
	if p.checkHost && !p.named(host) {
		return p.wrongHost
	}
	origin := h.PeekCanonical(headerOrigin)
	switch {
	case p.every:
		return nil
	case len(origin) > 0:
		if p.peers || !p.mayUse(string(origin), host) {
			return p.foreign
		}
		return nil
	}
	// A browser sends Origin with every request that may change something. Of what a page reads
	// without it, it learns only whether there is something, and must not learn that either.
	switch string(h.PeekCanonical(headerSecFetchSite)) {
	case "", "none":
		return nil
	case "same-origin":
		if !p.peers {
			return nil
		}
	}
	if p.peers || !isLink(h) {
		return p.foreign
	}
	return nil
}

// mayUse reports whether pages of an origin may use this port: those that the port itself has
// served, under a name of this machine, and those that -cors permits.
func (p *pages) mayUse(origin string, host []byte) bool {
	if _, ok := p.permitted[origin]; ok || origin == p.own {
		return true
	}
	return p.named(host) && origin == p.scheme+"://"+strings.ToLower(string(host))
}

// named reports whether host, as in a URL, is this machine. Any IP address is: a page has one
// as its host only if it was served from there.
func (p *pages) named(host []byte) bool {
	if p.everyHost || len(host) == 0 { // a browser always sends Host
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

// isLink reports whether a browser follows a link, and shows the answer in a window of its own.
func isLink(h *fasthttp.RequestHeader) bool {
	return h.IsGet() && string(h.PeekCanonical(headerSecFetchMode)) == "navigate" &&
		string(h.PeekCanonical(headerSecFetchDest)) == "document"
}

// headers returns those that go with every answer to a request.
func (p *pages) headers(h *fasthttp.RequestHeader) []header {
	if len(p.permitted) > 0 {
		if headers, ok := p.permitted[string(h.PeekCanonical(headerOrigin))]; ok {
			return headers
		}
	}
	return p.others
}

func setHeaders(resp *fasthttp.Response, headers []header) {
	for _, h := range headers {
		resp.Header.Set(h.name, h.value)
	}
}

// scheme returns the scheme of the URLs of this port.
func (c *Config) scheme() string {
	if c.TLS != nil {
		return "https"
	}
	return "http"
}
