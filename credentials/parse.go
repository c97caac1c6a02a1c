package credentials

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// pemCertificate is the type of a block that holds a certificate.
const pemCertificate = "CERTIFICATE"

// parsed is the decoded content of the files.
type parsed struct {
	cert  tls.Certificate
	chain []*x509.Certificate // what cert consists of, that of this machine first
	cas   []*x509.Certificate // nil: the other side is not verified
	crls  []*revocations

	revoked error // the certificate of this machine is, as other machines see it
}

// parse decodes the files and refuses those that cannot work now.
func (cfg Config) parse(c content) (*parsed, error) {
	chain, err := cfg.cert().certificates(c.cert)
	if err != nil {
		return nil, err
	}
	key, err := cfg.key().privateKey(c.key)
	if err != nil {
		return nil, err
	}
	if err := cfg.checkPair(chain, key); err != nil {
		return nil, err
	}
	now := cfg.Now()
	if err := checkValidity(cfg.cert(), chain[0], now); err != nil {
		return nil, err
	}
	p := &parsed{chain: chain, cert: tls.Certificate{PrivateKey: key, Leaf: chain[0]}}
	for _, cert := range chain {
		p.cert.Certificate = append(p.cert.Certificate, cert.Raw)
	}
	if cfg.CA != "" {
		if p.cas, err = cfg.ca().certificates(c.ca); err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(p.cas, func(ca *x509.Certificate) bool { return checkValidity(cfg.ca(), ca, now) == nil }) {
			return nil, checkValidity(cfg.ca(), p.cas[0], now)
		}
	}
	if cfg.CRL != "" {
		if p.crls, err = cfg.parseCRLs(c.crl, p.cas); err != nil {
			return nil, err
		}
	}
	return p, cfg.checkUsable(p, now)
}

// certificates returns those that a file holds, one at least.
func (f file) certificates(data []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	other := ""
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != pemCertificate {
			other = block.Type
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: certificate %d in it cannot be read: %w", f, len(certs)+1, err)
		}
		certs = append(certs, cert)
	}
	// pem.Decode skips what it cannot decode: a CA would be missing.
	switch begun := bytes.Count(data, []byte("-----BEGIN "+pemCertificate+"-----")); {
	case len(certs) < begun:
		return nil, fmt.Errorf("%s: %d certificates begin in it, and only %d can be read; it is cut off, or a BEGIN or END is not a line of its own", f, begun, len(certs))
	case len(certs) > 0:
		return certs, nil
	case strings.HasSuffix(other, "PRIVATE KEY"):
		return nil, fmt.Errorf("%s: it holds a private key and no certificate; were the files mixed up?", f)
	}
	return nil, f.notPEM(data, "certificate", "x509")
}

// notPEM says that data has nothing of the kind that is wanted.
func (f file) notPEM(data []byte, kind, command string) error {
	if !bytes.Contains(data, []byte("-----BEGIN ")) && data[0] == 0x30 { // how DER begins
		return fmt.Errorf("%s: it is not PEM but looks like DER; convert it (openssl %s -inform der -in %s -out NEW)", f, command, f.path)
	}
	return fmt.Errorf("%s: it holds no %s in PEM", f, kind)
}

// privateKey returns the key that a file holds.
func (f file) privateKey(data []byte) (crypto.Signer, error) {
	other := ""
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		switch {
		case block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
			return nil, fmt.Errorf("%s: the key is encrypted, and nobody could be asked for the passphrase; decrypt it (openssl pkey -in %s -out NEW)", f, f.path)
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			return f.parseKey(block.Bytes)
		}
		other = block.Type
	}
	if other == pemCertificate {
		return nil, fmt.Errorf("%s: it holds a certificate and no private key; were the files mixed up?", f)
	}
	return nil, f.notPEM(data, "private key", "pkey")
}

func (f file) parseKey(der []byte) (crypto.Signer, error) {
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("%s: the key cannot be read: %w", f, err)
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		return key, nil
	case *ecdsa.PrivateKey:
		return key, nil
	case ed25519.PrivateKey:
		return key, nil
	}
	return nil, fmt.Errorf("%s: a key of this kind (%T) cannot sign; want ECDSA, RSA or Ed25519", f, key)
}

// checkPair checks that the key is that of the first certificate.
func (cfg Config) checkPair(chain []*x509.Certificate, key crypto.Signer) error {
	public := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	switch i := slices.IndexFunc(chain, func(c *x509.Certificate) bool { return public.Equal(c.PublicKey) }); {
	case i < 0:
		return fmt.Errorf("%s does not belong to the certificate in %s", cfg.key(), cfg.cert())
	case i > 0:
		return fmt.Errorf("%s: the certificate of this machine is not the first in it; put those of its signers behind it", cfg.cert())
	}
	return nil
}

// checkValidity checks that a certificate is valid now.
func checkValidity(f file, cert *x509.Certificate, now time.Time) error {
	switch {
	case now.After(cert.NotAfter):
		return fmt.Errorf("%s: the certificate expired at %s; put a new one in its place", f, cert.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(cert.NotBefore):
		return fmt.Errorf("%s: the certificate is not valid before %s, and here it is %s; is the clock right?", f,
			cert.NotBefore.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return nil
}

// checkUsable checks that others will accept the certificate, as far as that can be known.
func (cfg Config) checkUsable(p *parsed, now time.Time) error {
	chain, leaf := p.chain, p.chain[0]
	if !allows(leaf, x509.ExtKeyUsageServerAuth) {
		return fmt.Errorf("%s: the certificate is not for servers; its extendedKeyUsage must have serverAuth", cfg.cert())
	}
	if !cfg.Peer || p.cas == nil {
		return nil
	}
	// Machines dial each other with the certificate they are dialled with.
	if !allows(leaf, x509.ExtKeyUsageClientAuth) {
		return fmt.Errorf("%s: the certificate is not for clients; machines also dial each other with it, so its extendedKeyUsage must have serverAuth and clientAuth", cfg.cert())
	}
	if err := cfg.checkOwn(leaf); err != nil {
		return err
	}
	options := x509.VerifyOptions{Roots: pool(p.cas), Intermediates: pool(chain[1:]), CurrentTime: now}
	// One at a time: of several usages, one would be enough.
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		options.KeyUsages = []x509.ExtKeyUsage{usage}
		chains, err := leaf.Verify(options)
		if err != nil {
			if errors.As(err, new(x509.UnknownAuthorityError)) {
				return fmt.Errorf("%s: the certificate is not signed by a CA of %s, so the other machines would refuse it", cfg.cert(), cfg.ca())
			}
			return fmt.Errorf("%s: the other machines would refuse the certificate: %w", cfg.cert(), err)
		}
		p.revoked = p.checkRevocation(chains)
	}
	return nil
}

// allows reports whether a certificate allows a usage. One that names none allows any.
func allows(cert *x509.Certificate, usage x509.ExtKeyUsage) bool {
	return len(cert.ExtKeyUsage)+len(cert.UnknownExtKeyUsage) == 0 ||
		slices.Contains(cert.ExtKeyUsage, usage) || slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageAny)
}

func pool(certs []*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, cert := range certs {
		p.AddCert(cert)
	}
	return p
}
