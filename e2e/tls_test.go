package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"etcd/credentials/certtest"
)

// place writes a file, or replaces it atomically.
func place(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := errors.Join(os.WriteFile(path+".new", data, 0o600), os.Rename(path+".new", path)); err != nil {
		t.Fatal(err)
	}
}

// identity is the certificate of a machine or a client, and the CAs that it trusts.
type identity struct {
	own     certtest.Pair
	trusted []*certtest.CA
}

func (id identity) bundle() []byte {
	var pem []byte
	for _, ca := range id.trusted {
		pem = append(pem, ca.PEM...)
	}
	return pem
}

// config returns the TLS configuration of a client, which resumes sessions where it can.
func (id identity) config() *tls.Config {
	pool := id.trusted[0].Pool()
	for _, ca := range id.trusted[1:] {
		pool.AppendCertsFromPEM(ca.PEM)
	}
	cert := id.own.TLS()
	return &tls.Config{
		RootCAs:            pool,
		ClientSessionCache: tls.NewLRUClientSessionCache(0),
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &cert, nil
		},
	}
}

// secureCluster is a cluster with TLS for clients and between the machines.
type secureCluster struct {
	*cluster
	client atomic.Pointer[tls.Config] // configuration of its clients
}

// tlsFlags are the flags for files in a directory; prefix is client or server.
func tlsFlags(dir, prefix string) []string {
	file := func(name string) string { return filepath.Join(dir, prefix+name) }
	return []string{"-" + prefix + "Cert", file(".crt"), "-" + prefix + "Key", file(".key"), "-" + prefix + "CAFile", file("CA.crt")}
}

// secure makes a machine speak TLS on both ports, with an identity for both.
func (c *secureCluster) secure(s *server, id identity) {
	c.t.Helper()
	for _, prefix := range []string{"client", "server"} {
		s.args = append(s.args, tlsFlags(s.dir, prefix)...)
	}
	c.trust(s, id.trusted...)
	c.show(s, id.own)
	for _, address := range []string{s.client, s.peer} {
		overTLS.Store(address, c.client.Load)
	}
}

// trust replaces the CA files of a machine.
func (c *secureCluster) trust(s *server, cas ...*certtest.CA) {
	c.t.Helper()
	for _, prefix := range []string{"client", "server"} {
		place(c.t, filepath.Join(s.dir, prefix+"CA.crt"), identity{trusted: cas}.bundle())
	}
}

// show replaces the certificate files of a machine, one after the other.
func (c *secureCluster) show(s *server, pair certtest.Pair) {
	c.t.Helper()
	for _, prefix := range []string{"client", "server"} {
		place(c.t, filepath.Join(s.dir, prefix+".crt"), pair.Cert)
		place(c.t, filepath.Join(s.dir, prefix+".key"), pair.Key)
	}
}

// startSecure starts three machines with certificates of a CA.
func startSecure(t testing.TB, ca *certtest.CA, args ...string) *secureCluster {
	t.Helper()
	return startSecureOf(t, 3, ca, args...)
}

// startSecureOf is startSecure with n machines.
func startSecureOf(t testing.TB, n int, ca *certtest.CA, args ...string) *secureCluster {
	t.Helper()
	c := &secureCluster{cluster: &cluster{t: t, args: args}}
	c.client.Store(identity{ca.Issue("client"), []*certtest.CA{ca}}.config())
	for range n {
		s := c.newMember()
		c.secure(s, identity{ca.Issue(s.name), []*certtest.CA{ca}})
		c.members = append(c.members, s)
	}
	c.form()
	return c
}

// subject returns the name in the certificate that a machine presents to clients.
func (c *secureCluster) subject(s *server) string {
	c.t.Helper()
	conn, err := dialTLS(s.client, c.client.Load())
	if err != nil {
		c.t.Fatal(err)
	}
	defer conn.Close()
	return conn.Conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Subject.CommonName
}

