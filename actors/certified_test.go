package actors

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"

	"etcd/store"
	"etcd/transport"
	"etcd/wal"
	"etcd/witness"
)

// A certificate has to name the known host of the member; that of an unknown member, or of one
// that claims to have moved, the host that it claims.
func TestCertificatesOfMembers(t *testing.T) {
	m := start(t, t.TempDir(), func(cfg *Config) {
		cfg.Host = Process(func(context.Context, string) (net.Conn, error) {
			return nil, errors.New("there are no other machines here")
		})
	})
	names := func(hosts ...string) transport.Certified {
		return func(host string) error {
			if slices.Contains(hosts, host) {
				return nil
			}
			return errors.New("it does not name " + host)
		}
	}
	m.Inbox.setAddressBook(&addressBook{places: map[uint64]memberAddrs{22: {stated: "n2.example.com:7001"}, 33: {stated: "[fd00::3]:7001"}}}, nil)
	m.Inbox.members.Store(&[]store.Member{testMember, {ID: 22, PeerURL: "https://n2.example.com:7001"}, {ID: 33, PeerURL: "http://[fd00::3]:7001"}})
	full := witness.EncodeReach(wal.Reach{Term: 5, LastTerm: 5, Last: 100, Commit: 90})
	for _, c := range []struct {
		name      string
		from      uint64
		addr      string
		certified transport.Certified
		status    int
		says      string
	}{
		{"nobody is verified", 22, "n2.example.com:7001", nil, 0, ""},
		{"a client", 22, "n2.example.com:7001", names(), transport.StatusUncertified, "it does not name n2.example.com"},
		{"a client that says nothing of where it is", 22, "", names(), transport.StatusUncertified, "it does not name "},
		{"the member", 22, "n2.example.com:7001", names("n2.example.com"), 0, ""},
		{"the member at another port", 22, "n2.example.com:7002", names("n2.example.com"), 0, ""},
		{"another member in its name", 22, "n2.example.com:7001", names("fd00::3"), transport.StatusUncertified, "it does not name n2.example.com"},
		{"the member by its address", 33, "[fd00::3]:7001", names("fd00::3"), 0, ""},
		{"the member, which has moved", 22, "n9.example.com:7001", names("n9.example.com"), 0, ""},
		{"a client, as a member that has moved", 22, "n9.example.com:7001", names("alice.example.com"), transport.StatusUncertified, "it does not name n9.example.com"},
		{"one that is not known", 44, "n4.example.com:7001", names("n4.example.com"), 0, ""},
		{"a client as one that is not known", 44, "n4.example.com:7001", names(), transport.StatusUncertified, "it does not name n4.example.com"},
		{"a member as one that is not known", 44, "n4.example.com:7001", names("n2.example.com"), transport.StatusUncertified, "it does not name n4.example.com"},
	} {
		hello := transport.Hello{Understood: Understood(), ClusterID: 77, From: c.from, To: testMember.ID, Nonce: c.from, Addr: c.addr, Reach: full, Certified: c.certified}
		v := m.Inbox.Admit(hello)
		if passed := len(v.Ask) > 0 || v.Status == statusUnproven; passed != (c.status == 0) || !passed && (v.Status != c.status || v.Message != c.says) {
			t.Errorf("%s: %+v, want %d %q", c.name, v, c.status, c.says)
		}
	}
	for _, c := range []struct {
		name      string
		said      string
		certified transport.Certified
		belongs   bool
	}{
		{"nobody is verified", "", nil, true},
		{"a client", "", names(), false},
		{"a client that says where it is", "n2.example.com:7001", names(), false},
		{"a member", "", names("n2.example.com"), true},
		{"a member that has moved and says so", "n8.example.com:7001", names("n8.example.com"), true},
		{"a member that has moved and does not say so", "", names("n8.example.com"), false},
	} {
		if err := m.Inbox.Belongs(c.certified, c.said); (err == nil) != c.belongs {
			t.Errorf("%s: %v, want %t", c.name, err, c.belongs)
		}
	}
}
