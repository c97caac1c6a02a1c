package credentials

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"sync"
	"testing"
	"time"

	"etcd/credentials/certtest"
)

// With a CA, both ends require a certificate of it; without, the server requires none and the
// client accepts any.
func TestVerification(t *testing.T) {
	ca, other := certtest.New("ca"), certtest.New("other")
	pair, foreign := ca.Issue("machine"), other.Issue("foreign")
	now := time.Now()
	between := ca.Intermediate("between")
	behind := between.Issue("behind")
	behind.Cert = append(behind.Cert, between.PEM...)
	with, without := load(t, pair, ca.PEM), load(t, foreign, nil)
	for _, test := range []struct {
		name           string
		server, client *tls.Config
		err            string // empty: no error
	}{
		{"client without", with.Server(), trusting(ca), "client didn't provide a certificate"},
		{"client of another CA", with.Server(), trusting(ca, foreign), "unknown authority"},
		{"client of the CA", with.Server(), trusting(ca, pair), ""},
		{"nobody asks", without.Server(), trusting(other), ""},
		{"client with a certificate for servers only", with.Server(), trusting(ca, ca.Issue("server", only(x509.ExtKeyUsageServerAuth))), "incompatible key usage"},
		{"client with an expired certificate", with.Server(), trusting(ca, ca.Issue("expired", valid(now.Add(-2*time.Hour), now.Add(-time.Hour)))), "expired"},
		{"client of an intermediate CA", with.Server(), trusting(ca, behind), ""},
		{"server of an intermediate CA", load(t, behind, nil).Server(), with.Client("127.0.0.1"), ""},
		{"two machines", with.Server(), with.Client("127.0.0.1"), ""},
		{"by name", with.Server(), with.Client("localhost"), ""},
		{"machine at another name", with.Server(), with.Client("example.com"), "bad certificate"},
		{"foreign machine dials", with.Server(), without.Client("127.0.0.1"), "unknown authority"},
		{"foreign machine is dialled", without.Server(), with.Client("127.0.0.1"), "bad certificate"},
		{"two that do not verify", without.Server(), without.Client("127.0.0.1"), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, shown, err := dial(t, test.server, test.client)
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("error %v, want %q", err, test.err)
			}
			if strings.HasPrefix(test.name, "two machines") && len(shown.VerifiedChains) == 0 {
				t.Error("the client was not verified")
			}
		})
	}
}

// TLS 1.2 with modern cipher suites at least, HTTP/1.1 by ALPN.
func TestProtocols(t *testing.T) {
	ca := certtest.New("ca")
	s := load(t, ca.Issue("machine"), nil)
	for _, test := range []struct {
		name     string
		edit     func(*tls.Config)
		version  uint16 // 0: refused
		protocol string
	}{
		{"default", func(*tls.Config) {}, tls.VersionTLS13, ""},
		{"1.2", func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, tls.VersionTLS12, ""},
		{"1.1", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, 0, ""},
		{"1.2 with CBC", func(c *tls.Config) {
			c.MaxVersion = tls.VersionTLS12
			c.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA}
		}, 0, ""},
		{"HTTP/2 and HTTP/1.1", func(c *tls.Config) { c.NextProtos = []string{"h2", "http/1.1"} }, tls.VersionTLS13, "http/1.1"},
		{"unknown protocol", func(c *tls.Config) { c.NextProtos = []string{"gopher"} }, 0, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			client := trusting(ca)
			test.edit(client)
			seen, _, err := dial(t, s.Server(), client)
			if test.version == 0 {
				if err == nil {
					t.Errorf("it was served with %s, suite %s", tls.VersionName(seen.Version), tls.CipherSuiteName(seen.CipherSuite))
				}
				return
			}
			if err != nil || seen.Version != test.version || seen.NegotiatedProtocol != test.protocol {
				t.Errorf("%s, protocol %q, %v", tls.VersionName(seen.Version), seen.NegotiatedProtocol, err)
			}
		})
	}
}

