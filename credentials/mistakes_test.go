package credentials

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"etcd/credentials/certtest"
)

// Every mistake in the files is an error of one line that names the flag and the file, and says
// what is wrong.
func TestMistakes(t *testing.T) {
	ca, other := certtest.New("ca"), certtest.New("other")
	good, unlike := ca.Issue("good"), ca.Issue("unlike")
	now := time.Now()
	day := 24 * time.Hour
	der := func(data []byte) []byte { block, _ := pem.Decode(data); return block.Bytes }
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	block := func(kind string, headers map[string]string) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Headers: headers, Bytes: []byte("x")})
	}
	expired := ca.Issue("expired", valid(now.Add(-2*day), now.Add(-day)))
	early := ca.Issue("early", valid(now.Add(day), now.Add(2*day)))
	clientOnly := ca.Issue("client", only(x509.ExtKeyUsageClientAuth))
	serverOnly := ca.Issue("server", only(x509.ExtKeyUsageServerAuth))
	elsewhere := ca.Issue("elsewhere", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(10, 1, 2, 3)} })
	old := ca.Issue("old CA", func(c *x509.Certificate) { valid(now.Add(-2*day), now.Add(-day))(c); c.IsCA = true })
	between := ca.Intermediate("between", only(x509.ExtKeyUsageServerAuth))
	behind := between.Issue("behind")

	const cert, key, bundle = "-clientCert DIR/cert", "-clientKey DIR/key", "-clientCAFile DIR/ca"
	for _, test := range []struct {
		name          string
		cert, key, ca []byte
		peer          bool
		want          string // DIR stands for the directory
	}{
		{"key alone", nil, good.Key, nil, false, "-clientKey without -clientCert"},
		{"certificate alone", good.Cert, nil, nil, false, "-clientCert without -clientKey"},
		{"CA alone", nil, nil, ca.PEM, false, "-clientCAFile without -clientCert and -clientKey"},
		{"CA and key", nil, good.Key, ca.PEM, false, "-clientKey without -clientCert"},
		{"empty certificate", []byte{}, good.Key, nil, false, cert + ": it is empty"},
		{"empty key", good.Cert, []byte{}, nil, false, key + ": it is empty"},
		{"empty CA", good.Cert, good.Key, []byte{}, false, bundle + ": it is empty"},
		{"text for certificate", []byte("hello"), good.Key, nil, false, cert + ": it holds no certificate in PEM"},
		{"text for key", good.Cert, []byte("hello"), nil, false, key + ": it holds no private key in PEM"},
		{"text for CA", good.Cert, good.Key, []byte("hello"), false, bundle + ": it holds no certificate in PEM"},
		{"certificate in DER", der(good.Cert), good.Key, nil, false, "looks like DER; convert it (openssl x509 -inform der"},
		{"key in DER", good.Cert, der(good.Key), nil, false, "looks like DER; convert it (openssl pkey -inform der"},
		{"broken certificate", block("CERTIFICATE", nil), good.Key, nil, false, cert + ": certificate 1 in it cannot be read"},
		{"broken key", good.Cert, block("PRIVATE KEY", nil), nil, false, key + ": the key cannot be read"},
		{"broken CA", good.Cert, good.Key, join(ca.PEM, block("CERTIFICATE", nil)), false, bundle + ": certificate 2 in it cannot be read"},
		{"exchanged", good.Key, good.Cert, nil, false, cert + ": it holds a private key and no certificate; were the files mixed up?"},
		{"certificate for key", good.Cert, good.Cert, nil, false, key + ": it holds a certificate and no private key; were the files mixed up?"},
		{"CAs without a line end between", good.Cert, good.Key, join(bytes.TrimSpace(ca.PEM), other.PEM), false, bundle + ": 2 certificates begin in it, and only 0 can be read"},
		{"CA cut off", good.Cert, good.Key, join(ca.PEM, other.PEM[:len(other.PEM)/2]), false, bundle + ": 2 certificates begin in it, and only 1 can be read"},
		{"encrypted key", good.Cert, block("ENCRYPTED PRIVATE KEY", nil), nil, false, key + ": the key is encrypted"},
		{"encrypted key of old", good.Cert, block("RSA PRIVATE KEY", map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "x"}), nil, false, "decrypt it (openssl pkey -in DIR/key -out NEW)"},
		{"mismatch", good.Cert, unlike.Key, nil, false, key + " does not belong to the certificate in " + cert},
		{"wrong order", join(ca.PEM, good.Cert), good.Key, nil, false, cert + ": the certificate of this machine is not the first in it"},
		{"too long", bytes.Repeat([]byte("a"), maxFile+1), good.Key, nil, false, cert + ": it is longer than 1048576 bytes"},
		{"expired", expired.Cert, expired.Key, nil, false, cert + ": the certificate expired at "},
		{"not yet valid", early.Cert, early.Key, nil, false, "is the clock right?"},
		{"expired CA", good.Cert, good.Key, old.Cert, false, bundle + ": the certificate expired at "},
		{"for clients only", clientOnly.Cert, clientOnly.Key, nil, false, cert + ": the certificate is not for servers"},
		{"peer: for servers only", serverOnly.Cert, serverOnly.Key, ca.PEM, true, "must have serverAuth and clientAuth"},
		{"peer: for another address", elsewhere.Cert, elsewhere.Key, ca.PEM, true, cert + ": the other machines would refuse this one, which they reach at 127.0.0.1: the certificate CN=elsewhere (DNS:localhost, IP:10.1.2.3) does not name 127.0.0.1"},
		{"peer: what would be right", elsewhere.Cert, elsewhere.Key, ca.PEM, true, `-addext "subjectAltName=IP:127.0.0.1" -addext "extendedKeyUsage=serverAuth,clientAuth"`},
		{"peer: of another CA", good.Cert, good.Key, other.PEM, true, cert + ": the certificate is not signed by a CA of " + bundle},
		{"peer: intermediate one left out", behind.Cert, behind.Key, ca.PEM, true, cert + ": the certificate is not signed by a CA of " + bundle},
		{"peer: intermediate one for servers only", join(behind.Cert, between.PEM), behind.Key, ca.PEM, true, "incompatible key usage"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, cfg := newSide(t, test.cert, test.key, test.ca)
			cfg.Peer, cfg.Host = test.peer, "127.0.0.1"
			_, err := Load(cfg)
			if want := strings.ReplaceAll(test.want, "DIR", s.dir); err == nil || !strings.Contains(err.Error(), want) {
				t.Fatalf("got  %v\nwant ... %s ...", err, want)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("not one line: %v", err)
			}
		})
	}
}

