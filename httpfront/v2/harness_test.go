package v2

import (
	"log/slog"
	"testing"

	"etcd/httpfront"
	"etcd/httpfront/fronttest"
	v1 "etcd/httpfront/v1"
)

func TestMain(m *testing.M) { fronttest.Main(m) }

func serve(t testing.TB, edit ...func(*httpfront.Config)) *fronttest.Server {
	t.Helper()
	cfg := fronttest.Config()
	for _, e := range edit {
		e(&cfg)
	}
	return fronttest.Serve(t, fronttest.Loopback(t), cfg, func(clock *fronttest.Clock) []httpfront.Route {
		return append(v1.Routes(v1.Config{}), Routes(Config{Clock: clock.Read, NewID: func() uint64 { return 5 }, Log: slog.New(slog.DiscardHandler)})...)
	})
}
