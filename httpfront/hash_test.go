package httpfront

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

// Without certificates the hash is for those who are where members are. A stranger is told
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
				var ask = JoinRequest{MemberID: 0xabcdef, Name: "m2", PeerURL: c.peer, ClientURL: "http://192.0.2.9:4001"}
				body, err := json.Marshal(ask)
				if err != nil {
					t.Fatal(err)
				}
				joining := servePeers(t, s, io.Discard).dial()
				joining.send("POST /join HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
				if r := joining.reply("POST"); r.status != 200 {
					t.Fatalf("join: %d %s", r.status, r.body)
				}
			}
			p := &testServer{Server: NewPeers(testConfig(s.clock)), t: t}
			p.memberIPs.lookUp = func(ctx context.Context, host string) ([]netip.Addr, error) {
				if _, bounded := ctx.Deadline(); !bounded {
					t.Error("it may look for ever")
				}
				if host != "known.example" {
					return nil, errors.New("no such host")
				}
				return []netip.Addr{netip.MustParseAddr("192.0.2.6"), netip.MustParseAddr("::ffff:192.0.2.7")}, nil
			}
			p.Attach(s.machine)
			l := loopback(t)
			p.addr = l.Addr().String()
			served := make(chan error, 1)
			go func() { served <- p.Serve(elsewhere{l, c.remote}) }()
			defer func() {
				if err := errors.Join(p.Shutdown(t.Context()), <-served); err != nil {
					t.Error(err)
				}
			}()
			r := p.dial().get("/hash")
			if r.status != c.status {
				t.Errorf("%d %s", r.status, r.body)
			}
			if c.status == 403 && (!strings.Contains(r.body, `"errorCode":403`) || !strings.Contains(r.body, "ask on the host of this machine") ||
				strings.Contains(r.body, "abcdef") || strings.Contains(r.body, "192.0.2")) {
				t.Errorf("a stranger is told %s", r.body)
			}
		})
	}
}

// Names are looked up now and then, however often strangers ask.
func TestMembersAreLookedUpNowAndThen(t *testing.T) {
	now, lookUps := time.Unix(0, 0), 0
	m := memberIPs{now: func() time.Time { return now }, lookUp: func(context.Context, string) ([]netip.Addr, error) {
		lookUps++
		return []netip.Addr{netip.MustParseAddr("192.0.2.1")}, nil
	}}
	want := func(n int, hosts ...string) {
		t.Helper()
		if ips := m.of(hosts); lookUps != n || !slices.Contains(ips, netip.MustParseAddr("192.0.2.1")) {
			t.Errorf("%d names were looked up, want %d; found %v", lookUps, n, ips)
		}
	}
	want(2, "m1", "m2", "192.0.2.2")
	want(2, "m1", "m2", "192.0.2.2")
	want(3, "m1")
	now = now.Add(lookUpAgain)
	want(4, "m1")
}

// The state is read for one request at a time, and not again until it is another one.
func TestHashIsComputedOnce(t *testing.T) {
	s := serve(t)
	p := servePeers(t, s, io.Discard, func(c *Config) { c.RequestTimeout = 500 * time.Millisecond })
	client := s.dial()
	client.set("/a", "value=1")
	first := p.dial().get("/hash")
	if first.status != 200 {
		t.Fatalf("%d %s", first.status, first.body)
	}
	kept := p.hashes.sum
	p.hashes.sum = "kept"
	if r := p.dial().get("/hash"); r.body != strings.ReplaceAll(first.body, kept, "kept") {
		t.Errorf("of the same state %s, and before %s", r.body, first.body)
	}
	client.set("/a", "value=2")
	if r := p.dial().get("/hash"); r.status != 200 || strings.Contains(r.body, "kept") || r.body == first.body {
		t.Errorf("of another state %s, and before %s", r.body, first.body)
	}
	p.hashes.turn <- struct{}{} // somebody is at it, for long
	r := p.dial().get("/hash")
	if r.status != 503 || r.header.Get("Retry-After") != "1" || !strings.Contains(r.body, `"errorCode":503`) {
		t.Errorf("who waited too long gets %d %v %s", r.status, r.header, r.body)
	}
	<-p.hashes.turn
	if r := p.dial().get("/hash"); r.status != 200 {
		t.Errorf("afterwards %d %s", r.status, r.body)
	}
}
