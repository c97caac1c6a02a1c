package actors

import (
	"net/http"
	"strings"
	"testing"

	"etcd/store"
	"etcd/transport"
	"etcd/wal"
	"etcd/witness"
)

// TestAdmit is about who is taken in under a member ID, and what the others are told.
func TestAdmit(t *testing.T) {
	m := start(t, t.TempDir(), func(cfg *Config) { cfg.Nonce = 1 })
	m.Inbox.removed.Store(&[]uint64{33})
	full, less := wal.Reach{Term: 5, LastTerm: 5, Last: 100, Commit: 90}, wal.Reach{Term: 5, LastTerm: 5, Last: 80, Commit: 80}
	hello := func(from, nonce uint64, reach wal.Reach) transport.Hello {
		return transport.Hello{ClusterID: 77, From: from, To: testMember.ID, Nonce: nonce, Reach: witness.EncodeReach(reach)}
	}
	rival := hello(22, 8, full)
	rival.Rival = true
	mute := hello(22, 8, full)
	mute.Reach = ""
	for _, c := range []struct {
		name   string
		hello  transport.Hello
		status int
		says   string
	}{
		{"a stranger, who may be a member soon", hello(44, 9, less), 0, ""},
		{"one that was removed", hello(33, 9, full), statusGone, "removed"},
		{"this machine", hello(testMember.ID, 1, full), http.StatusPreconditionFailed, "this is that machine"},
		{"a copy of this machine", hello(testMember.ID, 2, full), statusRival, "another process with the identity of this machine"},
		{"a member", hello(22, 7, full), 0, ""},
		{"the same process, an earlier handshake", hello(22, 7, less), 0, ""},
		{"another process of it", rival, statusRival, "member 0000000000000016"},
		{"it says nothing of its log", mute, http.StatusBadRequest, "how far it reaches"},
		{"it comes back with all it had", hello(22, 9, full), 0, ""},
		{"it comes back with less", hello(22, 10, less), statusBehind,
			"curl -X DELETE http://127.0.0.1:4001/v2/members/0000000000000016, then start this machine as before with -f -C 127.0.0.1:7001 added once"},
	} {
		status, message := m.Inbox.Admit(c.hello)
		if status != c.status || !strings.Contains(message, c.says) {
			t.Errorf("%s: %d %q, want %d and %q", c.name, status, message, c.status, c.says)
		}
		if status == 0 {
			m.eventually("it is noted", func() bool {
				book := m.book.Load()
				return book.Record(c.hello.From) != witness.Record{} && book.Judge(c.hello.From, c.hello.Nonce, wal.Reach{}, false) == witness.Welcome
			})
		}
	}
}

// What the others have said is on disk when the machine has stopped, and what was said of
// removed members is not.
func TestWitnessKeepsWhatItHears(t *testing.T) {
	dir := t.TempDir()
	m := start(t, dir)
	frame := func(reach wal.Reach) transport.Frame {
		return transport.Frame{Kind: transport.KindReach, Payload: []byte(witness.EncodeReach(reach))}
	}
	reach := wal.Reach{Term: 5, LastTerm: 5, Last: 100, Commit: 90}
	for _, id := range []uint64{22, 33} {
		m.Inbox.Deliver(id, frame(reach))
	}
	m.Inbox.Deliver(22, transport.Frame{Kind: transport.KindReach, Payload: []byte("nonsense")})
	m.eventually("it is heard", func() bool { return m.book.Load().Record(33) != witness.Record{} })
	m.root.Send(m.Inbox.to.witness, &membership{members: []store.Member{testMember}, removed: []uint64{33}})
	m.eventually("it is forgotten", func() bool { return m.book.Load().Record(33) == witness.Record{} })
	if err := m.stop(); err != nil {
		t.Fatal(err)
	}
	m = start(t, dir)
	if got, want := m.book.Load().Record(22), (witness.Record{Term: 5, Index: 100, Committed: 90}); got != want {
		t.Errorf("after a restart %+v, want %+v", got, want)
	}
	if got := m.book.Load().Record(33); got != (witness.Record{}) {
		t.Errorf("of a removed member %+v", got)
	}
}
