package peerfront

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"

	"etcd/actors"
	"etcd/httpfront/fronttest"
	"etcd/store"
)

// A machine that is reached by another protocol than the cluster's is not added, and both
// ends are told.
func TestJoinByAnotherProtocol(t *testing.T) {
	for name, test := range map[string]struct {
		mode          func(*setup)
		theirs, cause string
	}{
		"plain into TLS": {overTLS, "http", "the machines of this cluster reach each other by https, and this one only by http; start it like them, with -serverCert and -serverKey or without"},
		"TLS into plain": {func(*setup) {}, "https", "the machines of this cluster reach each other by http, and this one only by https; start it like them, with -serverCert and -serverKey or without"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t)
			log := &fronttest.LogBuffer{}
			p := servePeers(t, s, log, test.mode)
			body := `{"memberId":"5","name":"n5","peerUrl":"` + test.theirs + `://127.0.0.1:7005","clientUrl":"http://127.0.0.1:4005","understood":{"protocol":"4","commands":"1-6","snapshots":"1-3"}}`
			r := p.Dial().Do("POST", joinPath, body)
			fronttest.Check(t, r, 409, `{"errorCode":409,"message":"Conflict","cause":"`+test.cause+`"}`)
			if text := log.Take(); !strings.Contains(text, "level=WARN") || !strings.Contains(text, "n5 at "+test.theirs+"://127.0.0.1:7005") {
				t.Errorf("logged:\n%s", text)
			}
			if list := s.Dial().Get("/v1/machines"); list.Body != "http://127.0.0.1:4001" {
				t.Errorf("machines %q", list.Body)
			}
		})
	}
}

// A machine that joins speaks the protocol of the address that the machine advertises.
func TestJoinOverTLS(t *testing.T) {
	s := serve(t)
	p := servePeers(t, s, io.Discard, overTLS)
	dial := func(ctx context.Context, addr string) (net.Conn, error) {
		return (&tls.Dialer{Config: &tls.Config{RootCAs: fronttest.CA().Pool()}}).DialContext(ctx, "tcp", addr)
	}
	answer, err := Seeds{Dial: dial}.joinVia(t.Context(), p.Addr, JoinRequest{MemberID: 5, Name: "n5", PeerURL: "https://127.0.0.1:7005", ClientURL: "https://127.0.0.1:4005", Understood: actors.Understood()})
	if err != nil {
		t.Fatal(err)
	}
	want := store.Member{ID: 5, Name: "n5", PeerURL: "https://127.0.0.1:7005", ClientURL: "https://127.0.0.1:4005"}
	if answer.ClusterID != 77 || len(answer.Members) != 2 || answer.Members[0] != want && answer.Members[1] != want {
		t.Errorf("%+v", answer)
	}
}
