package credentials

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"etcd/credentials/certtest"
)

// newCRLSide is newSide with a CRL file.
func newCRLSide(t *testing.T, pair certtest.Pair, ca, crl []byte) (*side, Config) {
	t.Helper()
	s, cfg := newSide(t, pair.Cert, pair.Key, ca)
	cfg.CRL = filepath.Join(s.dir, "crl")
	s.write("crl", crl)
	return s, cfg
}

func loadCRL(t *testing.T, pair certtest.Pair, ca, crl []byte) *side {
	t.Helper()
	s, cfg := newCRLSide(t, pair, ca, crl)
	s.load(cfg)
	return s
}

func derOf(data []byte) []byte { block, _ := pem.Decode(data); return block.Bytes }

// A certificate that its CA has revoked, or whose CA was revoked by its own, fails the
// handshake, on either side.
func TestRevoked(t *testing.T) {
	ca, other := certtest.New("ca"), certtest.New("other")
	namesake := certtest.New("ca")
	machine, good, stolen, foreign := ca.Issue("machine"), ca.Issue("good"), ca.Issue("stolen"), other.Issue("foreign")
	between := ca.Intermediate("between")
	behind := between.Issue("behind")
	behind.Cert = append(behind.Cert, between.PEM...)
	revoke := func(ca *certtest.CA, pairs ...certtest.Pair) []byte { return ca.Revoke(pairs) }
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	old := func(l *x509.RevocationList) {
		l.ThisUpdate, l.NextUpdate = time.Now().AddDate(0, -2, 0), time.Now().AddDate(0, -1, 0)
	}
	for _, test := range []struct {
		name    string
		crl     []byte
		shown   certtest.Pair
		refused bool
	}{
		{"revoked", revoke(ca, stolen), stolen, true},
		{"another one is", revoke(ca, stolen), good, false},
		{"one of several", revoke(ca, foreign, stolen), stolen, true},
		{"nobody is", revoke(ca), good, false},
		{"in DER", derOf(revoke(ca, stolen)), stolen, true},
		{"the second list", join(revoke(other, foreign), revoke(ca, stolen)), stolen, true},
		{"the second list, in DER", join(derOf(revoke(other, foreign)), derOf(revoke(ca, stolen))), stolen, true},
		{"the first list", join(revoke(other, foreign), revoke(ca, stolen)), foreign, true},
		{"a number of another CA", revoke(other, stolen), stolen, false},
		{"by a CA that has only the name", revoke(namesake, stolen), stolen, false},
		{"by an intermediate CA, which the CA file does not have", revoke(between, behind), behind, true},
		{"the intermediate CA is revoked", join(revoke(ca, between.Own()), revoke(between)), behind, true},
		{"neither", join(revoke(ca, stolen), revoke(between, good)), behind, false},
		{"a list that has expired", ca.Revoke([]certtest.Pair{stolen}, old), stolen, true},
		{"not in a list that has expired", ca.Revoke([]certtest.Pair{stolen}, old), good, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := loadCRL(t, machine, join(ca.PEM, other.PEM), test.crl)
			for name, version := range map[string]uint16{"1.3": tls.VersionTLS13, "1.2": tls.VersionTLS12} {
				client := trusting(ca, test.shown)
				client.MaxVersion = version
				_, _, err := dial(t, s.Server(), client)
				if refused := err != nil && strings.Contains(err.Error(), "was revoked at"); refused != test.refused || (err != nil) != test.refused {
					t.Errorf("TLS %s: accepted with %v, want a refusal: %t", name, err, test.refused)
				}
			}
			dialled := load(t, test.shown, nil)
			client := s.Client("127.0.0.1")
			var reason error
			verify := client.VerifyConnection
			client.VerifyConnection = func(state tls.ConnectionState) error {
				reason = verify(state)
				return reason
			}
			_, _, err := dial(t, dialled.Server(), client)
			if refused := reason != nil && strings.Contains(reason.Error(), "was revoked at"); refused != test.refused || (err != nil) != test.refused {
				t.Errorf("dialled with %v (%v), want a refusal: %t", err, reason, test.refused)
			}
		})
	}
}

