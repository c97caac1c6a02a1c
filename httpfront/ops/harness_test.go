package ops

import (
	"testing"

	"etcd/httpfront"
	"etcd/httpfront/fronttest"
	"etcd/httpfront/v1"
)

func TestMain(m *testing.M) { fronttest.Main(m) }

func serve(t testing.TB) *fronttest.Server {
	t.Helper()
	return fronttest.Serve(t, fronttest.Loopback(t), fronttest.Config(), func(clock *fronttest.Clock) []httpfront.Route {
		return append(Routes(Config{Version: "v9", Clock: clock.Read}), v1.Routes(v1.Config{})...)
	})
}
