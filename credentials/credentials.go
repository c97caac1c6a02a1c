package credentials

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

const (
	// expiryWarning is how long before its end a certificate is logged as expiring, or
	// the last third of its life if that is shorter, and remindInterval how often.
	expiryWarning  = 30 * 24 * time.Hour
	remindInterval = 24 * time.Hour
	// ticketLifetime is how long a key encrypts session tickets. For as long again it
	// decrypts them.
	ticketLifetime = 24 * time.Hour
)

// suites are those of TLS 1.2: forward secrecy and authenticated encryption. Those of
// TLS 1.3 are not chosen.
var suites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// Limits are what may be used of TLS. The zero value stands for what is safe.
type Limits struct {
	Suites                 []uint16 // of TLS 1.2; nil: those with forward secrecy and authenticated encryption
	MinVersion, MaxVersion uint16   // 0: from TLS 1.2 on
}

// apply sets the limits of a configuration.
func (l Limits) apply(to *tls.Config) *tls.Config {
	to.MinVersion, to.MaxVersion, to.CipherSuites = max(l.MinVersion, tls.VersionTLS12), l.MaxVersion, l.Suites
	if l.Suites == nil {
		to.CipherSuites = suites
	}
	return to
}

// Config describes one set of credentials.
type Config struct {
	Files
	// Peer says that they are for the peer port. With a CA, both sides then verify each
	// other, and the certificate is checked accordingly.
	Peer bool
	// Host is where others reach this machine, a name or an IP address; empty if that
	// is not known.
	Host string
	// AllowedCN are the common names that certificates of machines may have, and
	// AllowedHostname the names or IP addresses one of which they have to name. If either is
	// given, it is demanded instead of the host of the machine, by both sides.
	AllowedCN, AllowedHostname []string
	// Limits are those of both directions.
	Limits Limits
	// Now is the wall time.
	Now func() time.Time
	Log *slog.Logger
}

// Credentials are the files of one side of a machine as they are now. All methods may
// be called from any goroutine.
type Credentials struct {
	cfg Config

	mu       sync.Mutex
	now      *generation
	stats    fileStats // the files when they were last read
	rejected string    // what was last logged about files that cannot be used
	reminded time.Time
}

// generation is one state of the files, and what was made of it.
type generation struct {
	*parsed
	digest [sha256.Size]byte
	roots  *x509.CertPool // nil: the other side is not verified
	server *tls.Config
	http2  *tls.Config // the same, which offers HTTP/2 as well

	tickets      [][32]byte // the first encrypts, all decrypt
	ticketsSince time.Time
}

// Load reads the files. The error says what is wrong with which of them.
func Load(cfg Config) (*Credentials, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	c := &Credentials{cfg: cfg, stats: cfg.stat()}
	content, err := cfg.read()
	if err != nil {
		return nil, err
	}
	p, err := cfg.parse(content)
	if err != nil {
		return nil, err
	}
	if p.revoked != nil {
		return nil, fmt.Errorf("%s: the other machines would refuse this one: %w, says %s", cfg.cert(), p.revoked, cfg.crl())
	}
	c.now = cfg.generation(content, p)
	c.remind()
	return c, nil
}

func (cfg Config) generation(c content, p *parsed) *generation {
	g := &generation{parsed: p, digest: c.digest(), server: cfg.Limits.apply(&tls.Config{
		NextProtos:   []string{"http/1.1"},
		Certificates: []tls.Certificate{p.cert},
		Time:         cfg.Now,
	})}
	if p.cas != nil {
		g.roots = pool(p.cas)
		g.server.ClientCAs = g.roots
		g.server.ClientAuth = tls.RequireAndVerifyClientCert
		// Also of a session that is resumed.
		g.server.VerifyConnection = func(state tls.ConnectionState) error { return p.checkRevocation(state.VerifiedChains) }
	}
	g.http2 = g.server.Clone()
	// The first that the client offers as well is chosen, so HTTP/2 is for those that offer nothing else.
	g.http2.NextProtos = append(g.http2.NextProtos[:1:1], "h2")
	g.rotateTickets(cfg.Now())
	return g
}

// rotateTickets sets ticket keys of this generation's own: those of the configuration
// that a listener has would outlive a change of CA.
func (g *generation) rotateTickets(now time.Time) {
	if g.tickets != nil && now.Sub(g.ticketsSince) < ticketLifetime {
		return
	}
	var fresh [32]byte
	_, _ = rand.Read(fresh[:]) // never fails
	g.tickets = append([][32]byte{fresh}, g.tickets[:min(1, len(g.tickets))]...)
	g.ticketsSince = now
	g.server.SetSessionTicketKeys(g.tickets)
	g.http2.SetSessionTicketKeys(g.tickets)
}

// Server returns the configuration for accepted connections over HTTP/1.1. It stays valid: each
// handshake uses the files of its time.
func (c *Credentials) Server() *tls.Config {
	return c.accepting(func(g *generation) *tls.Config { return g.server })
}

// ServerWithHTTP2 is Server for a port that speaks HTTP/2 as well, with clients that offer nothing else.
func (c *Credentials) ServerWithHTTP2() *tls.Config {
	return c.accepting(func(g *generation) *tls.Config { return g.http2 })
}

func (c *Credentials) accepting(of func(*generation) *tls.Config) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return of(c.current(false)), nil
		},
	}
}

