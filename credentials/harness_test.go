package credentials

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"etcd/credentials/certtest"
)

// side is the client or the server side of a machine, with its files in a directory of its own.
type side struct {
	*Credentials
	t     *testing.T
	dir   string
	clock time.Time
	logs  bytes.Buffer
}

// newSide writes the files without loading them. A file that is nil is not written, and its
// flag not set.
func newSide(t *testing.T, cert, key, ca []byte) (*side, Config) {
	t.Helper()
	s := &side{t: t, dir: t.TempDir(), clock: time.Now()}
	cfg := Config{
		Files: Files{Flags: "-client"},
		Now:   func() time.Time { return s.clock },
		Log:   slog.New(slog.NewTextHandler(&s.logs, nil)),
	}
	for name, file := range map[string]struct {
		data []byte
		path *string
	}{"cert": {cert, &cfg.Cert}, "key": {key, &cfg.Key}, "ca": {ca, &cfg.CA}} {
		if file.data != nil {
			*file.path = filepath.Join(s.dir, name)
			s.write(name, file.data)
		}
	}
	return s, cfg
}

func load(t *testing.T, pair certtest.Pair, ca []byte) *side {
	t.Helper()
	s, cfg := newSide(t, pair.Cert, pair.Key, ca)
	s.load(cfg)
	return s
}

func (s *side) load(cfg Config) {
	s.t.Helper()
	var err error
	if s.Credentials, err = Load(cfg); err != nil {
		s.t.Fatal(err)
	}
}

// write replaces a file by a rename.
func (s *side) write(name string, data []byte) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := errors.Join(os.WriteFile(path+".new", data, 0o600), os.Rename(path+".new", path)); err != nil {
		s.t.Fatal(err)
	}
}

// logged returns what was logged since the last call.
func (s *side) logged() string {
	defer s.logs.Reset()
	return s.logs.String()
}

// wantLog checks that one line was logged, with all the parts.
func (s *side) wantLog(parts ...string) {
	s.t.Helper()
	log := s.logged()
	if strings.Count(log, "\n") != 1 {
		s.t.Errorf("want one line, logged:\n%s", log)
	}
	for _, part := range parts {
		if !strings.Contains(log, part) {
			s.t.Errorf("the log lacks %q:\n%s", part, log)
		}
	}
}

func (s *side) wantNoLog() {
	s.t.Helper()
	if log := s.logged(); log != "" {
		s.t.Errorf("logged:\n%s", log)
	}
}

// dial connects a client to a server with the given configurations. When it returns, both have
// sent something, and so have verified each other. The error is the server's, or the client's
// if the server has none.
func dial(t *testing.T, server, client *tls.Config) (seen, shown tls.ConnectionState, err error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan error, 1)
	go func() {
		raw, err := l.Accept()
		if err != nil {
			accepted <- err
			return
		}
		defer raw.Close()
		c := tls.Server(raw, server)
		if err = c.Handshake(); err == nil {
			shown = c.ConnectionState()
			_, err = c.Write([]byte{1}) // sent after the session tickets of TLS 1.3
		}
		accepted <- err
	}()
	c, err := tls.Dial("tcp", l.Addr().String(), client)
	if err == nil {
		defer c.Close()
		_, err = io.ReadFull(c, make([]byte, 1))
		seen = c.ConnectionState()
	}
	if serverErr := <-accepted; serverErr != nil {
		err = serverErr
	}
	return seen, shown, err
}

// trusting returns the configuration of a client that trusts one CA, and sends its own
// certificate whether or not the server accepts its CA.
func trusting(ca *certtest.CA, own ...certtest.Pair) *tls.Config {
	cfg := &tls.Config{RootCAs: ca.Pool(), ServerName: "127.0.0.1"}
	for _, pair := range own {
		cert := pair.TLS()
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
	}
	return cfg
}

// served returns the name in the certificate that a client gets.
func (s *side) served(ca *certtest.CA, own ...certtest.Pair) string {
	s.t.Helper()
	state, _, err := dial(s.t, s.Server(), trusting(ca, own...))
	if err != nil {
		s.t.Fatal(err)
	}
	return state.PeerCertificates[0].Subject.CommonName
}

func only(usages ...x509.ExtKeyUsage) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.ExtKeyUsage = usages }
}

func valid(from, to time.Time) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = from, to }
}
