package transport

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
)

func TestHandshakeRefusals(t *testing.T) {
	m := startMachine(t, machineConfig{admit: func(h Hello) (int, string) {
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
		{"other cluster", func(c *Config) { c.ClusterID = 0xc2 }, http.StatusPreconditionFailed, "this is cluster 00000000000000c1, not 00000000000000c2"},
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
			err := SendSnapshot(t.Context(), cfg, bob, m.addr, nil, strings.NewReader("body"), nil)
			refused, ok := errors.AsType[*RefusedError](err)
			if !ok || refused.Status != c.status || refused.Message != c.message {
				t.Errorf("a snapshot: %v", err)
			}
		})
	}
	t.Run("wrong member", func(t *testing.T) {
		other := startMachine(t, machineConfig{Config: testConfig(0xb1)})
		d := startSender(t, testConfig(alice), other.addr, Control, 1000)
		got := receive(t, d.refused, "a refusal")
		if want := "this is member 00000000000000b1, not 00000000000000b0"; got.Status != http.StatusPreconditionFailed || got.Message != want {
			t.Errorf("got %d %q", got.Status, got.Message)
		}
	})
}

// TestHandshakeOnTheWire speaks HTTP by hand, as another implementation would.
func TestHandshakeOnTheWire(t *testing.T) {
	m := startMachine(t, machineConfig{})
	good := map[string]string{
		"Upgrade": "etcd-raft", "Connection": "Upgrade", "X-Etcd-Protocol": "1", "X-Etcd-Cluster-Id": "c1",
		"X-Etcd-From": "a1", "X-Etcd-To": "b0", "X-Etcd-Class": "control", "X-Etcd-Nonce": "1",
	}
	for _, c := range []struct {
		header, value string
		status        int
		message       string
	}{
		{"X-Etcd-From", "a1", http.StatusSwitchingProtocols, ""},
		{"Upgrade", "websocket", http.StatusUpgradeRequired, `upgrade to "websocket" is asked for, this is "etcd-raft"`},
		{"X-Etcd-Protocol", "2", http.StatusUpgradeRequired, `protocol version "2", this machine speaks "1"`},
		{"X-Etcd-Cluster-Id", "xyz", http.StatusBadRequest, "X-Etcd-Cluster-Id is not a hexadecimal number"},
		{"X-Etcd-To", "", http.StatusBadRequest, "X-Etcd-To is not a hexadecimal number"},
		{"X-Etcd-Nonce", "", http.StatusBadRequest, "X-Etcd-Nonce is not a hexadecimal number"},
		{"X-Etcd-Class", "express", http.StatusBadRequest, "X-Etcd-Class is unknown"},
		{"X-Etcd-Class", "snapshot", http.StatusBadRequest, "class snapshot does not belong here"},
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
