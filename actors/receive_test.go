package actors

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"etcd/raftnode"
	"etcd/store"
	"etcd/transport"
	"etcd/wal"
	"etcd/witness"
)

// where are the addresses in these tests.
const (
	at22, at55 = "192.0.2.22:7001", "192.0.2.55:7001"
	moved22    = "192.0.2.122:7001"
	stranger22 = "198.51.100.1:7001"
)

// knowing is what a machine knows in these tests: member 22 by its state, 55 because it is
// vouched for, and that 33 was removed.
func knowing(in *Inbox) {
	in.setAddressBook(&addressBook{removed: []uint64{33}, places: map[uint64]memberAddrs{22: {stated: at22}, 55: {vouched: at55, told: at55}}}, []uint64{22, 55})
}

// TestAdmit: which dialers are admitted under a member ID, and how the others are refused.
func TestAdmit(t *testing.T) {
	m := start(t, t.TempDir(), func(cfg *Config) { cfg.Nonce = 1 })
	knowing(m.Inbox)
	full, less := wal.Reach{Term: 5, LastTerm: 5, Last: 100, Commit: 90}, wal.Reach{Term: 5, LastTerm: 5, Last: 80, Commit: 80}
	hello := func(from, nonce uint64, reach wal.Reach) transport.Hello {
		return transport.Hello{Understood: Understood(), ClusterID: 77, From: from, To: testMember.ID, Nonce: nonce, Token: "t", Addr: at22, Reach: witness.EncodeReach(reach)}
	}
	confirmed := func(h transport.Hello) transport.Hello {
		h.Asked = &transport.Confirmation{At: at22}
		return h
	}
	rival := confirmed(hello(22, 8, full))
	rival.Rival = true
	mute := confirmed(hello(22, 8, full))
	mute.Reach = ""
	for _, c := range []struct {
		name   string
		hello  transport.Hello
		status int
		says   string
	}{
		{"a stranger, who may be a member soon", hello(44, 9, less), statusUnproven, "does not know"},
		{"a former member", hello(33, 9, full), statusGone, "removed"},
		{"this machine", hello(testMember.ID, 1, full), http.StatusPreconditionFailed, "this is that machine"},
		{"a copy of this machine", hello(testMember.ID, 2, full), statusRival, "another process with the identity of this machine"},
		{"a member", confirmed(hello(22, 7, full)), 0, ""},
		{"the same process, an earlier handshake", hello(22, 7, less), 0, ""},
		{"another process of it", rival, statusRival, "member 0000000000000016"},
		{"it says nothing of its log", mute, http.StatusBadRequest, "how far it reaches"},
		{"it comes back with all it had", confirmed(hello(22, 9, full)), 0, ""},
		{"it comes back with less", confirmed(hello(22, 10, less)), statusBehind,
			"curl -X DELETE http://127.0.0.1:4001/v2/members/0000000000000016, then start this machine as before with -f -C 127.0.0.1:7001 added once"},
	} {
		v := m.Inbox.Admit(c.hello)
		if len(v.Ask) > 0 || v.Status != c.status || !strings.Contains(v.Message, c.says) {
			t.Errorf("%s: %+v, want %d and %q", c.name, v, c.status, c.says)
		}
		if v.Status == 0 {
			m.eventually("it is noted", func() bool {
				book := m.book.Load()
				return book.Record(c.hello.From) != witness.Record{} && book.Judge(c.hello.From, c.hello.Nonce, wal.Reach{}, false) == witness.Welcome
			})
		}
	}
}