// TestNeverMixed checks that a machine without TLS cannot join a cluster with TLS, nor the
// other way round, and that both log why.
func TestNeverMixed(t *testing.T) {
	t.Parallel()
	ca := certtest.New("CA")
	pair := ca.Issue("machine")
	secure := func(s *server) *server {
		s.args = append(s.args, tlsFlags(s.dir, "server")...)
		place(t, filepath.Join(s.dir, "server.crt"), pair.Cert)
		place(t, filepath.Join(s.dir, "server.key"), pair.Key)
		place(t, filepath.Join(s.dir, "serverCA.crt"), ca.PEM)
		return s
	}
	for _, test := range []struct {
		name            string
		member, joining *server
		theirs, ours    string // logged by the machine that joins, and by the member
	}{
		{"plain machine, cluster with TLS", secure(newMachine(t, "member")), newMachine(t, "joining"),
			"this port speaks only TLS; the machines of this cluster are started with -serverCert and -serverKey", "plain HTTP on a port that speaks only TLS"},
		{"machine with TLS, plain cluster", newMachine(t, "member"), secure(newMachine(t, "joining")),
			"speaks plain HTTP with other machines, and this machine TLS", "a TLS handshake on a port that speaks plain HTTP"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.member.start()
			code, _, stderr := run(t, nil, append(test.joining.flags(), "-C", test.member.peer)...)
			if code != 1 || !strings.Contains(stderr, test.theirs) {
				t.Errorf("exit code %d, want 1 and a message with %q\n%s", code, test.theirs, stderr)
			}
			waitUntil(t, "the member says why", func() bool { return strings.Contains(test.member.proc.stderr(), test.ours) })
			if log := test.member.proc.stderr(); strings.Count(log, test.ours) != 1 {
				t.Errorf("the member says more than once %q:\n%s", test.ours, log)
			}
			if list, err := test.member.list(); err != nil || len(list) != 1 {
				t.Errorf("members: %v, %v", list, err)
			}
		})
	}
	t.Run("member that comes back without TLS", func(t *testing.T) {
		c := &cluster{t: t}
		for range 3 {
			c.members = append(c.members, secure(c.newMember()))
		}
		for _, s := range c.members {
			overTLS.Store(s.peer, identity{pair, []*certtest.CA{ca}}.config)
		}
		c.form()
		s := c.follower()
		s.stop()
		with := s.args
		s.args = nil
		s.launch()
		waitUntil(t, "both sides say why", func() bool {
			return strings.Contains(s.proc.stderr(), "this port speaks only TLS") &&
				strings.Contains(c.leader(c.others(s)...).proc.stderr(), "plain HTTP on a port that speaks only TLS")
		})
		s.kill()
		s.args = with
		s.start()
		c.checkSameState()
	})
}

// TestTLSAddresses checks that URLs of machines with TLS have the scheme https, and that
// addresses without a scheme stay as they are.
func TestTLSAddresses(t *testing.T) {
	t.Parallel()
	c := startSecure(t, certtest.New("CA"))
	s, leader := c.members[1], c.leader()
	urls := []string{}
	for _, m := range c.others(leader) {
		urls = append(urls, "https://"+m.client)
	}
	slices.Sort(urls)
	s.want(get("/v1/leader"), 200, "https://"+leader.peer)
	s.want(get("/leader"), 200, leader.peer)
	answer := s.do(get("/v1/machines"))
	got := strings.Split(answer.body, ", ")
	if len(got) != 3 || got[0] != "https://"+leader.client || !slices.Equal(slices.Sorted(slices.Values(got[1:])), urls) {
		t.Errorf("/v1/machines: %s", answer.body)
	}
	if e := s.event(get("/v1/keys/_etcd/machines/" + s.name)); e.Value != "raft=https://"+s.peer+"&etcd=https://"+s.client {
		t.Errorf("%s is listed as %s", s.name, e.Value)
	}
	if got := s.do(get("/machines")); !strings.HasPrefix(got.body, s.client+",") || strings.Contains(got.body, "http") {
		t.Errorf("/machines: %s", got.body)
	}
}

// TestSwitchToTLS: a cluster without TLS, stopped and started with it, goes on.
func TestSwitchToTLS(t *testing.T) {
	t.Parallel()
	plain := startCluster(t, 3)
	plain.members[0].event(post("/v1/keys/a", "value", "1"))
	for _, s := range plain.members {
		s.stop()
	}
	ca := certtest.New("CA")
	c := &secureCluster{cluster: plain}
	client := identity{ca.Issue("client"), []*certtest.CA{ca}}.config()
	c.client.Store(client)
	for _, s := range c.members {
		c.secure(s, identity{ca.Issue(s.name), []*certtest.CA{ca}})
	}
	c.start(c.members...)
	for _, s := range c.members {
		if e := s.event(get("/v1/keys/a")); e.Value != "1" {
			t.Errorf("%s has %+v", s.name, e)
		}
		waitUntil(t, s.name+" is known by its new URLs", func() bool {
			list, err := c.members[0].list()
			return err == nil && slices.ContainsFunc(list, func(m clusterMember) bool {
				return m.Name == s.name && m.PeerURLs[0] == "https://"+s.peer && m.ClientURLs[0] == "https://"+s.client
			})
		})
	}
	c.checkSameState()
}

