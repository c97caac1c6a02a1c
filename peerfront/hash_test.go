package peerfront

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"etcd/actors"
	"etcd/httpfront/fronttest"
)

// elsewhere is a listener whose clients seem to be at an address.
type elsewhere struct {
	net.Listener
	addr string
}

func (l elsewhere) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return from{c, l.addr}, nil
}

// from is a connection from an address.
type from struct {
	net.Conn
	addr string
}

func (f from) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.ParseIP(f.addr), Port: 4711}
}

// Without certificates the hash is only for clients on hosts of members. A stranger is told
// what to do, and nothing about the cluster.
func TestHashIsForMembers(t *testing.T) {
	for _, c := range []struct {
		remote string
		peer   string // URL of another member
		status int
	}{
		{"127.0.0.1", "", 200},
		{"::1", "", 200},
		{"192.0.2.7", "", 403},
		{"192.0.2.7", "http://192.0.2.8:7001", 403},
		{"192.0.2.7", "http://192.0.2.7:7001", 200},
		{"::ffff:192.0.2.7", "http://192.0.2.7:7001", 200},
		{"2001:db8::1", "http://[2001:db8::1]:7001", 200},
		{"192.0.2.7", "http://known.example:7001", 200},
		{"192.0.2.7", "http://unknown.example:7001", 403},
	} {
		t.Run(c.remote+" "+c.peer, func(t *testing.T) {
			s := serve(t)
			if c.peer != "" {
				var ask = JoinRequest{MemberID: 0xabcdef, Name: "m2", PeerURL: c.peer, ClientURL: "http://192.0.2.9:4001", Understood: actors.Understood()}
				body, err := json.Marshal(ask)
				if err != nil {
					t.Fatal(err)
				}
				joining := servePeers(t, s, io.Discard).Dial()
				joining.Send("POST /join HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
				if r := joining.Reply("POST"); r.Status != 200 {
					t.Fatalf("join: %d %s", r.Status, r.Body)
				}
				s.Eventually("a second member", func() bool { return len(s.Machine.Inbox.Members()) == 2 }) // told after the answer
			}
			lookUp := func(ctx context.Context, host string) ([]netip.Addr, error) {
				if _, bounded := ctx.Deadline(); !bounded {
					t.Error("it may look for ever")
				}
				if host != "known.example" {
					return nil, errors.New("no such host")
				}
				return []netip.Addr{netip.MustParseAddr("192.0.2.6"), netip.MustParseAddr("::ffff:192.0.2.7")}, nil
			}
			p := servePeersOn(t, s, elsewhere{fronttest.Loopback(t), c.remote}, io.Discard, func(s *setup) { s.front.memberIPs.lookup = lookUp })
			r := p.Dial().Get("/hash")
			if r.Status != c.status {
				t.Errorf("%d %s", r.Status, r.Body)
			}
			if c.status == 403 && (!strings.Contains(r.Body, `"errorCode":403`) || !strings.Contains(r.Body, "ask on the host of this machine") ||
				strings.Contains(r.Body, "abcdef") || strings.Contains(r.Body, "192.0.2")) {
				t.Errorf("a stranger is told %s", r.Body)
			}
		})
	}
}

// Looking up names is rate limited, however often strangers ask.
func TestMembersAreLookedUpNowAndThen(t *testing.T) {
	now, lookUps := time.Unix(0, 0), 0
	m := memberIPs{now: func() time.Time { return now }, lookup: func(context.Context, string) ([]netip.Addr, error) {
		lookUps++
		return []netip.Addr{netip.MustParseAddr("192.0.2.1")}, nil
	}}
	want := func(n int, hosts ...string) {
		t.Helper()
		if ips := m.resolve(hosts); lookUps != n || !slices.Contains(ips, netip.MustParseAddr("192.0.2.1")) {
			t.Errorf("%d names were looked up, want %d; found %v", lookUps, n, ips)
		}
	}
	want(2, "m1", "m2", "192.0.2.2")
	want(2, "m1", "m2", "192.0.2.2")
	want(3, "m1")
	now = now.Add(lookupTTL)
	want(4, "m1")
}

// The hash is computed for one request at a time, and not again until the state has changed.
func TestHashIsComputedOnce(t *testing.T) {
	s := serve(t)
	p := servePeers(t, s, io.Discard, func(c *setup) { c.RequestTimeout = 500 * time.Millisecond })
	client := s.Dial()
	client.Set("/a", "value=1")
	first := p.Dial().Get("/hash")
	if first.Status != 200 {
		t.Fatalf("%d %s", first.Status, first.Body)
	}
	kept := p.hashes.sum
	p.hashes.sum = "kept"
	if r := p.Dial().Get("/hash"); r.Body != strings.ReplaceAll(first.Body, kept, "kept") {
		t.Errorf("of the same state %s, and before %s", r.Body, first.Body)
	}
	client.Set("/a", "value=2")
	if r := p.Dial().Get("/hash"); r.Status != 200 || strings.Contains(r.Body, "kept") || r.Body == first.Body {
		t.Errorf("of another state %s, and before %s", r.Body, first.Body)
	}
	p.hashes.lock <- struct{}{} // another request has its turn, for long
	r := p.Dial().Get("/hash")
	if r.Status != 503 || r.Header.Get("Retry-After") != "1" || !strings.Contains(r.Body, `"errorCode":503`) {
		t.Errorf("who waited too long gets %d %v %s", r.Status, r.Header, r.Body)
	}
	<-p.hashes.lock
	if r := p.Dial().Get("/hash"); r.Status != 200 {
		t.Errorf("afterwards %d %s", r.Status, r.Body)
	}
}
