package v2

import (
	"log/slog"
	"net"
	"testing"

	"etcd/httpfront"
	"etcd/httpfront/fronttest"
	v1 "etcd/httpfront/v1"
)

func TestMain(m *testing.M) { fronttest.Main(m) }

func serve(t testing.TB, edit ...func(*httpfront.Config)) *fronttest.Server {
	t.Helper()
	return serveOn(t, fronttest.Loopback(t), edit...)
}

func serveOn(t testing.TB, l net.Listener, edit ...func(*httpfront.Config)) *fronttest.Server {
	t.Helper()
	cfg := fronttest.Config()
	for _, e := range edit {
		e(&cfg)
	}
	return fronttest.Serve(t, l, cfg, func(clock *fronttest.Clock) []httpfront.Route {
		return append(v1.Routes(v1.Config{}), Routes(Config{Clock: clock.Read, NewID: func() uint64 { return 5 }, Log: slog.New(slog.DiscardHandler)})...)
	})
}
