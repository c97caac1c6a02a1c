package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// authority is a CA made with openssl as in docs/tls.md, in a directory of its own.
type authority struct {
	t   testing.TB
	dir string
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("no openssl; the Debian package of that name has it")
	}
	a := &authority{t, t.TempDir()}
	a.openssl(`req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -keyout ca.key -out ca.crt -subj`, "/CN=machines of etcd")
	a.write("ca.cnf", "[ca]\ndefault_ca=this\n[this]\ndatabase=ca.index\ncrlnumber=ca.crlnumber\n"+
		"certificate=ca.crt\nprivate_key=ca.key\ndefault_md=sha256\ndefault_crl_days=30\n")
	a.write("ca.index", "")
	a.write("ca.crlnumber", "01\n")
	return a
}

func (a *authority) openssl(args string, more ...string) {
	a.t.Helper()
	cmd := exec.Command("openssl", append(strings.Fields(args), more...)...)
	cmd.Dir = a.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		a.t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) write(name, text string) {
	a.t.Helper()
	if err := os.WriteFile(a.file(name), []byte(text), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// issue makes NAME.crt and NAME.key, with extensions in the syntax of openssl.
func (a *authority) issue(name, cn string, extensions ...string) {
	a.t.Helper()
	a.write(name+".ext", strings.Join(extensions, "\n")+"\n")
	a.openssl("req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "+name+".key -out "+name+".csr -subj", "/CN="+cn)
	a.openssl("x509 -req -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -in " + name + ".csr -extfile " + name + ".ext -out " + name + ".crt")
}

// revoke revokes certificates and writes the CRL, ca.crl.
func (a *authority) revoke(names ...string) {
	a.t.Helper()
	for _, name := range names {
		a.openssl("ca -config ca.cnf -revoke " + name + ".crt")
	}
	a.openssl("ca -config ca.cnf -gencrl -out ca.crl.new")
	if err := os.Rename(a.file("ca.crl.new"), a.file("ca.crl")); err != nil {
		a.t.Fatal(err)
	}
}

// config returns the TLS configuration of a client with a certificate.
func (a *authority) config(name string) *tls.Config {
	a.t.Helper()
	pair, err := tls.LoadX509KeyPair(a.file(name+".crt"), a.file(name+".key"))
	if err != nil {
		a.t.Fatal(err)
	}
	pem, err := os.ReadFile(a.file("ca.crt"))
	if err != nil {
		a.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return &tls.Config{RootCAs: pool, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }}
}

// machineFlags are the flags of a machine with a certificate for its peers.
func (a *authority) machineFlags(name string) []string {
	return []string{"-serverCert", a.file(name + ".crt"), "-serverKey", a.file(name + ".key"), "-serverCAFile", a.file("ca.crt")}
}

const forBoth = "extendedKeyUsage=serverAuth,clientAuth"

// newClusterOf prepares machines on addresses of their own, 127.0.0.2 and so on, with a
// certificate each.
func newClusterOf(a *authority, n int, args ...string) *cluster {
	a.t.Helper()
	c := &cluster{t: a.t, args: args}
	for i := range n {
		s := c.newMember()
		s.onHost(i + 2)
		host, _, _ := net.SplitHostPort(s.peer)
		a.issue(s.name, s.name, "subjectAltName=IP:"+host, forBoth)
		s.args = append(s.args, a.machineFlags(s.name)...)
		cfg := a.config(s.name)
		overTLS.Store(s.peer, func() *tls.Config { return cfg })
		c.members = append(c.members, s)
	}
	return c
}

// onHost moves the peer port to another address of the loopback interface.
func (s *server) onHost(n int) {
	_, port, _ := net.SplitHostPort(s.peer)
	s.peer = fmt.Sprintf("127.0.0.%d:%s", n, port)
}

// askOver sends raw bytes to a port with TLS and returns the answer.
func askOver(t testing.TB, address string, cfg *tls.Config, method, raw string) (reply, error) {
	t.Helper()
	c, err := dialTLS(address, cfg)
	if err != nil {
		return reply{}, err
	}
	defer c.Close()
	if _, err := c.Write([]byte(raw)); err != nil {
		return reply{}, err
	}
	return c.receive(method)
}

// jsonPost returns a raw POST request with a JSON body.
func jsonPost(path, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
}

// TestCertificatesOfMachines: a certificate of the CA that belongs to no member gets nothing
// at the peer port, even from an attacker who knows all IDs; nor does the certificate of one
// member in the name of another.
func TestCertificatesOfMachines(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	c := newClusterOf(a, 3)
	a.issue("alice", "alice", "extendedKeyUsage=clientAuth")
	c.form()
	c.checkSameState()
	victim, other := c.members[0], c.members[1]
	list, err := victim.list()
	if err != nil {
		t.Fatal(err)
	}
	member := func(s *server) clusterMember {
		for _, m := range list {
			if m.Name == s.name {
				return m
			}
		}
		t.Fatalf("%s is no member", s.name)
		return clusterMember{}
	}
	joining := func(id uint64, name, peerURL, clientURL string) string {
		return jsonPost("/join", fmt.Sprintf(`{"memberId":"%d","name":"%s","peerUrl":"%s","clientUrl":"%s","understood":{"protocol":"4","commands":"1-6","snapshots":"1-3"}}`, id, name, peerURL, clientURL))
	}
	number := func(hex string) (n uint64) { _, _ = fmt.Sscanf(hex, "%x", &n); return n }
	// The repeated join of a member is answered as before, and so gives the ID of the cluster.
	otherMember := member(other)
	answer, err := askOver(t, victim.peer, a.config(other.name), "POST",
		joining(number(otherMember.ID), other.name, otherMember.PeerURLs[0], otherMember.ClientURLs[0]))
	var joined struct {
		ClusterID uint64 `json:"clusterId,string"`
	}
	if err != nil || answer.status != 200 || json.Unmarshal([]byte(answer.body), &joined) != nil || joined.ClusterID == 0 {
		t.Fatalf("a member that asks to join again: %d %s %v", answer.status, answer.body, err)
	}
	handshake := func(method, path, class, from, addr string) string {
		return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: etcd-raft\r\nX-Etcd-Protocol: 4\r\nX-Etcd-Commands: 1-2\r\nX-Etcd-Snapshots: 1-2\r\nX-Etcd-Cluster-Id: %x\r\n"+
			"X-Etcd-From: %s\r\nX-Etcd-To: %s\r\nX-Etcd-Class: %s\r\nX-Etcd-Nonce: 1\r\nX-Etcd-Token: 00000000000000000000000000000000\r\nX-Etcd-Peer-Address: %s\r\nX-Etcd-Reach: 1-1-1-1\r\nContent-Length: 0\r\n\r\n",
			method, path, joined.ClusterID, from, member(victim).ID, class, addr)
	}
	plainGet := func(path, headers string) string {
		return "GET " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\n" + headers + "\r\n"
	}
	const stranger = "00000000000000aa"
	for _, test := range []struct {
		what, as, method, raw string
	}{
		{"a stream as a member", "alice", "GET", handshake("GET", "/raft/stream", "control", otherMember.ID, other.peer)},
		{"a stream as nobody", "alice", "GET", handshake("GET", "/raft/stream", "bulk", stranger, "127.0.0.9:7001")},
		{"a snapshot", "alice", "POST", handshake("POST", "/raft/snapshot", "snapshot", otherMember.ID, other.peer)},
		{"the presence", "alice", "GET", plainGet("/raft/member", fmt.Sprintf("X-Etcd-Protocol: 4\r\nX-Etcd-Commands: 1-2\r\nX-Etcd-Snapshots: 1-2\r\nX-Etcd-Cluster-Id: %x\r\nX-Etcd-Peer-Address: %s\r\n", joined.ClusterID, other.peer))},
		{"a place in the cluster", "alice", "POST", joining(0xaa, "alice", "https://127.0.0.9:7001", "http://127.0.0.9:4001")},
		{"the hash", "alice", "GET", plainGet("/hash", "")},
		{"the leader", "alice", "GET", plainGet("/leader", "")},
		{"the machines", "alice", "GET", plainGet("/machines", "")},
		{"a stream as another member", c.members[2].name, "GET", handshake("GET", "/raft/stream", "control", otherMember.ID, other.peer)},
		{"a place for a machine elsewhere", other.name, "POST", joining(0xaa, "elsewhere", "https://127.0.0.9:7001", "http://127.0.0.9:4001")},
	} {
		answer, err := askOver(t, victim.peer, a.config(test.as), test.method, test.raw)
		if err != nil || answer.status != http.StatusUnauthorized || !strings.Contains(answer.body, "the certificate CN="+test.as+" ") {
			t.Errorf("%s asks for %s and is answered %d %s %v", test.as, test.what, answer.status, answer.body, err)
		}
	}
	log := victim.proc.stderr()
	if n := strings.Count(log, "refused a machine for its certificate"); n != 1 || !strings.Contains(log, "CN=alice (no host in its subjectAltName)") {
		t.Errorf("the refusals are logged %d times, want once for the host they come from", n)
	}
	c.waitVoters()
	c.checkSameState()
}

// TestCertificateOfAnotherHost: a machine does not start with the certificate of another host,
// and says how to make the right one; if it starts all the same, its join is refused.
func TestCertificateOfAnotherHost(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	c := newClusterOf(a, 1)
	first := c.members[0]
	a.issue(first.name, "machine", "subjectAltName=IP:127.0.0.2", forBoth)
	c.form()

	late := newMachine(t, "late")
	late.onHost(9)
	a.issue("late", "machine", "subjectAltName=DNS:late.example.com", forBoth)
	late.args = append(a.machineFlags("late"), "-C", first.peer)
	code, _, stderr := run(t, nil, late.flags()...)
	for _, want := range []string{
		"etcd: -serverCert " + a.file("late.crt") + ": the other machines would refuse this one, which they reach at 127.0.0.9",
		"the certificate CN=machine (DNS:late.example.com) does not name 127.0.0.9",
		"openssl req -x509", `-addext "subjectAltName=IP:127.0.0.9"`,
	} {
		if code != 1 || !strings.Contains(stderr, want) {
			t.Errorf("exit code %d, want 1 and %q:\n%s", code, want, stderr)
		}
	}

	late.args = append(late.args, "-serverAllowedCN", "machine")
	code, _, stderr = run(t, nil, late.flags()...)
	if want := "etcd: the cluster refuses the certificate of this machine: " + first.peer + " answers 401: Unauthorized the certificate CN=machine (DNS:late.example.com) does not name 127.0.0.9; " +
		"put that into its subjectAltName, or start all machines with -serverAllowedCN or -serverAllowedHostname"; code != 1 || !strings.Contains(stderr, want) {
		t.Errorf("exit code %d, want 1 and %q:\n%s", code, want, stderr)
	}
	waitUntil(t, "the member says why", func() bool {
		return strings.Contains(first.proc.stderr(), "refused a machine for its certificate") && strings.Contains(first.proc.stderr(), "does not name 127.0.0.9")
	})
	if list, err := first.list(); err != nil || len(list) != 1 {
		t.Errorf("members: %v, %v", list, err)
	}

	late.args = append(a.machineFlags("late"), "-C", first.peer)
	a.issue("late", "machine", "subjectAltName=IP:127.0.0.9", forBoth)
	late.start()
	c.members = append(c.members, late)
	c.waitVoters()
}

// TestAllowedCertificates: with a flag, machines whose certificates do not name their hosts
// form a cluster, and a certificate without the name that it demands is refused.
func TestAllowedCertificates(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		flag, value, extension string
	}{
		"common name": {"-serverAllowedCN", "nobody, machine", ""},
		"hostname":    {"-serverAllowedHostname", "any.machines.example", "subjectAltName=DNS:*.machines.example"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAuthority(t)
			a.issue("machine", "machine", test.extension, forBoth)
			a.issue("alice", "alice", "extendedKeyUsage=clientAuth")
			c := &cluster{t: t, args: append(a.machineFlags("machine"), test.flag, test.value)}
			for i := range 2 {
				s := c.newMember()
				s.onHost(i + 2)
				c.members = append(c.members, s)
			}
			c.form()
			cfg := a.config("alice")
			cfg.InsecureSkipVerify = true // the certificates do not name their host
			answer, err := askOver(t, c.members[0].peer, cfg, "GET", "GET /hash HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
			if err != nil || answer.status != http.StatusUnauthorized || !strings.Contains(answer.body, test.flag) {
				t.Errorf("alice is answered %d %s %v", answer.status, answer.body, err)
			}
			cfg = a.config("machine")
			cfg.InsecureSkipVerify = true
			if answer, err := askOver(t, c.members[0].peer, cfg, "GET", "GET /hash HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"); err != nil || answer.status != 200 {
				t.Errorf("a machine is answered %d %s %v", answer.status, answer.body, err)
			}
		})
	}
}

