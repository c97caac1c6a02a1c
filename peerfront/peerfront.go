package peerfront

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"time"

	"etcd/httpfront"
	"etcd/transport"
)

// Config is the configuration of the peer port.
type Config struct {
	// Certified checks whether the certificate of a machine that has been verified in a
	// handshake names a host. Its error is for people at both ends. Nil if machines are not
	// verified.
	Certified func(state tls.ConnectionState, host string) error
	// Founding is what this machine tells others as long as it has no data.
	Founding *Founding
}

// front is the state that the handlers share.
type front struct {
	certified func(state tls.ConnectionState, host string) error
	founding  *Founding
	inFlight  chan struct{} // holds one for each request of limitInFlight
	hashes    hashCache
	memberIPs memberIPs
}

func newFront(cfg Config) *front {
	return &front{
		certified: cfg.Certified,
		founding:  cfg.Founding,
		inFlight:  make(chan struct{}, maxInFlight),
		hashes:    hashCache{lock: make(chan struct{}, 1)},
		memberIPs: memberIPs{
			now: time.Now,
			lookup: func(ctx context.Context, host string) ([]netip.Addr, error) {
				return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
			},
		},
	}
}

// Routes returns the routes of the peer port. cluster are routes of other packages
// that are served there as well, to members only and a few requests at a time.
func Routes(cfg Config, cluster []httpfront.Route) []httpfront.Route {
	return newFront(cfg).routes(cluster)
}

func (f *front) routes(cluster []httpfront.Route) []httpfront.Route {
	routes := []httpfront.Route{
		{Path: transport.StreamPath, Methods: map[string]httpfront.Handler{http.MethodGet: f.acceptStream}},
		{Path: transport.SnapshotPath, Methods: map[string]httpfront.Handler{http.MethodPost: f.acceptSnapshot}},
		{Path: transport.PresencePath, Methods: httpfront.Get(f.presence)},
		{Path: joinPath, Methods: map[string]httpfront.Handler{http.MethodPost: f.limitInFlight(f.join)}},
		{Path: assignedPath, Methods: map[string]httpfront.Handler{http.MethodPost: f.limitInFlight(f.assigned)}},
		{Path: foundersPath, Early: true, Methods: map[string]httpfront.Handler{http.MethodPost: f.limitInFlight(f.founders)}},
		{Path: "/hash", Methods: httpfront.Get(f.membersOnly(f.fromMembersHost(f.stateHash)))},
	}
	for _, r := range cluster {
		methods := make(map[string]httpfront.Handler, len(r.Methods))
		for method, h := range r.Methods {
			methods[method] = f.membersOnly(f.limitInFlight(h))
		}
		r.Methods = methods
		routes = append(routes, r)
	}
	return httpfront.Of("peer", routes)
}

// Misdirected returns the routes by which the client port tells machines that have
// dialled it which port to dial.
func Misdirected() []httpfront.Route {
	return httpfront.Of("peer", []httpfront.Route{
		{Path: transport.PresencePath, Guard: httpfront.Open, Methods: httpfront.Get(misdirected)},
		{Path: joinPath, Guard: httpfront.Open, Methods: map[string]httpfront.Handler{
			http.MethodGet: httpfront.NotFound, http.MethodHead: httpfront.NotFound, http.MethodPost: misdirected,
		}},
		{Path: assignedPath, Guard: httpfront.Open, Methods: map[string]httpfront.Handler{http.MethodPost: misdirected}},
		{Path: foundersPath, Guard: httpfront.Open, Methods: map[string]httpfront.Handler{http.MethodPost: misdirected}},
	})
}