// So is a path that is not a regular file, or does not exist.
func TestUnreadable(t *testing.T) {
	good := certtest.New("ca").Issue("good")
	for name, spoil := range map[string]func(path string) error{
		"missing":   os.Remove,
		"directory": func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
	} {
		t.Run(name, func(t *testing.T) {
			s, cfg := newSide(t, good.Cert, good.Key, nil)
			path := filepath.Join(s.dir, "key")
			if err := spoil(path); err != nil {
				t.Fatal(err)
			}
			_, err := Load(cfg)
			if err == nil || !strings.Contains(err.Error(), "-clientKey") || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Unusual files that work are accepted.
func TestNoMistakes(t *testing.T) {
	ca := certtest.New("ca")
	good := ca.Issue("good")
	now := time.Now()
	old := ca.Issue("old CA", func(c *x509.Certificate) {
		valid(now.AddDate(-1, 0, 0), now.Add(-time.Hour))(c)
		c.IsCA = true
	})
	anyUse, noUse := ca.Issue("any", only(x509.ExtKeyUsageAny)), ca.Issue("none", only())
	serverOnly := ca.Issue("server", only(x509.ExtKeyUsageServerAuth))
	for _, test := range []struct {
		name string
		pair certtest.Pair
		ca   []byte
		peer bool
	}{
		{"peer", good, ca.PEM, true},
		{"one CA of two expired", good, append(old.Cert, ca.PEM...), true},
		{"any use", anyUse, ca.PEM, true},
		{"no use named", noUse, ca.PEM, true},
		{"nobody verifies", serverOnly, nil, true},
		{"text around", certtest.Pair{Cert: append([]byte("subject=good\n"), good.Cert...), Key: good.Key}, nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, cfg := newSide(t, test.pair.Cert, test.pair.Key, test.ca)
			cfg.Peer, cfg.Host = test.peer, "127.0.0.1"
			s.load(cfg)
		})
	}
}
