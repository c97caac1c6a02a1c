package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"etcd/credentials"
	"etcd/wal/vfs"
)

const (
	autoTLSFile  = "auto-tls" // and .crt or .key, in the data directory
	autoTLSLife  = 365 * 24 * time.Hour
	autoTLSSpare = 60 * 24 * time.Hour // with less left, a start makes a new one
)

// autoTLS returns files with a certificate for the client port that this machine has
// signed itself, and makes them if there are none that will do.
func autoTLS(dir, host string, log *slog.Logger) (credentials.Files, error) {
	base := filepath.Join(dir, autoTLSFile)
	files := credentials.Files{Flags: "-client", Cert: base + ".crt", Key: base + ".key"}
	old, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err == nil && time.Until(old.Leaf.NotAfter) > autoTLSSpare && old.Leaf.VerifyHostname(host) == nil {
		return files, nil
	}
	log.Info("making a certificate for the client port, which clients accept with its file as their CA", "file", files.Cert)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return files, err
	}
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetUint64(random()),
		Subject:      pkix.Name{CommonName: "etcd -auto-tls"},
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
	if _, err := vfs.Dir(dir); err != nil { // makes the directory, and that durable
		return files, err
	}
	return files, errors.Join(
		os.WriteFile(files.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600),
		os.WriteFile(files.Cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600),
	)
}
