package httpfront_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"maps"
	"net"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"etcd/httpfront"
	"etcd/httpfront/fronttest"
)

// mixed is a server of a listener with TLS, a plain one, and a plain one that looks at Host.
type mixed struct {
	*httpfront.Server
	t                      *testing.T
	secure, plain, checked net.Listener
	served                 chan error
}

func serveMixed(t *testing.T, edit ...func(*httpfront.Config)) *mixed {
	cfg := config(append(edit, fronttest.WithTLS))
	cfg.Log = slog.New(slog.DiscardHandler)
	m := &mixed{
		Server: httpfront.New(cfg, clientRoutes(fronttest.NewClock())), t: t, served: make(chan error, 1),
		secure: fronttest.Loopback(t), plain: fronttest.Loopback(t), checked: fronttest.Loopback(t),
	}
	go func() {
		m.served <- m.Serve(
			httpfront.Listener{Listener: m.secure},
			httpfront.Listener{Listener: m.plain, Plain: true},
			httpfront.Listener{Listener: m.checked, Plain: true, CheckHost: true},
		)
	}()
	return m
}

// dial connects as the clients of a listener do.
func (m *mixed) dial(to net.Listener) *fronttest.Client {
	var secured *tls.Config
	if to == m.secure {
		secured = &tls.Config{RootCAs: fronttest.CA().Pool()}
	}
	return (&fronttest.Server{T: m.t, Addr: to.Addr().String()}).DialAs(secured)
}

func (m *mixed) stop() {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), fronttest.Timeout)
	defer cancel()
	if err := m.Shutdown(ctx); err != nil {
		m.t.Error(err)
	}
	if err := <-m.served; err != nil {
		m.t.Errorf("serving ended with %v", err)
	}
}

// Limits count over all listeners of a port, and a stop ends all of them.
func TestSeveralListeners(t *testing.T) {
	m := serveMixed(t, func(c *httpfront.Config) { c.MaxConnections = 3 })
	all := []net.Listener{m.secure, m.plain, m.checked}
	var open []*fronttest.Client
	for _, l := range all {
		c := m.dial(l)
		c.Send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
		fronttest.Check(t, c.Reply("GET"), 200, "etcd v9")
		open = append(open, c)
	}
	for _, l := range all {
		c := m.dial(l)
		if r := c.Get("/"); r.Status != 503 {
			t.Errorf("a fourth connection is answered with %d", r.Status)
		}
		c.WantClosed()
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(httpfront.Collector{m.Server})
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counted := map[string]float64{}
	for _, family := range families {
		if family.GetName() != "etcd_http_connections" {
			continue
		}
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				if label.GetName() == "protocol" {
					counted[label.GetValue()] = metric.GetGauge().GetValue()
				}
			}
		}
	}
	if want := map[string]float64{"http": 2, "https": 1}; !maps.Equal(counted, want) {
		t.Errorf("the connections are counted as %v, want %v", counted, want)
	}
	m.stop()
	for i, l := range all {
		open[i].WantClosed()
		if c, err := net.Dial("tcp", l.Addr().String()); err == nil {
			_ = c.Close()
			t.Errorf("%s is still listened at", l.Addr())
		}
	}
}

// A listener looks at Host or not, and the pages that it serves have its scheme.
func TestPagesByListener(t *testing.T) {
	m := serveMixed(t)
	for _, test := range []struct {
		at           net.Listener
		host, origin string
		status       int
	}{
		{m.secure, "evil.example", "", 200},
		{m.plain, "evil.example", "", 200},
		{m.checked, "evil.example", "", 403},
		{m.checked, "localhost", "", 200},
		{m.secure, "127.0.0.1:1", "https://127.0.0.1:1", 200},
		{m.secure, "127.0.0.1:1", "http://127.0.0.1:1", 403},
		{m.plain, "127.0.0.1:1", "http://127.0.0.1:1", 200},
		{m.plain, "127.0.0.1:1", "https://127.0.0.1:1", 403},
	} {
		c := m.dial(test.at)
		origin := ""
		if test.origin != "" {
			origin = "Origin: " + test.origin + "\r\n"
		}
		c.Send("GET / HTTP/1.1\r\nHost: %s\r\n%s\r\n", test.host, origin)
		if r := c.Reply("GET"); r.Status != test.status {
			t.Errorf("a page of %q gets %d from %s, want %d", test.origin, r.Status, test.host, test.status)
		}
		_ = c.Close()
	}
	m.stop()
}
