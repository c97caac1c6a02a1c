package ops

import (
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"etcd/httpfront"
	"etcd/httpfront/fronttest"
	"etcd/httpfront/v1"
)

func TestMain(m *testing.M) { fronttest.Main(m) }

func serve(t testing.TB) *fronttest.Server {
	t.Helper()
	return fronttest.Serve(t, fronttest.Loopback(t), fronttest.Config(), func(clock *fronttest.Clock) []httpfront.Route {
		return append(Routes(testConfig(clock)), v1.Routes(v1.Config{})...)
	})
}

func testConfig(clock *fronttest.Clock) Config {
	return Config{
		Release: Release{Version: "v9", API: "2.3.8"}, Clock: clock.Read, Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler), LogLevel: &slog.LevelVar{},
	}
}
