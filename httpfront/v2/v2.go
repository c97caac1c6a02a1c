package v2

import (
	"log/slog"
	"net/http"
	"strconv"

	"etcd/httpfront"
	"etcd/store/logtime"
)

// Config is the configuration of the API.
type Config struct {
	// LocalReads serves reads from local state unless the client asks for a linearizable one.
	LocalReads bool
	// NewID returns a random ID for a member that is added.
	NewID func() uint64
	// Clock returns the time since 1970, and measures durations: it does not jump while the
	// process runs.
	Clock func() logtime.Time
	Log   *slog.Logger
}

type api struct {
	cfg     Config
	started logtime.Time
}

// Routes returns the routes of the API: everything below /v2.
func Routes(cfg Config) []httpfront.Route {
	a := &api{cfg: cfg, started: cfg.Clock()}
	get := func(h httpfront.Handler) map[string]httpfront.Handler {
		return map[string]httpfront.Handler{http.MethodGet: h}
	}
	onlyGet := httpfront.NotAllowed("GET")
	routes := []httpfront.Route{
		{Path: "/v2/keys", Tree: true, Guard: httpfront.ByKey, Fail: keyFailed, Direct: true, AnyKey: true, ForeignReads: true, Methods: map[string]httpfront.Handler{
			http.MethodGet: a.get, http.MethodHead: a.get,
			http.MethodPut: put, http.MethodPost: post, http.MethodDelete: remove,
		}, Other: httpfront.NotAllowed("HEAD,GET,PUT,POST,DELETE")},
		{Path: "/v2/members", Tree: true, Guard: httpfront.RootChanges, Fail: failed, Methods: map[string]httpfront.Handler{
			http.MethodGet: getMembers, http.MethodPost: a.addMember, http.MethodDelete: removeMember, http.MethodPut: updateMember,
		}, Other: membersNotAllowed},
		{Path: "/v2/machines", Guard: httpfront.Open, Methods: httpfront.Get(machines), Other: httpfront.NotAllowed("GET,HEAD")},
		{Path: "/v2/leader", Guard: httpfront.Open, Methods: httpfront.Get(leader), Other: httpfront.NotAllowed("GET,HEAD")},
		{Path: "/v2/stats/self", Guard: httpfront.Open, Methods: get(a.selfStats), Other: onlyGet},
		{Path: "/v2/stats/leader", Guard: httpfront.Open, Methods: get(leaderStats), Other: onlyGet},
		{Path: "/v2/stats/store", Guard: httpfront.Open, Methods: get(storeStats), Other: onlyGet},
	}
	routes = append(append(routes, a.authRoutes()...), httpfront.Route{Path: "/v2", Tree: true, Other: httpfront.PlainNotFound})
	return httpfront.Of("v2", routes)
}

// clusterID returns the ID of the cluster as headers have it.
func clusterID(x *httpfront.Exchange) string { return strconv.FormatUint(x.Machine().ClusterID, 16) }
