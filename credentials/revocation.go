package credentials

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// pemRevocationList is the type of a block that holds a CRL.
const pemRevocationList = "X509 CRL"

// issuingDistributionPoint is the one critical extension of a CRL that changes nothing of
// what it means that a certificate is listed.
var issuingDistributionPoint = asn1.ObjectIdentifier{2, 5, 29, 28}

// revocations is a CRL: what one CA has revoked.
type revocations struct {
	*x509.RevocationList
	serials map[string]time.Time // since when, by serial number
	signer  *x509.Certificate    // which of the CA file; nil: none
}

// RevokedError refuses a certificate that the CA which has signed it has revoked.
type RevokedError struct {
	certificate, serial string
	since               time.Time
}

// Error names the certificate and since when it is revoked.
func (e *RevokedError) Error() string {
	return fmt.Sprintf("the certificate %s with the serial number %s was revoked at %s", e.certificate, e.serial, e.since.UTC().Format(time.RFC3339))
}

// Revoked is since when the certificate is revoked.
func (e *RevokedError) Revoked() time.Time { return e.since }

// crls returns the CRLs that a file holds, one at least: in PEM, or in DER one
// after the other.
func (f file) crls(data []byte) ([]*revocations, error) {
	ders, err := f.splitCRLs(data)
	if err != nil {
		return nil, err
	}
	lists := make([]*revocations, len(ders))
	for i, der := range ders {
		if lists[i], err = parseCRL(der); err != nil {
			return nil, fmt.Errorf("%s: CRL %d in it cannot be used: %w", f, i+1, err)
		}
	}
	return lists, nil
}

func (f file) splitCRLs(data []byte) (ders [][]byte, err error) {
	if !bytes.Contains(data, []byte("-----BEGIN ")) && data[0] == 0x30 { // how DER begins
		for rest := data; len(rest) > 0; {
			var value asn1.RawValue
			if rest, err = asn1.Unmarshal(rest, &value); err != nil {
				return nil, fmt.Errorf("%s: CRL %d in it cannot be read: %w", f, len(ders)+1, err)
			}
			ders = append(ders, value.FullBytes)
		}
		return ders, nil
	}
	other := ""
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type == pemRevocationList {
			ders = append(ders, block.Bytes)
		} else {
			other = block.Type
		}
	}
	switch begun := bytes.Count(data, []byte("-----BEGIN "+pemRevocationList+"-----")); {
	case len(ders) < begun:
		return nil, fmt.Errorf("%s: %d CRLs begin in it, and only %d can be read; it is cut off, or a BEGIN or END is not a line of its own", f, begun, len(ders))
	case len(ders) > 0:
		return ders, nil
	case other == pemCertificate:
		return nil, fmt.Errorf("%s: it holds a certificate and no CRL; were the files mixed up?", f)
	}
	return nil, fmt.Errorf("%s: it holds no CRL, neither in PEM nor in DER", f)
}

// parseCRL refuses what says more than this program understands: a list of changes
// to another one, and one of several CAs.
func parseCRL(der []byte) (*revocations, error) {
	list, err := x509.ParseRevocationList(der)
	if err != nil && strings.Contains(err.Error(), "unsupported crl version") {
		return nil, errors.New("it is of version 1; have one made of version 2 (openssl ca does that with a crlnumber in its configuration)")
	}
	if err != nil {
		return nil, err
	}
	for _, e := range list.Extensions {
		if e.Critical && !e.Id.Equal(issuingDistributionPoint) {
			return nil, fmt.Errorf("it has the critical extension %s, which is not understood here; a complete CRL of one CA is needed", e.Id)
		}
	}
	r := &revocations{RevocationList: list, serials: make(map[string]time.Time, len(list.RevokedCertificateEntries))}
	for _, entry := range list.RevokedCertificateEntries {
		for _, e := range entry.Extensions {
			if e.Critical {
				return nil, fmt.Errorf("an entry of it has the critical extension %s, which is not understood here; a complete CRL of one CA is needed", e.Id)
			}
		}
		r.serials[entry.SerialNumber.Text(16)] = entry.RevocationTime
	}
	return r, nil
}

// mayBeFrom reports whether a CRL may be of a CA, by name and, if both say which, by key.
func (r *revocations) mayBeFrom(ca *x509.Certificate) bool {
	return bytes.Equal(r.RawIssuer, ca.RawSubject) &&
		(len(r.AuthorityKeyId) == 0 || len(ca.SubjectKeyId) == 0 || bytes.Equal(r.AuthorityKeyId, ca.SubjectKeyId))
}

