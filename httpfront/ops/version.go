package ops

import (
	"net/http"
	"strings"

	"etcd/httpfront"
)

// Release is what is told of this program.
type Release struct {
	// Version is that of the program, with a leading v.
	Version string
	// API is the version of etcd whose clients find here what they expect.
	API string
}

// Version returns the routes for the version, which are served from the start of the process.
func Version(r Release) []httpfront.Route {
	text := httpfront.Text("etcd " + r.Version)
	level := r.API[:max(0, strings.LastIndexByte(r.API, '.'))] // without the last number
	document := httpfront.Document{Value: struct {
		Server  string `json:"etcdserver"`
		Cluster string `json:"etcdcluster"`
		Release string `json:"release"`
	}{r.API, level + ".0", strings.TrimPrefix(r.Version, "v")}}
	return httpfront.Of("ops", []httpfront.Route{
		{Path: "/version", Guard: httpfront.Open, Early: true, ForeignReads: true, Methods: map[string]httpfront.Handler{
			http.MethodGet: func(x *httpfront.Exchange) httpfront.Answer {
				if httpfront.RawMediaType(x.Header()) == "text/plain" {
					return text
				}
				return document
			},
		}, Other: httpfront.NotAllowed("GET")},
		{Path: "/", Guard: httpfront.Open, Early: true, Methods: httpfront.Get(func(*httpfront.Exchange) httpfront.Answer { return text })},
	})
}
