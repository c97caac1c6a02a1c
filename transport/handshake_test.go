package transport

import (
	"bufio"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A refusal by the member that was dialled is told apart from all other failures.
func TestHandshakeRefusals(t *testing.T) {
	own := testConfig(bob)
	own.FormerClusterID = 0xc0
	m := startMachine(t, machineConfig{Config: own, admit: func(h Hello) (int, string) {
		switch h.From {
		case 0xdead:
			return http.StatusGone, "member dead was removed"
		case 0xffff:
			return http.StatusPreconditionFailed, "member ffff is unknown"
		}
		return 0, ""
	}})
	for _, c := range []struct {
		name    string
		change  func(c *Config)
		status  int
		message string
	}{
		{"the cluster it has left", func(c *Config) { c.ClusterID = 0xc0 }, StatusRefounded, "member 00000000000000b0 was made a cluster of its own (-force-new-cluster) without this machine"},
		{"removed", func(c *Config) { c.MemberID = 0xdead }, http.StatusGone, "member dead was removed"},
		{"unknown", func(c *Config) { c.MemberID = 0xffff }, http.StatusPreconditionFailed, "member ffff is unknown"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := testConfig(alice)
			c.change(&cfg)
			d := startSender(t, cfg, m.addr, Control, 1000)
			got := receive(t, d.refused, "a refusal")
			if got.Status != c.status || got.Message != c.message {
				t.Errorf("got %d %q", got.Status, got.Message)
			}
			if d.Send(Frame{Kind: KindRaft}) {
				t.Error("Send took a frame that cannot arrive")
			}
			if len(d.up)+len(d.down) > 0 {
				t.Error("a refusal was reported as something else, too")
			}
			err := SendSnapshot(t.Context(), cfg, bob, m.addr, nil, 4, strings.NewReader("body"), nil)
			refused, ok := errors.AsType[*RefusedError](err)
			if !ok || refused.Status != c.status || refused.Message != c.message {
				t.Errorf("a snapshot: %v", err)
			}
		})
	}
}

// A refusal by anything else that listens at a member's address is an ordinary failure, which
// names the address and the answer.
func TestRefusalsByOthersAreFailures(t *testing.T) {
	expel := func(Hello) (int, string) { return http.StatusGone, "removed" }
	server := func(answer http.HandlerFunc) string {
		s := httptest.NewServer(answer)
		t.Cleanup(s.Close)
		return s.Listener.Addr().String()
	}
	machineOf := func(cluster, member uint64) string {
		cfg := testConfig(member)
		cfg.ClusterID = cluster
		return startMachine(t, machineConfig{Config: cfg, admit: expel}).addr
	}
	for name, c := range map[string]struct {
		addr string
		says string
	}{
		"another member":  {machineOf(cluster, 0xb1), "412, not as the member that was asked: this is another machine, or one of another cluster"},
		"another cluster": {machineOf(0xc2, bob), "412, not as the member that was asked: this is another machine, or one of another cluster"},
		"a web server": {server(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "no", http.StatusForbidden)
		}), "403, not as the member that was asked: Forbidden"},
		"a large page": {server(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, strings.Repeat("no", maxAnswer), http.StatusForbidden)
		}), "403: unexpected EOF"},
		"an echo": {server(func(w http.ResponseWriter, r *http.Request) {
			maps.Copy(w.Header(), r.Header)
			w.Header().Del("Upgrade")
			http.Error(w, "gone", http.StatusGone)
		}), "410, not as the member that was asked: Gone"},
		"an older machine": {server(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusUpgradeRequired)
			_, _ = w.Write(newErrorBody(http.StatusUpgradeRequired, `this machine speaks "1"`))
		}), `426: this machine speaks "1"; its program and this one, which speaks 4, are too far apart: stop all machines of the cluster, and start all with the same program`},
		"a door that is open to all": {server(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Upgrade", upgradeProtocol)
			w.Header().Set(headerNonce, "1")
			w.WriteHeader(http.StatusSwitchingProtocols)
		}), "101, not as the member that was asked: Switching Protocols"},
		"a screen wiper": {server(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, string(newErrorBody(http.StatusGone, "\x1b[2J\u202e\nlevel=INFO msg=fine"+strings.Repeat("!", maxMessage))), http.StatusGone)
		}), "410, not as the member that was asked: .[2J..level=INFO msg=fine!!!"},
	} {
		t.Run(name, func(t *testing.T) {
			d := startSender(t, testConfig(alice), c.addr, Control, 1000)
			err := receive(t, d.down, "a failure")
			if !strings.Contains(err.Error(), c.addr+" answers "+c.says) {
				t.Errorf("got %v", err)
			}
			err = SendSnapshot(t.Context(), testConfig(alice), bob, c.addr, nil, 4, strings.NewReader("body"), nil)
			if _, ok := errors.AsType[*RefusedError](err); ok || err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("a snapshot: %v", err)
			}
			if len(d.up)+len(d.refused) > 0 {
				t.Error("it was reported as something else, too")
			}
		})
	}
}

