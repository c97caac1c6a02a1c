package main

import (
	"bytes"
	"log/slog"
	"net"
	"strings"
	"testing"
)

// listensAt is a listener of an address.
type listensAt struct {
	net.Listener
	ip string
}

func (l listensAt) Addr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(l.ip), Port: 7001} }

// A machine says at its start that strangers may reach its port for machines, and only then.
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
		warnOpen(slog.New(slog.NewTextHandler(&out, nil)), listensAt{ip: test.addr}, test.overTLS)
		if log := out.String(); strings.Contains(log, "level=WARN") != test.warns || test.warns && !strings.Contains(log, "-serverCAFile") {
			t.Errorf("at %s, over TLS %t: %q", test.addr, test.overTLS, log)
		}
	}
}
