package certtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"time"
)

// CA signs certificates.
type CA struct {
	// PEM is the certificate of the CA itself.
	PEM  []byte
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Pair is a certificate and its key, both in PEM.
type Pair struct {
	Cert, Key []byte
}

// New makes a CA.
func New(name string) *CA {
	key := newKey()
	return newCA(name, nil, key, key)
}

// Intermediate makes a CA that this one has signed. Each edit may change what is
// signed.
func (ca *CA) Intermediate(name string, edit ...func(*x509.Certificate)) *CA {
	return newCA(name, ca.cert, newKey(), ca.key, edit...)
}

func newCA(name string, parent *x509.Certificate, key, signer *ecdsa.PrivateKey, edit ...func(*x509.Certificate)) *CA {
	signs := func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid = true, true
		c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
		c.ExtKeyUsage = nil
	}
	der := sign(template(name, append([]func(*x509.Certificate){signs}, edit...)...), parent, key, signer)
	return &CA{PEM: encode("CERTIFICATE", der), cert: must(x509.ParseCertificate(der)), key: key}
}

// Pool holds the CA alone.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	return pool
}

// Own is the certificate of the CA itself.
func (ca *CA) Own() Pair {
	return Pair{ca.PEM, encode("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(ca.key)))}
}

// Issue makes a certificate. Each edit may change what is signed.
func (ca *CA) Issue(name string, edit ...func(*x509.Certificate)) Pair {
	key := newKey()
	der := sign(template(name, edit...), ca.cert, key, ca.key)
	return Pair{encode("CERTIFICATE", der), encode("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(key)))}
}

// Revoke makes a CRL, in PEM, that lists some certificates. Each edit may change what is
// signed; the template expires in a month.
func (ca *CA) Revoke(pairs []Pair, edit ...func(*x509.RevocationList)) []byte {
	now := time.Now()
	list := &x509.RevocationList{Number: serial(), ThisUpdate: now.Add(-time.Hour), NextUpdate: now.AddDate(0, 1, 0)}
	for _, p := range pairs {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber: p.TLS().Leaf.SerialNumber, RevocationTime: now.Add(-time.Minute),
		})
	}
	for _, e := range edit {
		e(list)
	}
	return encode("X509 CRL", must(x509.CreateRevocationList(rand.Reader, list, ca.cert, ca.key)))
}

// TLS is the pair as crypto/tls wants it.
func (p Pair) TLS() tls.Certificate { return must(tls.X509KeyPair(p.Cert, p.Key)) }

func template(name string, edit ...func(*x509.Certificate)) *x509.Certificate {
	now := time.Now()
	c := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.AddDate(1, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	for _, e := range edit {
		e(c)
	}
	return c
}

func serial() *big.Int { return must(rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))) }

func newKey() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

// sign returns the certificate in DER, signed by itself if there is no parent.
func sign(c, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) []byte {
	if parent == nil {
		parent = c
	}
	return must(x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer))
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// must returns what can fail only by a mistake in this package or in an edit.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
