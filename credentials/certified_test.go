package credentials

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
	"testing"

	"etcd/credentials/certtest"
)

// A certificate belongs to the hosts of its subjectAltName, or is matched by the flags instead;
// and its description is safe to print on a terminal.
func TestCertified(t *testing.T) {
	ca := certtest.New("ca")
	names := func(cn string, dns []string, ips ...string) *x509.Certificate {
		return ca.Issue(cn, func(c *x509.Certificate) {
			c.DNSNames, c.IPAddresses = dns, nil
			for _, ip := range ips {
				c.IPAddresses = append(c.IPAddresses, net.ParseIP(ip))
			}
		}).TLS().Leaf
	}
	alice := names("alice", nil)
	n1 := names("n1", []string{"n1.example.com"}, "10.0.0.1", "fd00::1")
	wildcard := names("n2", []string{"*.example.com"})
	foul := names("\x1b[2Jclear", []string{"\x1b[2J.example.com", strings.Repeat("a", 200)})
	many := names("many", strings.Fields(strings.Repeat("n.example.com ", 20)))
	unspecific := names("", []string{"n1.example.com"})
	cn := func(names ...string) Config { return Config{AllowedCN: names} }
	hostname := func(names ...string) Config { return Config{AllowedHostname: names} }
	for _, test := range []struct {
		name string
		cfg  Config
		leaf *x509.Certificate
		host string
		want string // of the error; empty: it is accepted
	}{
		{"a client", Config{}, alice, "10.0.0.1", "the certificate CN=alice (no host in its subjectAltName) does not name 10.0.0.1; put that into its subjectAltName, or start all machines with -serverAllowedCN or -serverAllowedHostname"},
		{"the common name is no host", Config{}, alice, "alice", "does not name alice"},
		{"by address", Config{}, n1, "10.0.0.1", ""},
		{"by name", Config{}, n1, "n1.example.com", ""},
		{"by name, in capitals", Config{}, n1, "N1.EXAMPLE.COM", ""},
		{"by IPv6 address", Config{}, n1, "fd00:0::1", ""},
		{"another address", Config{}, n1, "10.0.0.2", "the certificate CN=n1 (DNS:n1.example.com, IP:10.0.0.1, IP:fd00::1) does not name 10.0.0.2"},
		{"another name", Config{}, n1, "n2.example.com", "does not name n2.example.com"},
		{"wildcard", Config{}, wildcard, "n9.example.com", ""},
		{"wildcard of one label", Config{}, wildcard, "n9.a.example.com", "does not name"},
		{"wildcard and the domain itself", Config{}, wildcard, "example.com", "does not name"},
		{"name in the place of an address", Config{}, names("", []string{"10.0.0.1"}), "10.0.0.1", "does not name"},
		{"no host", Config{}, n1, "", "no address is given"},
		{"the host of a stranger", Config{}, n1, "\x1b[2J\n", `does not name "\x1b[2J\n"`},
		{"foul names", Config{}, foul, "10.0.0.1", `the certificate "CN=\x1b[2Jclear" (DNS:"\x1b[2J.example.com", DNS:` + strings.Repeat("a", 80) + `...) does not`},
		{"many names", Config{}, many, "10.0.0.1", "DNS:n.example.com, and 12 more)"},

		{"allowed CN", cn("n1"), n1, "10.9.9.9", ""},
		{"one of the allowed CNs", cn("n0", "n1"), n1, "", ""},
		{"another CN", cn("n1"), alice, "10.0.0.1", "the certificate CN=alice (no host in its subjectAltName) has a common name that -serverAllowedCN does not allow"},
		{"with a CN, the host counts no more", cn("n2"), n1, "10.0.0.1", "-serverAllowedCN does not allow"},
		{"no CN", cn("n1"), unspecific, "n1.example.com", "-serverAllowedCN does not allow"},
		{"allowed hostname", hostname("n1.example.com"), n1, "10.9.9.9", ""},
		{"allowed hostname, wildcard in the certificate", hostname("etcd.example.com"), wildcard, "10.9.9.9", ""},
		{"one of the allowed hostnames, an address", hostname("n0", "10.0.0.1"), n1, "", ""},
		{"another hostname", hostname("n2.example.com"), n1, "10.0.0.1", "has no name that -serverAllowedHostname allows"},
		{"a client and an allowed hostname", hostname("alice"), alice, "", "has no name that -serverAllowedHostname allows"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.cfg.Flags = "-server"
			c := &Credentials{cfg: test.cfg}
			err := c.Certified(tls.ConnectionState{PeerCertificates: []*x509.Certificate{test.leaf, n1}}, test.host)
			switch {
			case test.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got  %v\nwant ... %s ...", err, test.want)
			case err != nil && strings.ContainsAny(err.Error(), "\x1b\n"):
				t.Errorf("it is not for a terminal: %q", err)
			}
		})
	}
	if err := (&Credentials{}).Certified(tls.ConnectionState{}, "10.0.0.1"); err == nil {
		t.Error("nobody's certificate is taken")
	}
}
