package ops

import (
	"net/http"

	"etcd/actors"
	"etcd/httpfront"
	"etcd/store/logtime"
)

// Config is what the answers need and the actors of the machine do not know.
type Config struct {
	// Version is what /version answers after "etcd ".
	Version string
	// Clock returns the time since 1970, and measures durations: it does not jump while the
	// process runs.
	Clock func() logtime.Time
	// LostLogLines returns how many log lines could not be written; nil if none can be lost.
	LostLogLines func() uint64
}

type ops struct {
	cfg     Config
	started logtime.Time
}

// Routes returns all routes of the package, for the client port.
func Routes(cfg Config) []httpfront.Route {
	o := &ops{cfg: cfg, started: cfg.Clock()}
	routes := append(Cluster(), Version(cfg.Version)...)
	return append(routes, []httpfront.Route{
		{Path: "/v1/leader", Methods: httpfront.Get(leaderURL)},
		{Path: "/v1/machines", Methods: httpfront.Get(withStatus(machineURLs))},
		{Path: "/v2/members", Tree: true, Methods: map[string]httpfront.Handler{
			http.MethodGet: listMembers, http.MethodHead: listMembers, http.MethodDelete: removeMember,
		}},
		{Path: "/stats", Methods: httpfront.Get(withStatus(stats))},
		{Path: "/v1/stats/store", Methods: httpfront.Get(withStatus(storeStats))},
		{Path: "/v1/stats/self", Methods: httpfront.Get(withStatus(o.selfStats))},
		{Path: "/v1/stats/leader", Methods: httpfront.Get(withStatus(leaderStats))},
		{Path: "/health", Methods: httpfront.Get(health), Early: true},
	}...)
}

// Cluster returns the routes for the machines of the cluster and for its leader.
func Cluster() []httpfront.Route {
	return []httpfront.Route{
		{Path: "/leader", Methods: httpfront.Get(leader)},
		{Path: "/machines", Methods: httpfront.Get(withStatus(machines))},
	}
}

// Version returns the routes for the version, which are served from the start of the process.
func Version(version string) []httpfront.Route {
	say := httpfront.Get(func(*httpfront.Exchange) httpfront.Answer { return httpfront.Text("etcd " + version) })
	return []httpfront.Route{
		{Path: "/version", Methods: say, Early: true},
		{Path: "/", Methods: say, Early: true},
	}
}

// withStatus returns a handler whose answer is made from the status of the machine.
func withStatus(render func(*httpfront.Exchange, *actors.StatusReply) httpfront.Answer) httpfront.Handler {
	return func(x *httpfront.Exchange) httpfront.Answer {
		status, err := x.Status()
		if err != nil {
			return httpfront.Unserved(err)
		}
		return render(x, status)
	}
}
