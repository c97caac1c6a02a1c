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
	"time"

	"etcd/credentials"
	"etcd/wal/vfs"
)

const (
	autoTLSCert  = "auto-tls.crt" // in the data directory
	autoTLSKey   = "auto-tls.key"
	autoTLSName  = "etcd -auto-tls" // whom the certificate names
	autoTLSLife  = 365 * 24 * time.Hour
	autoTLSSpare = 60 * 24 * time.Hour // with less validity left, a start makes a new one
)

// autoTLS returns the files of a self-signed certificate for the client port, and makes them
// if there are none that are usable. The directory is locked.
func autoTLS(p *dataDir, host string, log *slog.Logger) (credentials.Files, error) {
	files := credentials.Files{Flags: "-client", Cert: filepath.Join(p.path, autoTLSCert), Key: filepath.Join(p.path, autoTLSKey)}
	fault, err := pairFault(p.fsys, host, time.Now())
	if err != nil || fault == "" {
		return files, err
	}
	log.Info("making a self-signed certificate for the client port; clients verify it with this file as their CA", "file", files.Cert, "because", fault)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return files, err
	}
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetUint64(randomID()),
		Subject:      pkix.Name{CommonName: autoTLSName},
		NotBefore:    time.Now().Add(-time.Hour), // clocks differ
		NotAfter:     time.Now().Add(autoTLSLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = append(template.IPAddresses, ip)
	} else {
		template.DNSNames = append(template.DNSNames, host)
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return files, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return files, err
	}
	if err := replaceFile(p.fsys, autoTLSKey, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})); err != nil {
		return files, err
	}
	// After a crash before this the two do not match, and are made anew.
	return files, replaceFile(p.fsys, autoTLSCert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))
}

// pairFault tells why the certificate and the key in the directory cannot be used; "" if they
// can. It fails if they are somebody else's, who would lose them.
//
// That this machine has made the pair shows in the key: it belongs to the user of this
// process, and nobody else could ever read it or write to it.
func pairFault(fsys vfs.FS, host string, now time.Time) (string, error) {
	certPEM, _, err := readFile(fsys, autoTLSCert)
	if err != nil {
		return "", err
	}
	keyPEM, private, err := readFile(fsys, autoTLSKey)
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
	if cert != nil && cert.Subject.CommonName != autoTLSName {
		return "", fmt.Errorf("%s in the data directory holds a certificate that this program has not made, of %q. Nothing was changed. "+
			"To serve with it, take it elsewhere and give it with -clientCert and -clientKey; otherwise move it away, and %s with it",
			autoTLSCert, cert.Subject.String(), autoTLSKey)
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
	case cert.VerifyHostname(host) != nil:
		return "the existing one is for other hosts", nil
	}
	return "", nil
}
