package httpfront_test

import (
	"io"
	"net"
	"slices"
	"testing"

	"etcd/httpfront"
	"etcd/httpfront/fronttest"
	"etcd/httpfront/ops"
	"etcd/httpfront/v1"
	"etcd/listen"
	"etcd/peerfront"
)

func TestMain(m *testing.M) { fronttest.Main(m) }

// The engine is tested with all APIs that are built on it, and with handlers that panic.

func clientRoutes(clock *fronttest.Clock) []httpfront.Route {
	return slices.Concat(v1.Routes(v1.Config{}), ops.Routes(ops.Config{Release: ops.Release{Version: "v9", API: "2.3.8"}, Clock: clock.Read}), peerfront.Misdirected(), []httpfront.Route{
		{Path: "/panics", Methods: httpfront.Get(func(*httpfront.Exchange) httpfront.Answer { panic("it is broken") })},
		{Path: "/panics/directly", Direct: true, Methods: httpfront.Get(func(*httpfront.Exchange) httpfront.Answer { panic("it is broken") })},
		{Path: "/panics/listing", Guard: httpfront.Open, Methods: httpfront.Get(func(x *httpfront.Exchange) httpfront.Answer {
			return x.Stream(httpfront.Listing{}, func() httpfront.Render { panic("it is broken") })
		})},
		{Path: "/panics/later", Direct: true, Methods: httpfront.Get(func(x *httpfront.Exchange) httpfront.Answer {
			return x.AfterSync(func(*httpfront.Exchange, error) httpfront.Answer { panic("it is broken") })
		})},
	})
}

func peerRoutes() []httpfront.Route {
	return slices.Concat(peerfront.Routes(peerfront.Config{}, ops.Cluster()), ops.Version(ops.Release{Version: "v9", API: "2.3.8"}))
}

func config(edit []func(*httpfront.Config)) httpfront.Config {
	cfg := fronttest.Config()
	for _, e := range edit {
		e(&cfg)
	}
	return cfg
}

// server starts a server for a test, which runs in two modes.
type server func(t testing.TB, edit ...func(*httpfront.Config)) *fronttest.Server

// inAllModes runs a test with plain HTTP and over TLS, and without the poller that only some
// systems have.
func inAllModes(t *testing.T, test func(t *testing.T, serve server)) {
	t.Run("plain", func(t *testing.T) { test(t, serve) })
	t.Run("tls", func(t *testing.T) {
		test(t, func(t testing.TB, edit ...func(*httpfront.Config)) *fronttest.Server {
			t.Helper()
			return serve(t, append(edit, fronttest.WithTLS)...)
		})
	})
	t.Run("without a poller", func(t *testing.T) {
		defer httpfront.UsePoller(listen.Peeks{})()
		test(t, serve)
	})
}

func serve(t testing.TB, edit ...func(*httpfront.Config)) *fronttest.Server {
	t.Helper()
	return serveOn(t, fronttest.Loopback(t), edit...)
}

func serveOn(t testing.TB, l net.Listener, edit ...func(*httpfront.Config)) *fronttest.Server {
	t.Helper()
	return fronttest.Serve(t, l, config(edit), clientRoutes)
}

// servePeerPort serves a peer port, with the machine of s.
func servePeerPort(t testing.TB, s *fronttest.Server, log io.Writer, edit ...func(*httpfront.Config)) *fronttest.Server {
	t.Helper()
	return s.ServePeerPort(fronttest.Loopback(t), log, config(edit), peerRoutes())
}