// An unusable CRL is an error of one line that names the flag and the file.
func TestCRLMistakes(t *testing.T) {
	ca, other := certtest.New("ca"), certtest.New("other")
	good := ca.Issue("good")
	own := ca.Own().TLS()
	template := *own.Leaf
	template.KeyUsage = x509.KeyUsageCertSign
	mayNot, err := x509.CreateCertificate(rand.Reader, &template, &template, own.Leaf.PublicKey, own.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	list := ca.Revoke(nil)
	forged := slices.Clone(derOf(list))
	forged[len(forged)-1] ^= 1
	critical := func(id ...int) pkix.Extension {
		return pkix.Extension{Id: asn1.ObjectIdentifier(id), Critical: true, Value: []byte{5, 0}}
	}
	delta := ca.Revoke(nil, func(l *x509.RevocationList) { l.ExtraExtensions = []pkix.Extension{critical(2, 5, 29, 27)} })
	indirect := ca.Revoke([]certtest.Pair{good}, func(l *x509.RevocationList) {
		l.RevokedCertificateEntries[0].ExtraExtensions = []pkix.Extension{critical(2, 5, 29, 29)}
	})
	const crl = "-clientCRLFile DIR/crl"
	for _, test := range []struct {
		name    string
		ca, crl []byte
		want    string
	}{
		{"empty", ca.PEM, []byte{}, crl + ": it is empty"},
		{"text", ca.PEM, []byte("hello"), crl + ": it holds no CRL, neither in PEM nor in DER"},
		{"certificate", ca.PEM, ca.PEM, crl + ": it holds a certificate and no CRL; were the files mixed up?"},
		{"cut off", ca.PEM, append(slices.Clone(list), list[:len(list)/2]...), crl + ": 2 CRLs begin in it, and only 1 can be read"},
		{"broken", ca.PEM, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: []byte("x")}), crl + ": CRL 1 in it cannot be used"},
		{"DER with something behind", ca.PEM, append(slices.Clone(derOf(list)), "hello"...), crl + ": CRL 2 in it cannot be read"},
		{"DER of a certificate", ca.PEM, derOf(ca.PEM), crl + ": CRL 1 in it cannot be used"},
		{"forged", ca.PEM, forged, crl + ": CRL 1 in it is not signed by the CA of its name, CN=ca, in -clientCAFile DIR/ca"},
		{"by a CA that may not", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: mayNot}), list, "CN=ca, in -clientCAFile DIR/ca: it may not sign CRLs: its keyUsage lacks cRLSign"},
		{"delta", ca.PEM, delta, "it has the critical extension 2.5.29.27, which is not understood here; a complete CRL of one CA is needed"},
		{"indirect", ca.PEM, indirect, "an entry of it has the critical extension 2.5.29.29"},
		{"too long", ca.PEM, bytes.Repeat([]byte("a"), maxCRLs+1), crl + ": it is longer than 16777216 bytes"},
		{"without a CA", nil, list, "-clientCRLFile without -clientCAFile"},
		{"of another CA", ca.PEM, other.Revoke(nil), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, cfg := newCRLSide(t, good, test.ca, test.crl)
			_, err := Load(cfg)
			switch want := strings.ReplaceAll(test.want, "DIR", s.dir); {
			case test.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), want)):
				t.Errorf("got  %v\nwant ... %s ...", err, want)
			case err != nil && strings.Contains(err.Error(), "\n"):
				t.Errorf("not one line: %v", err)
			}
		})
	}
}