// The ID of a cluster admits machines, and that of a member identifies it, so neither is told
// to a dialer that does not name it.
func TestStrangersAreNotToldIDs(t *testing.T) {
	own := testConfig(bob)
	own.FormerClusterID = 0xc0
	m := startMachine(t, machineConfig{Config: own})
	for name, c := range map[string]struct{ cluster, to string }{
		"another cluster":                          {"c2", "b0"},
		"another member":                           {"c1", "b1"},
		"another member of the one that it left":   {"c0", "b1"},
		"a machine that has not joined a cluster":  {"0", "b0"},
		"everything is wrong":                      {"c2", "b1"},
		"what it says is not a number":             {"c1", "\x1b[2J"},
		"nothing at all is said of where it is to": {"c1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", m.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, "GET /raft/stream HTTP/1.1\r\nHost: b\r\nUpgrade: etcd-raft\r\nConnection: Upgrade\r\n"+
				"X-Etcd-Protocol: 4\r\nX-Etcd-Commands: 1-2\r\nX-Etcd-Snapshots: 1-2\r\nX-Etcd-Cluster-Id: "+c.cluster+"\r\nX-Etcd-From: a1\r\nX-Etcd-To: "+c.to+
				"\r\nX-Etcd-Class: control\r\nX-Etcd-Nonce: 1\r\n"+
				"X-Etcd-Peer-Address: 127.0.0.1:7001\r\nX-Etcd-Token: "+strings.Repeat("0", tokenSize)+"\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			answer, err := io.ReadAll(conn)
			if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 4") {
				t.Errorf("%s, %v", answer, err)
			}
			for _, secret := range []string{"00c1", "00c0", "00b0", headerCluster, headerFrom, "\x1b"} {
				if strings.Contains(string(answer), secret) {
					t.Errorf("it is told %q:\n%s", secret, answer)
				}
			}
		})
	}
}