// findSigner finds the CA that has signed a CRL. It may be none of these: then it may be that of
// an intermediate one, which comes in a handshake.
func (r *revocations) findSigner(cas []*x509.Certificate) error {
	var failed error
	for _, ca := range cas {
		if !r.mayBeFrom(ca) {
			continue
		}
		err := r.CheckSignatureFrom(ca)
		if err == nil {
			r.signer = ca
			return nil
		}
		if errors.As(err, new(x509.ConstraintViolationError)) && ca.KeyUsage != 0 && ca.KeyUsage&x509.KeyUsageCRLSign == 0 {
			err = errors.New("it may not sign CRLs: its keyUsage lacks cRLSign")
		}
		failed = err
	}
	return failed
}

// issuedBy reports whether a CRL is that of the signer of a certificate.
func (r *revocations) issuedBy(signer *x509.Certificate) bool {
	if !r.mayBeFrom(signer) {
		return false
	}
	if r.signer != nil && bytes.Equal(r.signer.RawSubjectPublicKeyInfo, signer.RawSubjectPublicKeyInfo) {
		return true
	}
	return r.CheckSignatureFrom(signer) == nil
}

// parseCRLs reads the CRL file and checks who has signed them.
func (cfg Config) parseCRLs(data []byte, cas []*x509.Certificate) ([]*revocations, error) {
	lists, err := cfg.crl().crls(data)
	if err != nil {
		return nil, err
	}
	for i, r := range lists {
		if err := r.findSigner(cas); err != nil {
			return nil, fmt.Errorf("%s: CRL %d in it is not signed by the CA of its name, %s, in %s: %w", cfg.crl(), i+1, printable(r.Issuer.String()), cfg.ca(), err)
		}
	}
	return lists, nil
}

// checkRevocation checks that there is a chain in which nobody has revoked the certificate of the
// one before.
func (p *parsed) checkRevocation(chains [][]*x509.Certificate) error {
	var revoked error
	for _, chain := range chains {
		err := p.checkChain(chain)
		if err == nil {
			return nil
		}
		revoked = err
	}
	return revoked
}

func (p *parsed) checkChain(chain []*x509.Certificate) error {
	for i := range len(chain) - 1 {
		serial := chain[i].SerialNumber.Text(16)
		for _, r := range p.crls {
			if since, listed := r.serials[serial]; listed && r.issuedBy(chain[i+1]) {
				return &RevokedError{describe(chain[i]), serial, since}
			}
		}
	}
	return nil
}

// remindOfCRLs logs which CRLs say too little, or are too old to say everything.
func (c *Credentials) remindOfCRLs(now time.Time) {
	for _, r := range c.now.crls {
		args := []any{"file", c.cfg.crl().String(), "issuer", printable(r.Issuer.String()), "nextUpdate", r.NextUpdate.UTC()}
		switch left := r.NextUpdate.Sub(now); {
		case r.NextUpdate.IsZero(): // it does not say
		case left < 0:
			c.cfg.Log.Error("a CRL has expired: it stays in use, and what its CA has revoked since is not known here; put a new one in its place, no restart is needed", args...)
		case left < warnBefore(r.NextUpdate.Sub(r.ThisUpdate)):
			c.cfg.Log.Warn("a CRL expires soon; put a new one in its place, no restart is needed", append(args, "left", left.Round(time.Minute).String())...)
		}
		if r.signer == nil {
			c.cfg.Log.Warn("a CRL is of a CA that is not in the CA file: it counts only for certificates that come with that CA as an intermediate one",
				"file", c.cfg.crl().String(), "issuer", printable(r.Issuer.String()), "cas", c.cfg.ca().String())
		}
	}
	for _, ca := range c.now.cas {
		if c.cfg.CRL != "" && !slices.ContainsFunc(c.now.crls, func(r *revocations) bool { return r.issuedBy(ca) }) {
			c.cfg.Log.Warn("there is no CRL of a CA: what it has signed cannot be revoked", "file", c.cfg.crl().String(), "ca", printable(ca.Subject.String()))
		}
	}
	if c.now.revoked != nil {
		c.cfg.Log.Error("the certificate of this machine is revoked; put another one in its place, no restart is needed", "file", c.cfg.cert().String(), "error", c.now.revoked)
	}
}
