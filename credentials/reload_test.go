package credentials

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"etcd/credentials/certtest"
)

// A key pair that is replaced one file after another is used from the next handshake on, and
// the mismatch in between does no harm.
func TestReloadByRename(t *testing.T) {
	ca := certtest.New("ca")
	first, second := ca.Issue("first"), ca.Issue("second")
	s := load(t, first, nil)
	if name := s.served(ca); name != "first" {
		t.Fatalf("serves %s", name)
	}
	s.wantNoLog()
	s.write("cert", second.Cert)
	for range 3 {
		if name := s.served(ca); name != "first" {
			t.Errorf("with half of the new pair it serves %s", name)
		}
	}
	s.wantLog("level=ERROR", "stay in use", filepath.Join(s.dir, "key"), "does not belong to the certificate")
	s.write("key", second.Key)
	if name := s.served(ca); name != "second" {
		t.Errorf("serves %s", name)
	}
	s.wantLog("level=INFO", "in use for new connections", "subject=\"CN=second\"", "expires=")
}

// Files that are links into a directory are replaced together by another link, as in
// Kubernetes.
func TestReloadBySymlink(t *testing.T) {
	ca := certtest.New("ca")
	s, cfg := newSide(t, nil, nil, nil)
	link := filepath.Join(s.dir, "current")
	publish := func(name string, pair certtest.Pair) {
		t.Helper()
		dir := filepath.Join(s.dir, name)
		err := errors.Join(os.Mkdir(dir, 0o700),
			os.WriteFile(filepath.Join(dir, "tls.crt"), pair.Cert, 0o600),
			os.WriteFile(filepath.Join(dir, "tls.key"), pair.Key, 0o600),
			os.Symlink(name, link+".new"), os.Rename(link+".new", link))
		if err != nil {
			t.Fatal(err)
		}
	}
	publish("1", ca.Issue("first"))
	for name, path := range map[string]*string{"tls.crt": &cfg.Cert, "tls.key": &cfg.Key} {
		*path = filepath.Join(s.dir, name)
		if err := os.Symlink(filepath.Join("current", name), *path); err != nil {
			t.Fatal(err)
		}
	}
	s.load(cfg)
	if name := s.served(ca); name != "first" {
		t.Fatalf("serves %s", name)
	}
	publish("2", ca.Issue("second"))
	if name := s.served(ca); name != "second" {
		t.Errorf("serves %s", name)
	}
	s.wantLog("subject=\"CN=second\"")
}

// Whatever is wrong with a new file, the old one stays in use, and the error is logged once for
// each state of the files.
func TestBadFilesKeepTheOld(t *testing.T) {
	ca := certtest.New("ca")
	first := ca.Issue("first")
	expired := ca.Issue("expired", valid(time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)))
	s := load(t, first, ca.PEM)
	for _, test := range []struct {
		name, file string
		data, old  []byte
		want       string
	}{
		{"empty certificate", "cert", []byte{}, first.Cert, "it is empty"},
		{"text", "cert", []byte("hello"), first.Cert, "it holds no certificate"},
		{"expired", "cert", expired.Cert, first.Cert, "does not belong"},
		{"other key", "key", expired.Key, first.Key, "does not belong"},
		{"empty CA", "ca", []byte{}, ca.PEM, "it is empty"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s.t = t
			s.write(test.file, test.data)
			for range 3 {
				if name := s.served(ca, first); name != "first" {
					t.Errorf("serves %s", name)
				}
				s.Check()
			}
			s.wantLog("level=ERROR", filepath.Join(s.dir, test.file), test.want)
			s.write(test.file, test.old)
			s.served(ca, first)
			s.wantNoLog() // nothing has changed
		})
	}
	s.t = t
	if err := os.Remove(filepath.Join(s.dir, "ca")); err != nil {
		t.Fatal(err)
	}
	s.served(ca, first)
	s.wantLog("level=ERROR", "-clientCAFile", "no such file")
}