// A certificate that is revoked while the machine runs is refused from the next handshake on,
// resumed sessions included.
func TestRevokedWhileRunning(t *testing.T) {
	for name, version := range map[string]uint16{"1.3": tls.VersionTLS13, "1.2": tls.VersionTLS12} {
		t.Run(name, func(t *testing.T) {
			ca := certtest.New("ca")
			stolen := ca.Issue("stolen")
			s := loadCRL(t, ca.Issue("machine"), ca.PEM, ca.Revoke(nil))
			cfg := trusting(ca, stolen)
			cfg.MaxVersion = version
			cfg.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			for _, resumed := range []bool{false, true} {
				if seen, _, err := dial(t, s.Server(), cfg); err != nil || seen.DidResume != resumed {
					t.Fatalf("resumed %t, want %t (%v)", seen.DidResume, resumed, err)
				}
			}
			refused := func(when string) {
				t.Helper()
				if seen, _, err := dial(t, s.Server(), cfg); err == nil || !strings.Contains(err.Error(), "was revoked at") {
					t.Errorf("%s: served, resumed %t (%v)", when, seen.DidResume, err)
				}
			}
			s.write("crl", ca.Revoke([]certtest.Pair{stolen}))
			refused("revoked")
			s.wantLog("level=INFO", "in use for new connections", "crls=1")
			s.write("crl", []byte("hello"))
			for range 3 {
				refused("with a file that is none")
			}
			s.wantLog("level=ERROR", "stay in use", filepath.Join(s.dir, "crl"), "it holds no CRL")
			s.write("crl", ca.Revoke(nil))
			if _, _, err := dial(t, s.Server(), cfg); err != nil {
				t.Errorf("not revoked any more: %v", err)
			}
		})
	}
}

// A machine whose own certificate is revoked does not start; one that runs logs it.
func TestOwnCertificateRevoked(t *testing.T) {
	ca := certtest.New("ca")
	machine := ca.Issue("machine")
	s, cfg := newCRLSide(t, machine, ca.PEM, ca.Revoke([]certtest.Pair{machine}))
	cfg.Peer, cfg.Host = true, "127.0.0.1"
	if _, err := Load(cfg); err == nil || !strings.Contains(err.Error(), "-clientCert "+filepath.Join(s.dir, "cert")+": the other machines would refuse this one") || !strings.Contains(err.Error(), "was revoked at") {
		t.Errorf("it starts: %v", err)
	}
	s.write("crl", ca.Revoke(nil))
	s.load(cfg)
	s.write("crl", ca.Revoke([]certtest.Pair{machine}))
	s.Check()
	if log := s.logged(); !strings.Contains(log, "in use for new connections") || !strings.Contains(log, "level=ERROR msg=\"the certificate of this machine is revoked") {
		t.Errorf("logged:\n%s", log)
	}
}

// A CRL that expires, a CA without a CRL, and a CRL of an unknown CA are logged, daily.
func TestRemindersOfCRLs(t *testing.T) {
	ca, other := certtest.New("ca"), certtest.New("other")
	machine := ca.Issue("machine")
	s := loadCRL(t, machine, ca.PEM, ca.Revoke(nil))
	s.wantNoLog()
	pass := func(d time.Duration) { s.clock = s.clock.Add(d); s.Check() }
	pass(19 * 24 * time.Hour)
	s.wantNoLog()
	pass(2 * 24 * time.Hour)
	s.wantLog("level=WARN", "a CRL expires soon", "-clientCRLFile "+filepath.Join(s.dir, "crl"), "issuer=\"CN=ca\"")
	pass(11 * 24 * time.Hour)
	s.wantLog("level=ERROR", "a CRL has expired: it stays in use")
	pass(time.Hour)
	s.wantNoLog()

	loadCRL(t, machine, append(slices.Clone(ca.PEM), other.PEM...), ca.Revoke(nil)).
		wantLog("level=WARN", "there is no CRL of a CA: what it has signed cannot be revoked", "ca=\"CN=other\"")
	s = loadCRL(t, machine, ca.PEM, append(ca.Revoke(nil), other.Revoke(nil)...))
	s.wantLog("level=WARN", "a CRL is of a CA that is not in the CA file", "issuer=\"CN=other\"")
}
