package credentials

import (
	"path/filepath"
	"testing"
	"time"

	"etcd/credentials/certtest"
)

// Each file is listed once, with the certificate in it that expires first; what has expired of a
// bundle does not count.
func TestExpiries(t *testing.T) {
	start := time.Now().Truncate(time.Second)
	ca := certtest.New("ca")
	day := func(n int) time.Time { return start.AddDate(0, 0, n) }
	until := func(n int) func(*certtest.CA) []byte {
		return func(ca *certtest.CA) []byte { return ca.Intermediate("i", valid(start.AddDate(-1, 0, 0), day(n))).PEM }
	}
	between := ca.Intermediate("between", valid(start.AddDate(-1, 0, 0), day(40)))
	pair := between.Issue("machine", valid(start.AddDate(-1, 0, 0), day(50)))
	pair.Cert = append(pair.Cert, between.PEM...)
	check := func(s *side, want ...Expiry) {
		t.Helper()
		got := s.Expiries()
		if len(got) != len(want) {
			t.Fatalf("%v, want %v", got, want)
		}
		for i := range want {
			if got[i].File != filepath.Join(s.dir, want[i].File) || !got[i].NotAfter.Equal(want[i].NotAfter) {
				t.Errorf("%v, want %v", got[i], want[i])
			}
		}
	}
	check(load(t, pair, nil), Expiry{"cert", day(40)})
	bundle := append(append(ca.PEM, until(30)(ca)...), until(-30)(ca)...)
	check(load(t, pair, bundle), Expiry{"cert", day(40)}, Expiry{"ca", day(30)})

	own := certtest.New("self-signed").Own()
	s, cfg := newSide(t, own.Cert, own.Key, nil)
	cfg.CA = cfg.Cert
	s.load(cfg)
	check(s, Expiry{"cert", s.NotAfter()})
}