// Check detects changes that the files' metadata do not show.
func TestCheckReads(t *testing.T) {
	ca := certtest.New("ca")
	s := load(t, ca.Issue("first"), nil)
	second := ca.Issue("second")
	s.write("cert", second.Cert)
	s.write("key", second.Key)
	s.stats = s.cfg.stat() // as if the metadata had not changed
	if name := s.served(ca); name != "first" {
		t.Fatalf("serves %s", name)
	}
	s.Check()
	if name := s.served(ca); name != "second" {
		t.Errorf("serves %s", name)
	}
	s.wantLog("subject=\"CN=second\"")
}

// A new CA counts for new connections, in both directions.
func TestReloadCA(t *testing.T) {
	oldCA, newCA := certtest.New("old"), certtest.New("new")
	oldPair, newPair := oldCA.Issue("old"), newCA.Issue("new")
	s := load(t, oldPair, oldCA.PEM)
	admits := func(pair certtest.Pair) bool {
		_, _, err := dial(t, s.Server(), trusting(oldCA, pair))
		return err == nil
	}
	trusts := func(pair certtest.Pair) bool {
		other := load(t, pair, nil)
		_, _, err := dial(t, other.Server(), s.Client("127.0.0.1"))
		return err == nil
	}
	for _, step := range []struct {
		bundle   []byte
		old, new bool
	}{
		{oldCA.PEM, true, false},
		{append(oldCA.PEM, newCA.PEM...), true, true},
		{newCA.PEM, false, true},
	} {
		s.write("ca", step.bundle)
		if admits(oldPair) != step.old || trusts(oldPair) != step.old {
			t.Errorf("old certificate: admitted %t, trusted %t, want %t", admits(oldPair), trusts(oldPair), step.old)
		}
		if admits(newPair) != step.new || trusts(newPair) != step.new {
			t.Errorf("new certificate: admitted %t, trusted %t, want %t", admits(newPair), trusts(newPair), step.new)
		}
	}
}

// A certificate that expires soon is logged at the start and then daily, an expired one as an
// error. A new certificate ends that.
func TestExpiryIsLoggedDaily(t *testing.T) {
	ca := certtest.New("ca")
	start := time.Now()
	pair := ca.Issue("short", valid(start.AddDate(-1, 0, 0), start.Add(32*24*time.Hour)))
	s := load(t, pair, ca.PEM)
	s.wantNoLog()
	pass := func(d time.Duration) { s.clock = s.clock.Add(d); s.Check() }
	pass(24 * time.Hour)
	s.wantNoLog() // 31 days are left
	pass(36 * time.Hour)
	s.wantLog("level=WARN", "expires soon", "-clientCert "+filepath.Join(s.dir, "cert"), "CN=short", "left=708h")
	pass(time.Minute)
	pass(23 * time.Hour)
	s.wantNoLog()
	pass(time.Hour)
	s.wantLog("level=WARN", "expires soon")
	s.clock = start.Add(40 * 24 * time.Hour)
	s.Check()
	s.wantLog("level=ERROR", "has expired")
	next := ca.Issue("next", valid(start.Add(-time.Hour), start.Add(60*24*time.Hour)))
	s.write("key", next.Key)
	s.write("cert", next.Cert)
	s.Check()
	if log := s.logged(); log == "" {
		t.Error("nothing is logged about the new certificate")
	}
	pass(24 * time.Hour)
	s.wantLog("level=WARN", "CN=next") // 19 days are left

	// A certificate valid for a week is usually replaced late in it, and not logged before.
	week := load(t, ca.Issue("week", valid(start, start.Add(7*24*time.Hour))), ca.PEM)
	week.clock = start.Add(4 * 24 * time.Hour)
	week.Check()
	week.wantNoLog()
	week.clock = start.Add(5 * 24 * time.Hour)
	week.Check()
	week.wantLog("level=WARN", "CN=week")

	between := ca.Intermediate("between", valid(start.AddDate(-1, 0, 0), start.Add(24*time.Hour)))
	behind := between.Issue("behind")
	behind.Cert = append(behind.Cert, between.PEM...)
	load(t, behind, nil).wantLog("level=WARN", "expires soon", "CN=between")
}
