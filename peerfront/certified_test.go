package peerfront

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"

	"etcd/actors"
	"etcd/credentials/certtest"
	"etcd/httpfront/fronttest"
	"etcd/transport"
)

// A certificate of the CA that is not one of a machine gives no access to the peer
// port: the client is told why, and so is the operator, once.
func TestCertificateOfAClientOnPeerPort(t *testing.T) {
	shown := func(pair certtest.Pair) *tls.Config {
		return &tls.Config{RootCAs: fronttest.CA().Pool(), Certificates: []tls.Certificate{pair.TLS()}}
	}
	alice := shown(fronttest.CA().Issue("alice", func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, nil }))
	machine := shown(fronttest.CA().Issue("machine"))
	handshake := func(method, path string) string {
		return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: etcd-raft\r\nX-Etcd-Protocol: 4\r\nX-Etcd-Commands: 1-2\r\nX-Etcd-Snapshots: 1-2\r\n"+
			"X-Etcd-Cluster-Id: %x\r\nX-Etcd-From: 5\r\nX-Etcd-To: %x\r\nX-Etcd-Class: %s\r\nX-Etcd-Nonce: 1\r\nX-Etcd-Token: 00000000000000000000000000000000\r\n"+
			"X-Etcd-Peer-Address: 127.0.0.1:7005\r\nX-Etcd-Reach: \r\nContent-Length: 0\r\n\r\n", method, path, 77, 11,
			map[string]string{transport.StreamPath: "control", transport.SnapshotPath: "snapshot"}[path])
	}
	const joining = `{"memberId":"5","name":"n5","peerUrl":"https://127.0.0.1:7005","clientUrl":"http://127.0.0.1:4005","understood":{"protocol":"4","commands":"1-6","snapshots":"1-3"}}`
	for _, test := range []struct {
		name, method, raw string
	}{
		{"stream", "GET", handshake("GET", transport.StreamPath)},
		{"snapshot", "POST", handshake("POST", transport.SnapshotPath)},
		{"presence", "GET", "GET /raft/member HTTP/1.1\r\nHost: x\r\nX-Etcd-Protocol: 4\r\nX-Etcd-Commands: 1-2\r\nX-Etcd-Snapshots: 1-2\r\nX-Etcd-Cluster-Id: 4d\r\nX-Etcd-Peer-Address: 127.0.0.1:7005\r\n\r\n"},
		{"join", "POST", "POST /join HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(joining)) + "\r\n\r\n" + joining},
		{"founders", "POST", fronttest.RawRequest("POST", foundersPath, `{"clusterId":"77","memberId":"5","peerUrl":"https://127.0.0.1:7005"}`)},
		{"assigned", "POST", fronttest.RawRequest("POST", assignedPath, `{"peerUrl":"https://127.0.0.1:7005"}`)},
		{"hash", "GET", fronttest.RawRequest("GET", "/hash", "")},
		{"leader", "GET", fronttest.RawRequest("GET", "/leader", "")},
		{"machines", "GET", fronttest.RawRequest("GET", "/machines", "")},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := serve(t)
			log := &fronttest.LogBuffer{}
			p := servePeers(t, s, log, requiring)
			for range 3 {
				c := p.DialAs(alice)
				c.Send("%s", test.raw)
				r := c.Reply(test.method)
				if r.Status != transport.StatusUncertified || !strings.Contains(r.Body, `"cause":"not the certificate of 127.0.0.1"`) {
					t.Fatalf("alice is answered %d %s", r.Status, r.Body)
				}
			}
			text := log.Take()
			if n := strings.Count(text, "level=WARN"); n != 1 || !strings.Contains(text, "refused a machine for its certificate") || !strings.Contains(text, "not the certificate of 127.0.0.1") {
				t.Errorf("%d warnings:\n%s", n, text)
			}
			if members := s.Status().Members; len(members) != 1 {
				t.Errorf("members: %+v", members)
			}
			c := p.DialAs(machine)
			c.Send("%s", test.raw)
			if r := c.Reply(test.method); r.Status == transport.StatusUncertified {
				t.Errorf("a machine is answered %d %s", r.Status, r.Body)
			}
		})
	}
}

// Routes that tell nothing about the cluster are open to any certificate of the CA.
func TestVersionOnPeerPort(t *testing.T) {
	s := serve(t)
	p := servePeers(t, s, io.Discard, requiring)
	alice := fronttest.CA().Issue("alice", func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, nil })
	c := p.DialAs(&tls.Config{RootCAs: fronttest.CA().Pool(), Certificates: []tls.Certificate{alice.TLS()}})
	if r := c.Get("/"); r.Status != 200 || r.Body != "etcd v9" {
		t.Errorf("%d %s", r.Status, r.Body)
	}
}

// A machine that is refused for its certificate does not retry.
func TestJoinWithAnothersCertificate(t *testing.T) {
	s := serve(t)
	p := servePeers(t, s, io.Discard, requiring)
	pair := fronttest.CA().Issue("n5", func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = []string{"n5.example.com"}, nil })
	dial := (&tls.Dialer{Config: &tls.Config{RootCAs: fronttest.CA().Pool(), Certificates: []tls.Certificate{pair.TLS()}}})
	ask := func(host string) error {
		seeds := Seeds{Dial: func(ctx context.Context, addr string) (net.Conn, error) { return dial.DialContext(ctx, "tcp", addr) }}
		_, err := seeds.joinVia(t.Context(), p.Addr, JoinRequest{MemberID: 5, Name: "n5", PeerURL: "https://" + host + ":7005", ClientURL: "https://" + host + ":4005", Understood: actors.Understood()})
		return err
	}
	if err := ask("127.0.0.1"); !errors.Is(err, ErrUncertified) || errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "not the certificate of 127.0.0.1") {
		t.Errorf("with a certificate of another host: %v", err)
	}
	if err := ask("n5.example.com"); err != nil {
		t.Errorf("with its own: %v", err)
	}
}
