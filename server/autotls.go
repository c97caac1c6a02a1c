package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"path/filepath"
	"slices"
	"time"

	"etcd/credentials"
	"etcd/endpoint"
	"etcd/wal/vfs"
)

const (
	year               = 365 * 24 * time.Hour
	maxSelfSignedYears = 100
	autoTLSSpare       = 60 * 24 * time.Hour // with less validity left, a start makes a new one
)

// selfSigned is a certificate that a machine makes for one side, in its data directory.
type selfSigned struct {
	flag      string // that asks for it
	files     string // what the flags begin with that name files instead
	peer      bool
	cert, key string // in the data directory
	name      string // whom the certificate names
	says      string // what it is for, in the log
	usages    []x509.ExtKeyUsage
}

var (
	clientPair = selfSigned{
		flag: "-auto-tls", files: "-client", cert: "auto-tls.crt", key: "auto-tls.key", name: "etcd -auto-tls",
		says:   "making a self-signed certificate for the client port; clients verify it with this file as their CA",
		usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	peerPair = selfSigned{
		flag: "--peer-auto-tls", files: "-server", peer: true, cert: "peer-auto-tls.crt", key: "peer-auto-tls.key", name: "etcd --peer-auto-tls",
		says:   "making a self-signed certificate for the peer port, which other machines do not verify",
		usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, // machines also dial each other with it
	}
)

// selfSignedLife returns how long certificates are valid that are made.
func (c *Config) selfSignedLife() time.Duration {
	return time.Duration(max(1, c.SelfSignedYears)) * year
}

// namesOf returns the hosts that a certificate has to name: the one that is advertised, and those of
// the sites.
func namesOf(advertised string, at []site) []string {
	names := []string{advertised}
	for _, s := range at {
		if host := s.host(); !endpoint.Unspecified(host) && !slices.Contains(names, host) {
			names = append(names, host)
		}
	}
	return names
}

// ensure returns the files of the certificate and its key, and makes them if there are none that are
// usable. The directory is locked.
func (s selfSigned) ensure(p *dataDir, hosts []string, life time.Duration, log *slog.Logger) (credentials.Files, error) {
	files := credentials.Files{Flags: s.files, Cert: filepath.Join(p.path, s.cert), Key: filepath.Join(p.path, s.key)}
	fault, err := s.fault(p.fsys, hosts, time.Now())
	if err != nil || fault == "" {
		return files, err
	}
	log.Info(s.says, "file", files.Cert, "because", fault)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return files, err
	}
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetUint64(randomID()),
		Subject:      pkix.Name{CommonName: s.name},
		NotBefore:    time.Now().Add(-time.Hour), // clocks differ
		NotAfter:     time.Now().Add(life),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  s.usages,
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return files, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return files, err
	}
	if err := replaceFile(p.fsys, s.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})); err != nil {
		return files, err
	}
	// After a crash before this the two do not match, and are made anew.
	return files, replaceFile(p.fsys, s.cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))
}

// fault tells why the certificate and the key in the directory cannot be used; "" if they
// can. It fails if they are somebody else's, who would lose them.
//
// That this machine has made the pair shows in the key: it belongs to the user of this
// process, and nobody else could ever read it or write to it.
func (s selfSigned) fault(fsys vfs.FS, hosts []string, now time.Time) (string, error) {
	certPEM, _, err := readFile(fsys, s.cert)
	if err != nil {
		return "", err
	}
	keyPEM, private, err := readFile(fsys, s.key)
	if err != nil {
		return "", err
	}
	if certPEM == nil || keyPEM == nil {
		return "there is none", nil
	}
	var cert *x509.Certificate
	if block, _ := pem.Decode(certPEM); block != nil {
		cert, _ = x509.ParseCertificate(block.Bytes) // nil if it is damaged
	}
	if cert != nil && cert.Subject.CommonName != s.name {
		return "", fmt.Errorf("%s in the data directory holds a certificate that this program has not made, of %q. Nothing was changed. "+
			"To serve with it, take it elsewhere and give it with %sCert and %[3]sKey; otherwise move it away, and %[4]s with it",
			s.cert, cert.Subject.String(), s.files, s.key)
	}
	_, err = tls.X509KeyPair(certPEM, keyPEM)
	switch {
	case cert == nil || err != nil:
		return "the existing pair is damaged or does not match", nil
	case !private:
		return "other users could read or write the existing key", nil
	case now.Before(cert.NotBefore):
		return "the existing one is not valid yet", nil
	case cert.NotAfter.Sub(now) <= autoTLSSpare:
		return "the existing one has expired or expires soon", nil
	case slices.ContainsFunc(hosts, func(host string) bool { return cert.VerifyHostname(host) != nil }):
		return "the existing one is for other hosts", nil
	}
	return "", nil
}
