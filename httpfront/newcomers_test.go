package httpfront

import (
	"crypto/tls"
	"strings"
	"testing"
)

// Connections over which nothing is said do not close the port for machines, and the log
// says once who opens so many.
func TestIdleConnectionsAtThePortForMachines(t *testing.T) {
	s := serve(t)
	for name, mode := range map[string]func(*Config){"plain": func(*Config) {}, "tls": overTLS} {
		t.Run(name, func(t *testing.T) {
			log := &records{}
			p := servePeers(t, s, log, mode, func(c *Config) { c.MaxNewcomers, c.MaxConnections = 3, 6 })
			if name == "tls" {
				p.tls = &tls.Config{RootCAs: testCA().Pool()}
			}
			var idle []*client
			for range 20 {
				idle = append(idle, p.dialAs(nil))
			}
			check(t, p.dial().get("/version"), 200, "etcd v9")
			for _, c := range idle[:17] {
				if name == "plain" {
					check(t, c.reply("GET"), 503, `{"errorCode":503,"message":"Service Unavailable","cause":"too many connections"}`)
				}
				c.ended()
			}
			text := log.take()
			if strings.Count(text, "level=WARN") != 1 || !strings.Contains(text, "limit=3") || !strings.Contains(text, "host=127.0.0.1") {
				t.Errorf("logged:\n%s", text)
			}
			check(t, p.dial().get("/version"), 200, "etcd v9")
		})
	}
}

// Only a few requests at a time may wait for the cluster at the port for machines: the
// others must not be kept from electing a leader.
func TestFewAskAtATime(t *testing.T) {
	s := serve(t)
	p := servePeers(t, s, &records{})
	check(t, p.dial().get("/leader"), 200, "127.0.0.1:7001")
	for range maxAsking {
		p.asking <- struct{}{}
	}
	for _, path := range []string{"/leader", "/machines"} {
		check(t, p.dial().get(path), 503, `{"errorCode":503,"message":"Service Unavailable","cause":"too many ask this machine at the same time; ask again"}`)
	}
	check(t, p.dial().get("/version"), 200, "etcd v9")
	<-p.asking
	check(t, p.dial().get("/leader"), 200, "127.0.0.1:7001")
}