// TestUnverifiedMachines: without CA files machines accept any certificate of each other, as
// in 2013, and warn at the start what that means.
func TestUnverifiedMachines(t *testing.T) {
	t.Parallel()
	c := &cluster{t: t}
	for range 2 {
		s := c.newMember()
		pair := certtest.New("CA of " + s.name).Issue(s.name)
		place(t, filepath.Join(s.dir, "server.crt"), pair.Cert)
		place(t, filepath.Join(s.dir, "server.key"), pair.Key)
		s.args = append(s.args, tlsFlags(s.dir, "server")[:4]...)
		c.members = append(c.members, s)
	}
	c.form()
	for _, s := range c.members {
		if !strings.Contains(s.proc.stderr(), "give all of them a -serverCAFile") {
			t.Errorf("%s does not warn that it verifies nobody:\n%s", s.name, s.proc.stderr())
		}
	}
}

// autoTLSOf returns the TLS configuration of a client that trusts the self-signed certificate
// of a machine.
func autoTLSOf(t *testing.T, s *server) func() *tls.Config {
	t.Helper()
	pem, err := os.ReadFile(filepath.Join(s.data, "auto-tls.crt"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	c := &tls.Config{RootCAs: pool}
	return func() *tls.Config { return c }
}

// TestAutoTLS checks that a machine makes a self-signed certificate that clients can verify,
// and keeps it across restarts.
func TestAutoTLS(t *testing.T) {
	t.Parallel()
	s := newServer(t, "-auto-tls")
	s.start()
	overTLS.Store(s.client, autoTLSOf(t, s))
	s.event(post("/v1/keys/a", "value", "1"))
	s.stop()
	s.start()
	if e := s.event(get("/v1/keys/a")); e.Value != "1" {
		t.Errorf("after a restart: %+v", e)
	}
	s.stop()
	place(t, filepath.Join(s.data, "auto-tls.key"), []byte("damaged"))
	s.start()
	overTLS.Store(s.client, autoTLSOf(t, s))
	s.want(get("/v1/keys/a"), 200, `{"action":"GET","key":"/a","value":"1","index":3}`)
}

// TestTLSMistakes checks that a TLS configuration that cannot work ends the start with one
// line on stderr and exit code 1.
func TestTLSMistakes(t *testing.T) {
	t.Parallel()
	pair := certtest.New("CA").Issue("machine")
	dir := t.TempDir()
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		place(t, path, data)
		return path
	}
	cert, key, empty := file("cert", pair.Cert), file("key", pair.Key), file("empty", nil)
	for _, test := range []struct {
		args []string
		env  []string
		want string
	}{
		{[]string{"-clientKey", key}, nil, "-clientKey without -clientCert"},
		{[]string{"-serverCert", cert}, nil, "-serverCert without -serverKey"},
		{[]string{"-serverCAFile", cert}, nil, "-serverCAFile without -serverCert and -serverKey"},
		{[]string{"-clientCert", cert, "-clientKey", empty}, nil, "-clientKey " + empty + ": it is empty"},
		{[]string{"-clientCert", cert, "-clientKey", key, "-clientCAFile", empty}, nil, "-clientCAFile " + empty + ": it is empty"},
		{nil, []string{"ETCD_SERVERCERT=" + cert, "ETCD_SERVERKEY=" + cert}, "-serverKey " + cert + ": it holds a certificate and no private key"},
		{[]string{"-serverCert", cert, "-serverKey", key, "-C", "http://127.0.0.1:1"}, nil, "this machine dials peers only by https"},
		{[]string{"-C", "https://127.0.0.1:1"}, nil, "this machine dials peers only by http;"},
	} {
		code, _, stderr := run(t, test.env, append([]string{"-c", "0", "-s", "0"}, test.args...)...)
		var lines []string
		for line := range strings.Lines(stderr) {
			if !strings.HasPrefix(line, "time=") {
				lines = append(lines, line)
			}
		}
		if code != 1 || len(lines) != 1 || !strings.HasPrefix(lines[0], "etcd: ") || !strings.Contains(lines[0], test.want) {
			t.Errorf("%v %v: exit code %d, want 1 and one line with %q:\n%s", test.args, test.env, code, test.want, stderr)
		}
	}
}