// TestHandshakeOnTheWire sends raw HTTP, as another implementation would.
func TestHandshakeOnTheWire(t *testing.T) {
	m := startMachine(t, machineConfig{})
	good := map[string]string{
		"Upgrade": "etcd-raft", "Connection": "Upgrade", "X-Etcd-Protocol": "4", "X-Etcd-Commands": "1-2", "X-Etcd-Snapshots": "1-2", "X-Etcd-Cluster-Id": "c1",
		"X-Etcd-From": "a1", "X-Etcd-To": "b0", "X-Etcd-Class": "control", "X-Etcd-Nonce": "1",
		"X-Etcd-Peer-Address": "127.0.0.1:7001", "X-Etcd-Token": strings.Repeat("0", tokenSize),
	}
	for _, c := range []struct {
		header, value string
		status        int
		message       string
	}{
		{"X-Etcd-From", "a1", http.StatusSwitchingProtocols, "Switching Protocols"},
		{"Upgrade", "websocket", http.StatusUpgradeRequired, `upgrade to "websocket" is asked for, this is "etcd-raft"`},
		{"X-Etcd-Protocol", "3", http.StatusUpgradeRequired, `protocol version "3", this machine speaks 4`},
		{"X-Etcd-Protocol", "1-3", http.StatusUpgradeRequired, `protocol version "1-3", this machine speaks 4`},
		{"X-Etcd-Protocol", "4-", http.StatusUpgradeRequired, `protocol version "4-", this machine speaks 4`},
		{"X-Etcd-Commands", "two", http.StatusBadRequest, `X-Etcd-Commands: versions "two": want a number, or two as in 1-2`},
		{"X-Etcd-Snapshots", "0-1", http.StatusBadRequest, `X-Etcd-Snapshots: versions "0-1": want a number, or two as in 1-2`},
		{"X-Etcd-Cluster-Id", "xyz", http.StatusBadRequest, "X-Etcd-Cluster-Id is not a hexadecimal number"},
		{"X-Etcd-To", "", http.StatusBadRequest, "X-Etcd-To is not a hexadecimal number"},
		{"X-Etcd-Nonce", "", http.StatusBadRequest, "X-Etcd-Nonce is not a hexadecimal number"},
		{"X-Etcd-Class", "express", http.StatusBadRequest, "X-Etcd-Class is unknown"},
		{"X-Etcd-Token", "1", http.StatusBadRequest, "X-Etcd-Token has not the length of a token"},
		{"X-Etcd-Class", "snapshot", http.StatusBadRequest, "class snapshot does not belong here"},
		{"X-Etcd-Peer-Address", "[fe80::1%eth0]:1", http.StatusSwitchingProtocols, "Switching Protocols"},
		{"X-Etcd-Peer-Address", "evil:4001,127.0.0.1:14001", http.StatusBadRequest, "X-Etcd-Peer-Address: an IPv6 address, and nothing else, is in brackets before its port"},
		{"X-Etcd-Peer-Address", "evil", http.StatusBadRequest, "X-Etcd-Peer-Address: it has no port from 1 to 65535"},
		{"X-Etcd-Peer-Address", ":7001", http.StatusBadRequest, "X-Etcd-Peer-Address: the host is neither a DNS name nor an IP address"},
		{"X-Etcd-Peer-Address", "[::1%a b]:7001", http.StatusBadRequest, "X-Etcd-Peer-Address: the host is neither a DNS name nor an IP address"},
	} {
		t.Run(c.header+"="+c.value, func(t *testing.T) {
			conn, err := net.Dial("tcp", m.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			request := "GET /raft/stream HTTP/1.1\r\nHost: b\r\n"
			for k, v := range good {
				if k == c.header {
					v = c.value
				}
				request += k + ": " + v + "\r\n"
			}
			if _, err := conn.Write([]byte(request + "\r\n")); err != nil {
				t.Fatal(err)
			}
			status, message, err := readAnswer(bufio.NewReader(conn))
			if err != nil || status != c.status || message != c.message {
				t.Errorf("got %d %q, error %v", status, message, err)
			}
		})
	}
}

// An address becomes a header of the request to it. One that could inject another header is
// not even dialled.
func TestInvalidAddresses(t *testing.T) {
	for _, addr := range []string{"b:1\r\nX-Evil: y", "[fe80::1%x\r\nX-Evil: y]:1", "b:1 HTTP/1.1", "b", "", "a:1,b:1"} {
		cfg := testConfig(alice)
		cfg.Dial = func(context.Context, string) (net.Conn, error) {
			t.Errorf("%.40q is dialled", addr)
			return nil, errors.New("nobody is there")
		}
		for what, err := range map[string]error{
			"a snapshot": SendSnapshot(t.Context(), cfg, bob, addr, nil, 4, strings.NewReader("body"), nil),
			"a question": func() error { _, err := Ask(t.Context(), cfg, addr, ""); return err }(),
		} {
			if err == nil || !strings.Contains(err.Error(), "no address of a machine") {
				t.Errorf("%s to %.40q: %.300v", what, addr, err)
			}
		}
		d := startSender(t, cfg, addr, Control, 1000)
		receive(t, d.down, "a failure")
	}
}
