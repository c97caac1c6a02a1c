package peerfront

import (
	"testing"

	"etcd/httpfront/fronttest"
)

// Only a few requests at a time may wait for the cluster at the peer port: they must
// not keep the other machines from electing a leader.
func TestRequestsInFlight(t *testing.T) {
	s := serve(t)
	p := servePeers(t, s, &fronttest.LogBuffer{})
	fronttest.Check(t, p.Dial().Get("/leader"), 200, "127.0.0.1:7001")
	for range maxInFlight {
		p.inFlight <- struct{}{}
	}
	for _, path := range []string{"/leader", "/machines"} {
		fronttest.Check(t, p.Dial().Get(path), 503, `{"errorCode":503,"message":"Service Unavailable","cause":"too many requests are waiting for the cluster; retry"}`)
	}
	fronttest.Check(t, p.Dial().Get("/"), 200, "etcd v9")
	<-p.inFlight
	fronttest.Check(t, p.Dial().Get("/leader"), 200, "127.0.0.1:7001")
}