// Client returns the configuration for a connection that this machine opens now to
// host, a name or an IP address. Without a CA the other side is not verified.
func (c *Credentials) Client(host string) *tls.Config {
	g := c.current(false)
	cfg := c.cfg.Limits.apply(&tls.Config{
		ServerName: host,
		Time:       c.cfg.Now,
		// crypto/tls would demand the host even if a flag demands something else instead.
		InsecureSkipVerify: true,
		// It is shown even to a machine that would not accept it, which then says why.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &g.cert, nil
		},
	})
	if g.roots != nil {
		cfg.VerifyConnection = func(state tls.ConnectionState) error { return c.cfg.verify(g, state, host) }
	}
	return cfg
}

// verify does for the dialer what crypto/tls does for the accepting side, and
// [Credentials.Certified].
func (cfg Config) verify(g *generation, state tls.ConnectionState, host string) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("no certificate was shown")
	}
	leaf := state.PeerCertificates[0]
	chains, err := leaf.Verify(x509.VerifyOptions{
		Roots: g.roots, Intermediates: pool(state.PeerCertificates[1:]), CurrentTime: cfg.Now(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return fmt.Errorf("the certificate %s: %w", describe(leaf), err)
	}
	if err := g.checkRevocation(chains); err != nil {
		return err
	}
	return cfg.certified(leaf, host)
}

// Verifies reports whether the peer or client is verified.
func (c *Credentials) Verifies() bool { return c.cfg.CA != "" }

// NotAfter is when the certificate of this machine expires.
func (c *Credentials) NotAfter() time.Time { return c.current(false).cert.Leaf.NotAfter }

// Expiry says when a file can no longer be used.
type Expiry struct {
	File     string
	NotAfter time.Time
}

// Expiries returns for each file of certificates when the first one in it expires. What has expired
// of a bundle of CAs is of no use to anybody, and does not count.
func (c *Credentials) Expiries() []Expiry {
	now := c.current(false)
	own := Expiry{c.cfg.Cert, firstExpiry(now.chain)}
	valid := slices.DeleteFunc(slices.Clone(now.cas), func(ca *x509.Certificate) bool { return ca.NotAfter.Before(c.cfg.Now()) })
	switch {
	case len(valid) == 0:
	case c.cfg.CA == c.cfg.Cert:
		own.NotAfter = firstExpiry(append(valid, now.chain...))
	default:
		return []Expiry{own, {c.cfg.CA, firstExpiry(valid)}}
	}
	return []Expiry{own}
}

func firstExpiry(certs []*x509.Certificate) time.Time {
	return slices.MinFunc(certs, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) }).NotAfter
}

// Check reloads the files, changed or not, and logs once a day what expires soon. Call it
// periodically, for machines to which nobody connects.
func (c *Credentials) Check() {
	c.current(true)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remind()
}

// current returns the generation to use now. It reloads the files if they look changed,
// or if force is set.
func (c *Credentials) current(force bool) *generation {
	c.mu.Lock()
	defer c.mu.Unlock()
	// Looked at before they are read: what changes meanwhile is read the next time.
	if s := c.cfg.stat(); force || !s.equal(c.stats) {
		c.stats = s
		c.reload()
	}
	c.now.rotateTickets(c.cfg.Now())
	return c.now
}

// reload replaces the generation by what the files hold now, if that can be used.
func (c *Credentials) reload() {
	content, err := c.cfg.read()
	if err != nil {
		c.reject(err.Error(), err)
		return
	}
	digest := content.digest()
	if digest == c.now.digest {
		c.rejected = ""
		return
	}
	p, err := c.cfg.parse(content)
	if err != nil {
		c.reject(fmt.Sprintf("%x", digest), err)
		return
	}
	c.now, c.rejected, c.reminded = c.cfg.generation(content, p), "", time.Time{}
	c.cfg.Log.Info("the changed TLS files are in use for new connections", "cert", c.cfg.Cert,
		"subject", p.cert.Leaf.Subject.String(), "expires", p.cert.Leaf.NotAfter.UTC(), "cas", len(p.cas), "crls", len(p.crls))
	c.remind()
}

// reject logs why the files cannot be used, once for each state they are in.
func (c *Credentials) reject(state string, err error) {
	if c.rejected == state {
		return
	}
	c.rejected = state
	c.cfg.Log.Error("the changed TLS files cannot be used; the previous ones stay in use until this is fixed, no restart is needed", "error", err)
}

// remind logs what expires soon, at most once a day.
func (c *Credentials) remind() {
	now := c.cfg.Now()
	if !c.reminded.IsZero() && now.Sub(c.reminded) < remindInterval {
		return
	}
	c.reminded = now
	for _, cert := range c.now.chain {
		c.remindOfCert(c.cfg.cert(), cert, now)
	}
	for _, ca := range c.now.cas {
		c.remindOfCert(c.cfg.ca(), ca, now)
	}
	c.remindOfCRLs(now)
}

// warnBefore returns how long before its end something with this lifetime counts as expiring soon.
func warnBefore(life time.Duration) time.Duration { return min(expiryWarning, life/3) }

func (c *Credentials) remindOfCert(f file, cert *x509.Certificate, now time.Time) {
	left := cert.NotAfter.Sub(now)
	args := []any{"file", f.String(), "subject", cert.Subject.String(), "expires", cert.NotAfter.UTC()}
	switch {
	case left < 0:
		c.cfg.Log.Error("a certificate has expired; put a new one in its place, no restart is needed", args...)
	case left < warnBefore(cert.NotAfter.Sub(cert.NotBefore)):
		c.cfg.Log.Warn("a certificate expires soon; put a new one in its place, no restart is needed", append(args, "left", left.Round(time.Minute).String())...)
	}
}
