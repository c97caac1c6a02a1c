package httpfront_test

import (
	"crypto/tls"
	"strings"
	"testing"

	"etcd/httpfront"
	"etcd/httpfront/fronttest"
)

// Idle connections that were not admitted do not block the peer port, and the log says
// once who opens so many.
func TestIdleConnectionsAtThePeerPort(t *testing.T) {
	s := serve(t)
	for name, mode := range map[string]func(*httpfront.Config){"plain": func(*httpfront.Config) {}, "tls": fronttest.WithTLS} {
		t.Run(name, func(t *testing.T) {
			log := &fronttest.LogBuffer{}
			p := servePeerPort(t, s, log, mode, func(c *httpfront.Config) { c.MaxPending, c.MaxConnections = 3, 6 })
			if name == "tls" {
				p.TLS = &tls.Config{RootCAs: fronttest.CA().Pool()}
			}
			var idle []*fronttest.Client
			for range 20 {
				idle = append(idle, p.DialAs(nil))
			}
			fronttest.Check(t, p.Dial().Get("/"), 200, "etcd v9")
			for _, c := range idle[:17] {
				if name == "plain" {
					fronttest.Check(t, c.Reply("GET"), 503, `{"errorCode":503,"message":"Service Unavailable","cause":"too many connections"}`)
				}
				c.WantClosed()
			}
			text := log.Take()
			if strings.Count(text, "level=WARN") != 1 || !strings.Contains(text, "limit=3") || !strings.Contains(text, "host=127.0.0.1") {
				t.Errorf("logged:\n%s", text)
			}
			fronttest.Check(t, p.Dial().Get("/"), 200, "etcd v9")
		})
	}
}
