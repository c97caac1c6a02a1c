package server

import (
	"bytes"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
)

// listensAt is a listener of an address.
type listensAt struct {
	net.Listener
	ip string
}

func (l listensAt) Addr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(l.ip), Port: 7001} }

// A machine warns at its start if strangers may reach its peer port, and only then.
func TestWarnOpen(t *testing.T) {
	for _, test := range []struct {
		addr    string
		overTLS bool
		warns   bool
	}{
		{"127.0.0.1", false, false},
		{"::1", false, false},
		{"10.0.0.1", false, true},
		{"0.0.0.0", false, true},
		{"::", false, true},
		{"::", true, false},
		{"10.0.0.1", true, false},
	} {
		var out bytes.Buffer
		warnPeerPortOpen(slog.New(slog.NewTextHandler(&out, nil)), listeners{{Listener: listensAt{ip: test.addr}}}, test.overTLS)
		if log := out.String(); strings.Contains(log, "level=WARN") != test.warns || test.warns && !strings.Contains(log, "-serverCAFile") {
			t.Errorf("at %s, over TLS %t: %q", test.addr, test.overTLS, log)
		}
	}
}

// TestNames checks under which names clients and machines may call this one, and that the two
// ports do not mix them up.
func TestNames(t *testing.T) {
	c := Defaults()
	c.HostWhitelist = append(make([]string, 0, 8), "a.example", "*")
	clients, peers := c.allowedHosts(listeners{{site: site{addr: "b.example:4001"}}}), c.allowedHosts(listeners{{site: site{addr: "c.example:7001"}}})
	if !slices.Equal(clients, []string{"a.example", "*", "b.example"}) || !slices.Equal(peers, []string{"a.example", "*", "c.example"}) {
		t.Errorf("this machine is called %q by clients, and %q by machines", clients, peers)
	}
	c.Host = "::1"
	if got := c.advertised("0"); got != "[::1]:0" {
		t.Errorf("a bare port of host ::1 is advertised as %s", got)
	}
}
