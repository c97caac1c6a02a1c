package peerfront

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"testing"

	"etcd/httpfront"
	"etcd/httpfront/fronttest"
	"etcd/httpfront/ops"
	"etcd/httpfront/v1"
	"etcd/httpfront/v2"
)

func TestMain(m *testing.M) { fronttest.Main(m) }

// setup is what a test changes of the peer port.
type setup struct {
	httpfront.Config
	front *front
}

// serve serves the client port.
func serve(t testing.TB) *fronttest.Server {
	t.Helper()
	return fronttest.Serve(t, fronttest.Loopback(t), fronttest.Config(), func(clock *fronttest.Clock) []httpfront.Route {
		return slices.Concat(v1.Routes(v1.Config{}), v2.Routes(v2.Config{Clock: clock.Read, NewID: func() uint64 { return 5 }}), ops.Routes(ops.Config{Release: ops.Release{Version: "v9", API: "2.3.8"}, Clock: clock.Read}), Misdirected())
	})
}

// peers is the peer port.
type peers struct {
	*fronttest.Server
	*front
}

// servePeers serves the peer port beside that of s, with its machine.
func servePeers(t testing.TB, s *fronttest.Server, log io.Writer, edit ...func(*setup)) peers {
	t.Helper()
	return servePeersOn(t, s, fronttest.Loopback(t), log, edit...)
}

func servePeersOn(t testing.TB, s *fronttest.Server, l net.Listener, log io.Writer, edit ...func(*setup)) peers {
	t.Helper()
	all := setup{fronttest.Config(), newFront(Config{Founding: &Founding{}})}
	for _, e := range edit {
		e(&all)
	}
	return peers{s.ServePeerPort(l, log, all.Config, append(all.front.routes(ops.Cluster()), ops.Version(ops.Release{Version: "v9", API: "2.3.8"})...)), all.front}
}

func overTLS(s *setup) { fronttest.WithTLS(&s.Config) }

// requiring makes a server demand certificates of the CA, and check whom they name.
func requiring(s *setup) {
	fronttest.WithClientCerts(&s.Config)
	s.front.certified = func(state tls.ConnectionState, host string) error {
		if err := state.PeerCertificates[0].VerifyHostname(host); err != nil {
			return errors.New("not the certificate of " + host)
		}
		return nil
	}
}
