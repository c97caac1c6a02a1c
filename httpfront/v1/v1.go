package v1

import (
	"net/http"

	"etcd/httpfront"
)

// Config is the configuration of the API.
type Config struct {
	// LocalReads serves reads from local state unless the client asks for a linearizable one.
	LocalReads bool
}

type api struct{ localReads bool }

// Routes returns the routes of the API: /v1/keys, /v1/get and /v1/watch.
func Routes(cfg Config) []httpfront.Route {
	a := &api{localReads: cfg.LocalReads}
	return httpfront.Of("v1", []httpfront.Route{
		{Path: "/v1/keys", Tree: true, Guard: httpfront.ByKey, Direct: true, Methods: map[string]httpfront.Handler{
			http.MethodGet: a.getKey, http.MethodHead: a.getKey,
			http.MethodPost: setKey, http.MethodPut: setKey, http.MethodDelete: deleteKey,
		}},
		{Path: "/v1/get", Tree: true, Guard: httpfront.ByKey, Direct: true, Methods: httpfront.Get(a.getKey)},
		{Path: "/v1/watch", Tree: true, Guard: httpfront.ByKey, Direct: true, Waits: true, Methods: map[string]httpfront.Handler{http.MethodGet: a.watchKey, http.MethodPost: a.watchKey}},
	})
}
