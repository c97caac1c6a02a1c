package transport

import (
	"net/http"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"etcd/version"
)

// asProcess returns the configuration of one process of a member.
func asProcess(member, nonce uint64, reach string) Config {
	cfg := testConfig(member)
	cfg.Nonce, cfg.Reach = nonce, func() string { return reach }
	return cfg
}

// Both ends learn the nonce of the peer's process, and how far its log reaches at that moment.
func TestHandshakeIsMutual(t *testing.T) {
	heard := make(chan Hello, 10)
	m := startMachine(t, machineConfig{Config: asProcess(bob, 0xb0b, "bob's reach"), admit: func(h Hello) (int, string) {
		heard <- h
		return 0, ""
	}})
	met := make(chan Hello, 10)
	s := NewSender(asProcess(alice, 0xa11ce, "alice's reach"), bob, m.addr, Control, 1000, Events{
		Meet: func(h Hello) (int, string) {
			met <- h
			return 0, ""
		},
	})
	t.Cleanup(s.Close)
	understood := version.Understood{Protocol: Protocol, Commands: version.Range{Min: 1, Max: 2}, Snapshots: version.Range{Min: 1, Max: 2}}
	want := Hello{ClusterID: cluster, From: alice, To: bob, Class: Control, Addr: "127.0.0.1:7001", Nonce: 0xa11ce, Reach: "alice's reach", Understood: understood}
	config := asProcess(alice, 0xa11ce, "")
	want.Token = config.token(bob, m.addr)
	if got := receive(t, heard, "a handshake"); !reflect.DeepEqual(got, want) {
		t.Errorf("the accepting side hears %+v, want %+v", got, want)
	}
	want = Hello{ClusterID: cluster, From: bob, To: alice, Class: Control, Addr: m.addr, Nonce: 0xb0b, Reach: "bob's reach", Understood: understood}
	if got := receive(t, met, "an answer"); !reflect.DeepEqual(got, want) {
		t.Errorf("the dialling side hears %+v, want %+v", got, want)
	}
}

// A machine that the dialer refuses is told so, and gets nothing else.
func TestTheDialerRefuses(t *testing.T) {
	m := startMachine(t, machineConfig{})
	up := make(chan bool, 10)
	s := NewSender(testConfig(alice), bob, m.addr, Bulk, 1000, Events{
		Meet: func(Hello) (int, string) { return http.StatusForbidden, "you have lost something" },
		Up:   func() { up <- true },
	})
	t.Cleanup(s.Close)
	for range 2 { // on every retry
		f := receive(t, m.frames, "a refusal")
		refused, err := DecodeRefusal(f.Payload)
		if f.Kind != KindRefusal || err != nil || *refused != (RefusedError{http.StatusForbidden, "you have lost something"}) {
			t.Errorf("got a frame of kind %d, %v, %v", f.Kind, refused, err)
		}
		if s.Send(Frame{Kind: KindRaft}) || len(up) > 0 {
			t.Error("the stream is used")
		}
	}
	if _, err := DecodeRefusal([]byte("nonsense")); err == nil {
		t.Error("nonsense is a refusal")
	}
}

// While a process is connected, another one with its identity is refused at every attempt;
// once the first one has gone, it is accepted.
func TestTwoProcessesOfOneMember(t *testing.T) {
	var rivals atomic.Int64
	m := startMachine(t, machineConfig{admit: func(h Hello) (int, string) {
		if h.Rival {
			rivals.Add(1)
			return http.StatusConflict, "another process"
		}
		return 0, ""
	}})
	first := connect(t, asProcess(alice, 1, ""), m.addr, Control, 1000)
	first.mustSend(t, "first")
	receive(t, m.frames, "a frame")
	second := startSender(t, asProcess(alice, 2, ""), m.addr, Bulk, 1000)
	if got := receive(t, second.refused, "a refusal"); got.Status != http.StatusConflict {
		t.Errorf("got %+v", got)
	}
	connect(t, asProcess(alice, 1, ""), m.addr, Bulk, 1000).Close()
	first.mustSend(t, "still first")
	receive(t, m.frames, "a frame")
	if len(second.up) > 0 {
		t.Error("both are connected")
	}
	first.Close()
	receive(t, second.up, "a stream of the second process")
	if rivals.Load() == 0 {
		t.Error("no rival was noticed")
	}
}

// A process that died silently blocks its successor only until its silence is noticed.
func TestTheSuccessorAfterAPowerCut(t *testing.T) {
	m := startMachine(t, machineConfig{admit: func(h Hello) (int, string) {
		if h.Rival {
			return http.StatusConflict, "another process"
		}
		return 0, ""
	}})
	dead := asProcess(alice, 1, "")
	c, err := open(t.Context(), dead, m.addr, http.MethodGet, StreamPath, dead.Hello(bob, m.addr, Control))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(AppendFrame(nil, Frame{Kind: KindRaft})); err != nil {
		t.Fatal(err)
	}
	receive(t, m.frames, "a frame") // from now on silence
	start := time.Now()
	next := startSender(t, asProcess(alice, 2, ""), m.addr, Control, 1000)
	receive(t, next.refused, "a refusal")
	receive(t, next.up, "a stream of the next process")
	t.Logf("after %v", time.Since(start))
}
