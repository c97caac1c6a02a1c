package ops

import (
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"etcd/actors"
	"etcd/httpfront"
	"etcd/store/logtime"
)

// Config is what the answers need and the actors of the machine do not know.
type Config struct {
	Release Release
	// Clock returns the time since 1970, and measures durations: it does not jump while the
	// process runs.
	Clock func() logtime.Time
	// LostLogLines returns how many log lines could not be written; nil if none can be lost.
	LostLogLines func() uint64
	// Metrics are what /metrics serves.
	Metrics prometheus.Gatherer
	// Log and LogLevel are the log of the process and its level.
	Log      *slog.Logger
	LogLevel *slog.LevelVar
	// Pprof has Admin serve profiles.
	Pprof bool
}

type ops struct {
	cfg     Config
	started logtime.Time
	scrapes chan struct{} // a semaphore
}

func newOps(cfg Config) *ops {
	return &ops{cfg: cfg, started: cfg.Clock(), scrapes: make(chan struct{}, maxScrapes)}
}

// Routes returns the routes of the client port.
func Routes(cfg Config) []httpfront.Route {
	o := newOps(cfg)
	routes := append(append(Cluster(), Version(cfg.Release)...), o.probes()...)
	return httpfront.Of("ops", append(routes, []httpfront.Route{
		{Path: "/v1/leader", Guard: httpfront.Open, Methods: httpfront.Get(leaderURL)},
		{Path: "/v1/machines", Guard: httpfront.Open, Methods: httpfront.Get(withStatus(machineURLs))},
		{Path: "/quota", Guard: httpfront.RootChanges, Methods: map[string]httpfront.Handler{
			http.MethodGet: quota, http.MethodHead: quota, http.MethodPut: setQuota,
		}},
		{Path: "/stats", Guard: httpfront.Open, Methods: httpfront.Get(withStatus(stats))},
		{Path: "/v1/stats/store", Guard: httpfront.Open, Methods: httpfront.Get(withStatus(storeStats))},
		{Path: "/v1/stats/self", Guard: httpfront.Open, Methods: httpfront.Get(withStatus(o.selfStats))},
		{Path: "/v1/stats/leader", Guard: httpfront.Open, Methods: httpfront.Get(withStatus(leaderStats))},
	}...))
}

// probes returns the routes that tell how the machine is.
func (o *ops) probes() []httpfront.Route {
	return []httpfront.Route{
		{Path: "/metrics", Guard: httpfront.Open, Methods: httpfront.Get(o.metrics), Early: true, Probe: true},
		{Path: "/health", Guard: httpfront.Open, Methods: httpfront.Get(health), Early: true, Probe: true},
		{Path: "/livez", Guard: httpfront.Open, Methods: httpfront.Get(probe(liveness)), Early: true, Probe: true},
		{Path: "/readyz", Guard: httpfront.Open, Methods: httpfront.Get(probe(readiness)), Early: true, Probe: true},
	}
}

// Cluster returns the routes for the machines of the cluster and for its leader.
func Cluster() []httpfront.Route {
	return []httpfront.Route{
		{Path: "/leader", Guard: httpfront.Open, Methods: httpfront.Get(leader)},
		{Path: "/machines", Guard: httpfront.Open, Methods: httpfront.Get(withStatus(machines))},
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