// TestRevocation: a stolen certificate that is revoked while the machines run is refused at
// both ports from the next handshake on, and the other machines go on.
func TestRevocation(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	a.revoke()
	c := newClusterOf(a, 3, "-serverCRLFile", a.file("ca.crl"),
		"-clientCert", a.file("clients.crt"), "-clientKey", a.file("clients.key"), "-clientCAFile", a.file("ca.crt"), "-clientCRLFile", a.file("ca.crl"))
	a.issue("clients", "clients", "subjectAltName=IP:127.0.0.1", "extendedKeyUsage=serverAuth")
	a.issue("alice", "alice", "extendedKeyUsage=clientAuth")
	a.issue("bob", "bob", "extendedKeyUsage=clientAuth")
	alice, bob := a.config("alice"), a.config("bob")
	alice.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	for _, s := range c.members {
		overTLS.Store(s.client, func() *tls.Config { return bob })
	}
	c.form()
	const version = "GET /version HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
	for range 2 {
		for _, s := range c.members {
			if answer, err := askOver(t, s.client, alice, "GET", version); err != nil || answer.status != 200 {
				t.Fatalf("alice is answered %d %s %v", answer.status, answer.body, err)
			}
		}
	}
	gone := c.members[2]
	gone.kill()
	a.revoke("alice", gone.name)
	for _, s := range c.members[:2] {
		if answer, err := askOver(t, s.client, alice, "GET", version); err == nil {
			t.Errorf("%s answers alice, whose certificate is revoked: %d %s", s.name, answer.status, answer.body)
		}
		if answer, err := askOver(t, s.peer, a.config(gone.name), "GET", version); err == nil {
			t.Errorf("%s answers a machine whose certificate is revoked: %d %s", s.name, answer.status, answer.body)
		}
		waitUntil(t, s.name+" says so", func() bool {
			log := s.proc.stderr()
			return strings.Count(log, "refused a certificate that is revoked") == 2 &&
				strings.Contains(log, "the certificate CN=alice (no host in its subjectAltName) with the serial number") && strings.Contains(log, "the certificate CN="+gone.name)
		})
	}
	c.members[0].event(post("/v1/keys/a", "value", "1"))

	gone.launch()
	if code := gone.proc.waitExit(startLimit); code != 1 || !strings.Contains(gone.proc.stderr(), "the other machines would refuse this one: the certificate CN="+gone.name) {
		t.Errorf("a machine with a revoked certificate ends with exit code %d", code)
	}
	host, _, _ := net.SplitHostPort(gone.peer)
	a.issue(gone.name, gone.name, "subjectAltName=IP:"+host, forBoth)
	cfg := a.config(gone.name)
	overTLS.Store(gone.peer, func() *tls.Config { return cfg })
	gone.start()
	c.checkSameState()
}
