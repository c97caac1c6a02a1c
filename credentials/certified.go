package credentials

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
)

// Bounds of what is repeated of somebody else's certificate.
const (
	maxNames = 8  // of a subjectAltName
	maxName  = 80 // bytes of each, and of a host
)

// Certified checks that the certificate which the other side of a connection has shown, and
// which was verified in the handshake, is one of the machine at host: that its subjectAltName
// has that name or IP address, or that it is what [Config.AllowedCN] or
// [Config.AllowedHostname] demand instead. The error is for people on both sides: it has
// nothing of the certificate in it that a terminal would not show.
func (c *Credentials) Certified(state tls.ConnectionState, host string) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("no certificate was shown")
	}
	return c.cfg.certified(state.PeerCertificates[0], host)
}

func (cfg Config) certified(leaf *x509.Certificate, host string) error {
	switch {
	case len(cfg.AllowedCN) > 0:
		if !slices.Contains(cfg.AllowedCN, leaf.Subject.CommonName) {
			return fmt.Errorf("the certificate %s has a common name that %sAllowedCN does not allow", describe(leaf), cfg.Flags)
		}
	case len(cfg.AllowedHostname) > 0:
		if !slices.ContainsFunc(cfg.AllowedHostname, func(name string) bool { return leaf.VerifyHostname(name) == nil }) {
			return fmt.Errorf("the certificate %s has no name that %sAllowedHostname allows", describe(leaf), cfg.Flags)
		}
	case host == "":
		return fmt.Errorf("the certificate %s cannot be checked: no address is given", describe(leaf))
	case leaf.VerifyHostname(host) != nil:
		return fmt.Errorf("the certificate %s does not name %s; put that into its subjectAltName, or start all machines with %[3]sAllowedCN or %[3]sAllowedHostname",
			describe(leaf), printable(host), cfg.Flags)
	}
	return nil
}

// checkOwn checks that the other machines will take the certificate for one of this machine.
func (cfg Config) checkOwn(leaf *x509.Certificate) error {
	instead := len(cfg.AllowedCN) > 0 || len(cfg.AllowedHostname) > 0
	if cfg.Host == "" && !instead {
		return nil // nobody is told to go there
	}
	err := cfg.certified(leaf, cfg.Host)
	switch {
	case err != nil && instead:
		return fmt.Errorf("%s: the other machines would refuse this one: %w", cfg.cert(), err)
	case err != nil:
		return fmt.Errorf("%s: the other machines would refuse this one, which they reach at %s: %w. Make one that does: %s",
			cfg.cert(), printable(cfg.Host), err, cfg.suggestCommand())
	}
	return nil
}

// suggestCommand returns a command that makes a certificate for this machine.
func (cfg Config) suggestCommand() string {
	kind := "DNS"
	if net.ParseIP(cfg.Host) != nil {
		kind = "IP"
	}
	return fmt.Sprintf(`openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 -CA %s -CAkey KEY_OF_THE_CA -subj "/CN=%s" `+
		`-addext "subjectAltName=%s:%[2]s" -addext "extendedKeyUsage=serverAuth,clientAuth" -addext basicConstraints=CA:FALSE -keyout NEW.key -out NEW.crt`, cfg.CA, cfg.Host, kind)
}

// describe says whose certificate it is and for which hosts.
func describe(cert *x509.Certificate) string {
	var names []string
	for _, name := range cert.DNSNames {
		names = append(names, "DNS:"+printable(name))
	}
	for _, ip := range cert.IPAddresses {
		names = append(names, "IP:"+ip.String())
	}
	san := "no host in its subjectAltName"
	if len(names) > maxNames {
		names = append(names[:maxNames], fmt.Sprintf("and %d more", len(names)-maxNames))
	}
	if len(names) > 0 {
		san = strings.Join(names, ", ")
	}
	return printable(cert.Subject.String()) + " (" + san + ")"
}

// printable returns a name as it can be shown anywhere: bounded, and in quotes if there is anything
// unusual about it.
func printable(name string) string {
	shown := name[:min(len(name), maxName)]
	usual := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(".-_:*=/@, ", r)
	}
	if strings.IndexFunc(shown, func(r rune) bool { return !usual(r) }) >= 0 || shown == "" {
		shown = strconv.QuoteToASCII(shown)
	}
	if len(name) > maxName {
		shown += "..."
	}
	return shown
}
