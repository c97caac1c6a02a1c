package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"time"

	"etcd/credentials"
	"etcd/endpoint"
	"etcd/peerfront"
)

// checkFilesInterval is how often certificate files are checked on a machine to which nobody
// connects.
const checkFilesInterval = time.Minute

// security is the TLS of the two ports; nil for plain HTTP.
type security struct {
	clients, peers *credentials.Credentials
}

// security reads the certificate files, and makes them if that is asked for.
func (c *Config) security(p *dataDir, log *slog.Logger) (s security, err error) {
	at, err := c.sites()
	if err != nil {
		return security{}, err
	}
	if s.clients, err = c.credentials(p, clientPair, c.AutoTLS, c.ClientTLS, c.ClientAddr, slices.Concat(at.clients, at.metrics), log); err != nil {
		return security{}, err
	}
	if s.peers, err = c.credentials(p, peerPair, c.PeerAutoTLS, c.PeerTLS, c.PeerAddr, at.peers, log); err != nil {
		return security{}, err
	}
	if c.ClientTLS.Given() || c.AutoTLS {
		warnPlain(at.clients, log)
	}
	if c.PeerTLS.Given() || c.PeerAutoTLS {
		warnPlain(at.peers, log)
	}
	if s.peers != nil && !s.peers.Verifies() {
		log.Warn("peers encrypt their connections and do not verify each other: whoever reaches the peer port can join; give all of them a -serverCAFile")
	}
	return s, nil
}

// credentials returns those of one side, whose address is advertised; nil if it listens without TLS
// everywhere.
func (c *Config) credentials(p *dataDir, pair selfSigned, auto bool, files credentials.Files, advertised string, at []site, log *slog.Logger) (*credentials.Credentials, error) {
	if !overTLS(at) {
		return nil, nil
	}
	host, _, err := net.SplitHostPort(c.advertised(advertised))
	if err != nil {
		return nil, err
	}
	limits, err := c.tlsLimits()
	if err != nil {
		return nil, err
	}
	if auto {
		if files, err = pair.ensure(p, namesOf(host, at), c.selfSignedLife(), log); err != nil {
			return nil, fmt.Errorf("%s: %w", pair.flag, err)
		}
	}
	if endpoint.Unspecified(host) {
		host = "" // it is not advertised
	}
	loaded, err := credentials.Load(credentials.Config{
		Files: files, Peer: pair.peer, Host: host, Limits: limits, Now: time.Now, Log: log,
		AllowedCN: c.AllowedCN, AllowedHostname: c.AllowedHostname,
	})
	if err != nil {
		return nil, err
	}
	log.Info("TLS is on", "cert", files.Cert, "address", advertised, "expires", loaded.NotAfter().UTC(), "verifies", loaded.Verifies())
	return loaded, nil
}

// warnPlain warns about listeners without TLS on a side that has a certificate.
func warnPlain(at []site, log *slog.Logger) {
	for _, s := range at {
		if s.scheme == "http" {
			log.Warn("this URL says http, so it is served without TLS although there is a certificate; write https to use that", "url", s.String())
		}
	}
}

// watch checks the files for changes until ctx ends.
func (s security) watch(ctx context.Context) {
	every := time.NewTicker(checkFilesInterval)
	defer every.Stop()
	for {
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
		for _, c := range []*credentials.Credentials{s.clients, s.peers} {
			if c != nil {
				c.Check()
			}
		}
	}
}

// scheme returns the scheme of a port's URLs.
func scheme(c *credentials.Credentials) string {
	if c == nil {
		return "http"
	}
	return "https"
}

// tls returns the TLS configuration of listeners, a method of credentials; nil if all are plain.
func (all listeners) tls(of func() *tls.Config) *tls.Config {
	if !slices.ContainsFunc(all, func(l opened) bool { return l.scheme == "https" }) {
		return nil
	}
	return of()
}

// certified checks that the certificate of another machine names a host; nil if machines
// are not verified.
func (s security) certified() func(tls.ConnectionState, string) error {
	if s.peers == nil || !s.peers.Verifies() {
		return nil
	}
	return s.peers.Certified
}

// dial connects to the peer port of another machine.
func (s security) dial(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	raw, err := d.DialContext(ctx, "tcp", addr)
	if err != nil || s.peers == nil {
		return raw, err
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	c := tls.Client(raw, s.peers.Client(host))
	if err := c.HandshakeContext(ctx); err != nil {
		_ = raw.Close() // err says more
		if header, ok := errors.AsType[tls.RecordHeaderError](err); ok && string(header.RecordHeader[:]) == "HTTP/" {
			return nil, fmt.Errorf("%s %w", addr, peerfront.ErrPlain)
		}
		return nil, fmt.Errorf("TLS with %s: %w", addr, err)
	}
	return &peerConn{c, raw}, nil
}

// peerConn is a TLS connection whose Close does not wait until the peer takes the closing
// alert: the peer may be dead, and nothing in the protocols of machines depends on how a
// connection ends.
type peerConn struct {
	*tls.Conn
	raw net.Conn
}

func (c *peerConn) Close() error { return c.raw.Close() }
