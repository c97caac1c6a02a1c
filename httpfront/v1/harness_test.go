package v1

import (
	"testing"

	"etcd/httpfront"
	"etcd/httpfront/fronttest"
	"etcd/httpfront/ops"
)

func TestMain(m *testing.M) { fronttest.Main(m) }

func serve(t testing.TB, cfg Config) *fronttest.Server {
	t.Helper()
	return fronttest.Serve(t, fronttest.Loopback(t), fronttest.Config(), func(*fronttest.Clock) []httpfront.Route {
		return append(Routes(cfg), ops.Version(ops.Release{Version: "v9", API: "2.3.8"})...)
	})
}
