package server

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"etcd/credentials"
	"etcd/credentials/certtest"
	"etcd/wal/vfs"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// TestAutoTLSPair checks which pair in a data directory is used: one that this machine has
// made, that is valid now and here, and that nobody else can read.
func TestAutoTLSPair(t *testing.T) {
	now := time.Now()
	for _, test := range []struct {
		name   string
		change func(cert, key string) error
		host   string
		now    time.Time
		fault  string // empty: it is used
	}{
		{name: "as it was made"},
		{name: "a certificate for all to read", change: func(cert, _ string) error { return os.Chmod(cert, 0o644) }},
		{name: "a key for all to read", change: func(_, key string) error { return os.Chmod(key, 0o644) }, fault: "could read"},
		{name: "a key for a group to read", change: func(_, key string) error { return os.Chmod(key, 0o640) }, fault: "could read"},
		{name: "no key", change: func(_, key string) error { return os.Remove(key) }, fault: "none"},
		{name: "no certificate", change: func(cert, _ string) error { return os.Remove(cert) }, fault: "none"},
		{name: "a damaged key", change: func(_, key string) error { return os.WriteFile(key, []byte("damaged"), 0o600) }, fault: "damaged"},
		{name: "a damaged certificate", change: func(cert, _ string) error { return os.Truncate(cert, 100) }, fault: "damaged"},
		{name: "another host", host: "10.0.0.1", fault: "other hosts"},
		{name: "years later", now: now.AddDate(2, 0, 0), fault: "expire"},
		{name: "years before", now: now.AddDate(-2, 0, 0), fault: "not valid yet"},
	} {
		dir := tempDataDir(t)
		at, files := madePair(t, dir)
		if test.change != nil {
			if err := test.change(files.Cert, files.Key); err != nil {
				t.Fatal(err)
			}
		}
		if test.host == "" {
			test.host = "127.0.0.1"
		}
		if test.now.IsZero() {
			test.now = now
		}
		fault, err := clientPair.fault(at.fsys, []string{test.host}, test.now)
		if err != nil || (fault == "") != (test.fault == "") || !strings.Contains(fault, test.fault) {
			t.Errorf("%s: %q, %v, want %q", test.name, fault, err, test.fault)
		}
		// In each case there is a valid one afterwards, and nobody else can read its key.
		if files, err = clientPair.ensure(at, []string{"127.0.0.1"}, year, quiet); err != nil {
			t.Fatal(err)
		}
		if _, err := tls.LoadX509KeyPair(files.Cert, files.Key); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if info, err := os.Lstat(files.Key); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: the key has %v, %v", test.name, info.Mode(), err)
		}
	}
}

// TestAutoTLSOfSomebodyElse checks that neither a certificate which this program has not made
// nor a pair that another user has left is used or overwritten.
func TestAutoTLSOfSomebodyElse(t *testing.T) {
	pair := certtest.New("CA").Issue("127.0.0.1")
	dir := tempDataDir(t)
	lay(t, dir, map[string]string{clientPair.cert: string(pair.Cert), clientPair.key: string(pair.Key)})
	before := contents(t, dir)
	if err := takeAll(t, dir, false); err == nil || !strings.Contains(err.Error(), "-clientCert") || !strings.Contains(err.Error(), clientPair.key) {
		t.Errorf("a certificate of a CA: %v", err)
	}
	after := contents(t, dir)
	for _, name := range []string{clientPair.cert, clientPair.key} {
		if path := filepath.Join(dir, name); after[path] != before[path] {
			t.Errorf("%s was changed", name)
		}
	}
	if os.Geteuid() != 0 {
		return // nobody but root can give files away
	}
	dir = tempDataDir(t)
	_, files := madePair(t, dir)
	planted, err := os.ReadFile(files.Cert)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chown(files.Cert, 12345, -1), os.Chown(files.Key, 12345, -1)); err != nil {
		t.Fatal(err)
	}
	if err := takeAll(t, dir, false); err == nil || !strings.Contains(err.Error(), "chown") {
		t.Errorf("a pair of another user: %v", err)
	}
	// Where others are trusted with the data, this machine still has a key of its own.
	if err := takeAll(t, dir, true); err != nil {
		t.Fatal(err)
	}
	made, err := os.ReadFile(files.Cert)
	if err != nil || string(made) == string(planted) {
		t.Errorf("a pair of another user is served with: %v", err)
	}
	if block, _ := pem.Decode(made); block == nil {
		t.Error("there is no certificate")
	} else if _, err := x509.ParseCertificate(block.Bytes); err != nil {
		t.Error(err)
	}
}

// A certificate is made for every host that leads to this machine, and for as long as was asked for.
func TestAutoTLSNames(t *testing.T) {
	for _, pair := range []selfSigned{clientPair, peerPair} {
		at, _ := madePair(t, tempDataDir(t))
		hosts := namesOf("a.example", []site{
			{addr: "10.0.0.1:1", scheme: "https"}, {addr: "a.example:2", scheme: "https"}, {addr: "0.0.0.0:3", scheme: "https"}, {addr: "/run/x.sock", scheme: "unix"},
		})
		files, err := pair.ensure(at, hosts, 3*year, quiet)
		if err != nil {
			t.Fatal(err)
		}
		made, err := tls.LoadX509KeyPair(files.Cert, files.Key)
		if err != nil {
			t.Fatal(err)
		}
		for _, host := range []string{"localhost", "127.0.0.1", "a.example", "10.0.0.1"} {
			if err := made.Leaf.VerifyHostname(host); err != nil {
				t.Errorf("%s: %v", pair.flag, err)
			}
		}
		if years := time.Until(made.Leaf.NotAfter).Hours() / year.Hours(); years < 2.9 || years > 3 {
			t.Errorf("%s: it is valid for %.1f years", pair.flag, years)
		}
		if len(made.Leaf.IPAddresses) != 3 {
			t.Errorf("%s: it names %v", pair.flag, made.Leaf.IPAddresses)
		}
	}
}

// madePair makes a pair of certificate and key in a data directory.
func madePair(t *testing.T, dir string) (*dataDir, credentials.Files) {
	t.Helper()
	fsys, err := vfs.Dir(dir)
	if err != nil {
		t.Fatal(err)
	}
	at := &dataDir{path: dir, fsys: fsys}
	files, err := clientPair.ensure(at, []string{"127.0.0.1"}, year, quiet)
	if err != nil {
		t.Fatal(err)
	}
	return at, files
}