// Sessions are resumed, in TLS 1.3 and 1.2, for some days, and not after the files have
// changed.
func TestResumption(t *testing.T) {
	for name, version := range map[string]uint16{"1.3": tls.VersionTLS13, "1.2": tls.VersionTLS12} {
		t.Run(name, func(t *testing.T) {
			oldCA, newCA := certtest.New("old"), certtest.New("new")
			machine, client := oldCA.Issue("machine"), oldCA.Issue("client")
			s := load(t, machine, oldCA.PEM)
			cfg := trusting(oldCA, client)
			cfg.MaxVersion = version
			cfg.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			connect := func() (bool, error) {
				seen, _, err := dial(t, s.Server(), cfg)
				return seen.DidResume, err
			}
			want := func(what string, want bool) {
				t.Helper()
				if resumed, err := connect(); resumed != want || err != nil {
					t.Errorf("%s: resumed %t, want %t (%v)", what, resumed, want, err)
				}
			}
			want("first", false)
			want("second", true)
			s.clock = s.clock.Add(ticketLifetime)
			want("a day later", true)
			s.clock = s.clock.Add(3 * ticketLifetime)
			s.Check()
			s.clock = s.clock.Add(3 * ticketLifetime)
			s.Check()
			want("a week later", false)
			want("and again", true)

			s.write("ca", append(oldCA.PEM, newCA.PEM...))
			want("another bundle", false)
			want("and again", true)
			s.write("ca", newCA.PEM)
			if _, err := connect(); err == nil || !strings.Contains(err.Error(), "unknown authority") {
				t.Errorf("a session of the CA that is gone: %v", err)
			}
		})
	}
}

// Files may change during handshakes.
func TestConcurrentReload(t *testing.T) {
	ca := certtest.New("ca")
	pairs := []certtest.Pair{ca.Issue("even"), ca.Issue("odd")}
	s := load(t, pairs[0], ca.PEM)
	server := s.Server()
	var dialling sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		dialling.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, _, err := dial(t, server, s.Client("127.0.0.1")); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 20 {
		s.write("cert", pairs[i%2].Cert)
		s.write("key", pairs[i%2].Key)
		s.Check()
		_ = s.NotAfter()
	}
	close(stop)
	dialling.Wait()
	if left := time.Until(s.NotAfter()); left < 0 {
		t.Errorf("expired %v ago", -left)
	}
}

// What may be used of TLS can be limited, in both directions.
func TestLimits(t *testing.T) {
	ca := certtest.New("ca")
	limited := func(l Limits) *side {
		pair := ca.Issue("machine")
		s, cfg := newSide(t, pair.Cert, pair.Key, nil)
		cfg.Limits = l
		s.load(cfg)
		return s
	}
	const suite = tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
	free := limited(Limits{})
	from13, to12 := limited(Limits{MinVersion: tls.VersionTLS13}), limited(Limits{MaxVersion: tls.VersionTLS12, Suites: []uint16{suite}})
	for _, test := range []struct {
		name           string
		server, client *side
		version        uint16 // 0: refused
	}{
		{"none", free, free, tls.VersionTLS13},
		{"the server to 1.2", to12, free, tls.VersionTLS12},
		{"the client to 1.2", free, to12, tls.VersionTLS12},
		{"the server from 1.3 on", from13, free, tls.VersionTLS13},
		{"different versions", from13, to12, 0},
		{"different versions, the other way", to12, from13, 0},
	} {
		seen, _, err := dial(t, test.server.Server(), test.client.Client("127.0.0.1"))
		if (err == nil) != (test.version != 0) || seen.Version != test.version {
			t.Errorf("%s: %s, %v", test.name, tls.VersionName(seen.Version), err)
		}
		if seen.Version == tls.VersionTLS12 && seen.CipherSuite != suite {
			t.Errorf("%s: the suite is %s", test.name, tls.CipherSuiteName(seen.CipherSuite))
		}
	}
}