// A process that claims to be a member is accepted as one only when the member, asked back,
// says so, and has less influence as long as no other source knows its address.
func TestClaims(t *testing.T) {
	m := start(t, t.TempDir(), func(cfg *Config) { cfg.Nonce = 1 })
	knowing(m.Inbox)
	reach := wal.Reach{Term: 5, LastTerm: 5, Last: 100, Commit: 90}
	hello := func(from, nonce uint64, addr string) transport.Hello {
		return transport.Hello{Understood: Understood(), ClusterID: 77, From: from, To: testMember.ID, Nonce: nonce, Token: fmt.Sprint("token of ", nonce), Addr: addr, Reach: witness.EncodeReach(reach)}
	}
	at := func(addr string) *transport.Confirmation { return &transport.Confirmation{At: addr} }
	asked := func(h transport.Hello, c *transport.Confirmation) transport.Hello {
		h.Asked = c
		return h
	}
	rival := func(h transport.Hello) transport.Hello {
		h.Rival = true
		return h
	}
	guessed := hello(22, 1, at22)
	guessed.Token = "another one"
	for _, c := range []struct {
		name  string
		hello transport.Hello
		want  transport.Verdict // its Message is not compared
	}{
		{"not asked back yet", hello(22, 1, at22), transport.Verdict{Ask: []string{at22}}},
		{"a stranger claims another address", hello(22, 9, stranger22), transport.Verdict{Ask: []string{at22}}},
		{"the member says that it has not dialled", asked(hello(22, 9, stranger22), &transport.Confirmation{Denied: true}), transport.Verdict{Status: statusRival}},
		{"no answer", asked(hello(22, 9, stranger22), at("")), transport.Verdict{Status: statusUnproven}},
		{"the member says that it has", asked(hello(22, 1, at22), at(at22)), transport.Verdict{}},
		{"it dials again", hello(22, 1, at22), transport.Verdict{}},
		{"a stranger dials as that process", guessed, transport.Verdict{Ask: []string{at22}}},
		{"that process has moved", hello(22, 1, moved22), transport.Verdict{Ask: []string{at22}}},
		{"a stranger while the member does not answer, but is connected", rival(asked(hello(22, 9, stranger22), at(stranger22))), transport.Verdict{Status: statusRival}},
		{"the member dials again after that", hello(22, 1, at22), transport.Verdict{}},
		{"the next process, the end of the one before is not noticed", rival(asked(hello(22, 2, at22), at(at22))), transport.Verdict{Status: statusRival}},
		{"and then it is", asked(hello(22, 2, at22), at(at22)), transport.Verdict{}},
		{"a stranger while the member is down", asked(hello(22, 9, stranger22), at(stranger22)), transport.Verdict{}},
		{"the member is back", rival(asked(hello(22, 3, at22), at(at22))), transport.Verdict{Supersedes: true}},
		{"and has a second stream", hello(22, 3, at22), transport.Verdict{}},
		{"the stranger dials again", hello(22, 9, stranger22), transport.Verdict{Ask: []string{at22}}},
		{"one that is vouched for", hello(55, 1, at55), transport.Verdict{Ask: []string{at55}}},
		{"it says that it has dialled", asked(hello(55, 1, at55), at(at55)), transport.Verdict{}},
		{"one that is not vouched for", asked(hello(44, 1, stranger22), at(stranger22)), transport.Verdict{Status: statusUnproven}},
	} {
		got := m.Inbox.Admit(c.hello)
		if got.Message = ""; !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

// A stranger in the place of a member that is down can neither stop this machine, nor get the
// member refused because the stranger has claimed a longer log.
func TestStrangerInPlaceOfMember(t *testing.T) {
	m := start(t, t.TempDir())
	knowing(m.Inbox)
	expel := transport.Frame{Kind: transport.KindRefusal, Payload: transport.EncodeRefusal(statusGone, "removed")}
	pretends := witness.EncodeReach(wal.Reach{Term: 5, LastTerm: 5, Last: 1 << 40, Commit: 1 << 40})
	h := transport.Hello{Understood: Understood(), From: 22, Nonce: 9, Token: "t", Addr: stranger22, Reach: pretends, Asked: &transport.Confirmation{At: stranger22}}
	if v := m.Inbox.Admit(h); v.Status != 0 {
		t.Fatalf("%+v", v)
	}
	if status, message := m.Inbox.Meet(transport.Hello{Understood: Understood(), From: 22, Nonce: 9, Addr: stranger22, Reach: pretends}); status != 0 {
		t.Errorf("%d %s", status, message)
	}
	for _, f := range []transport.Frame{expel, {Kind: transport.KindReach, Payload: []byte(pretends)}} {
		if err := m.Inbox.Deliver(22, f); err != nil {
			t.Error(err)
		}
	}
	m.set("/foo", "this machine goes on") // behind all of that
	select {
	case d := <-m.Gone:
		t.Errorf("it was ended: %+v", d)
	default:
	}
	back := transport.Hello{Understood: Understood(), From: 22, Nonce: 2, Token: "u", Addr: at22, Asked: &transport.Confirmation{At: at22},
		Reach: witness.EncodeReach(wal.Reach{Term: 5, LastTerm: 5, Last: 100, Commit: 90})}
	if v := m.Inbox.Admit(back); v.Status != 0 || !v.Supersedes {
		t.Errorf("the member is back: %+v", v)
	}
	if err := m.Inbox.Deliver(22, expel); err != nil {
		t.Error(err)
	}
	if d := <-m.Gone; !d.Removed {
		t.Errorf("the member itself: %+v", d)
	}
}

// Nor is this machine stopped by a heartbeat which says that it has lost entries, unless that
// comes from the address of the member.
func TestStrangerCannotClaimLoss(t *testing.T) {
	m := start(t, t.TempDir(), func(cfg *Config) { cfg.Raft.MaxMembers = 9 })
	m.root.Send(m.Raft, &Join{ReplyTo: m.pid, ID: 1, Member: store.Member{ID: 22, Name: "m2", PeerURL: "http://" + at22, ClientURL: "http://192.0.2.22:4001"}})
	if joined := next[*Proposed](m.probe); joined.Err != nil {
		t.Fatal(joined.Err)
	}
	m.eventually("the member is known", func() bool { return m.Inbox.trusts(22, at22) })
	admit := func(nonce uint64, addr string) {
		h := transport.Hello{Understood: Understood(), From: 22, Nonce: nonce, Addr: addr, Reach: witness.EncodeReach(wal.Reach{}), Asked: &transport.Confirmation{At: addr}}
		if v := m.Inbox.Admit(h); v.Status != 0 {
			t.Fatalf("%+v", v)
		}
	}
	heartbeat := raftnode.Message{Message: &raftpb.Message{
		Type: raftpb.MsgHeartbeat.Enum(), From: new(uint64(22)), To: new(testMember.ID), Term: new(m.status().Raft.Term + 1), Commit: new(uint64(1 << 20)),
	}}
	payload, err := heartbeat.Encode()
	if err != nil {
		t.Fatal(err)
	}
	say := func() {
		if err := m.Inbox.Deliver(22, transport.Frame{Kind: transport.KindRaft, Payload: payload}); err != nil {
			t.Fatal(err)
		}
	}
	admit(9, stranger22)
	say()
	m.set("/foo", "this machine goes on") // behind that
	select {
	case d := <-m.Gone:
		t.Fatalf("it was ended: %+v", d)
	default:
	}
	admit(1, at22)
	say()
	if d := <-m.Gone; !d.Lost {
		t.Errorf("the member itself: %+v", d)
	}
}

// Frames of a machine that is no member here are ignored, but for Raft messages: it may be the
// leader from which this one has to learn. Its proposals have to wait for that.
func TestFramesOfNonMembers(t *testing.T) {
	m := start(t, t.TempDir())
	knowing(m.Inbox)
	if v := m.Inbox.Admit(transport.Hello{Understood: Understood(), From: 55, Nonce: 1, Token: "t", Addr: at55, Asked: &transport.Confirmation{At: at55},
		Reach: witness.EncodeReach(wal.Reach{})}); v.Status != 0 {
		t.Fatalf("%+v", v)
	}
	if err := m.Inbox.Deliver(55, transport.Frame{Kind: transport.KindForward, Payload: []byte("nonsense")}); !errors.Is(err, errNotMember) {
		t.Errorf("a proposal: %v", err)
	}
	for _, kind := range []transport.Kind{transport.KindRaft, transport.KindReject, transport.KindHash, transport.KindReach} {
		if err := m.Inbox.Deliver(55, transport.Frame{Kind: kind, Payload: []byte("nonsense")}); err != nil {
			t.Errorf("kind %d: %v", kind, err)
		}
	}
	if err := m.Inbox.Deliver(44, transport.Frame{Kind: transport.KindRefusal, Payload: transport.EncodeRefusal(statusGone, "removed")}); err != nil {
		t.Error(err)
	}
	m.set("/foo", "bar")
	if len(m.Gone) > 0 {
		t.Error("a stranger has stopped it")
	}
}

// The reaches of peers are on disk when the machine has stopped, and those of removed members
// are not.
func TestWitnessStoresReaches(t *testing.T) {
	dir := t.TempDir()
	m := start(t, dir)
	frame := func(reach wal.Reach) transport.Frame {
		return transport.Frame{Kind: transport.KindReach, Payload: []byte(witness.EncodeReach(reach))}
	}
	reach := wal.Reach{Term: 5, LastTerm: 5, Last: 100, Commit: 90}
	m.Inbox.setAddressBook(&addressBook{places: map[uint64]memberAddrs{22: {stated: at22}, 33: {stated: at55}}}, []uint64{22, 33})
	for id, addr := range map[uint64]string{22: at22, 33: at55} {
		h := transport.Hello{Understood: Understood(), From: id, Nonce: id, Addr: addr, Reach: witness.EncodeReach(wal.Reach{}), Asked: &transport.Confirmation{At: addr}}
		if v := m.Inbox.Admit(h); v.Status != 0 {
			t.Fatalf("%+v", v)
		}
		if err := m.Inbox.Deliver(id, frame(reach)); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Inbox.Deliver(22, transport.Frame{Kind: transport.KindReach, Payload: []byte("nonsense")}); err != nil {
		t.Fatal(err)
	}
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
