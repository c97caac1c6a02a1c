package transport

import (
	"context"
	"errors"
	"net"
	"net/http"
	"reflect"
	"sync/atomic"
	"testing"
)

const (
	known = "127.0.0.1:7001" // the known address of alice
	moved = "127.0.0.1:7009"
)

// The first address that confirms or denies decides, whatever the others answer.
func TestConfirm(t *testing.T) {
	alone := func(p Presence) map[string]Presence { return map[string]Presence{known: p} }
	for name, c := range map[string]struct {
		says  map[string]Presence // by address; no answer at others
		want  Confirmation
		asked int
	}{
		"it is there and has dialled":              {alone(Presence{Member: alice, Dialled: true}), Confirmation{At: known}, 1},
		"it is there and has not dialled":          {alone(Presence{Member: alice}), Confirmation{Denied: true}, 1},
		"nobody answers":                           {nil, Confirmation{}, 2},
		"another member answers":                   {alone(Presence{Member: bob, Dialled: true}), Confirmation{}, 2},
		"it has moved":                             {map[string]Presence{moved: {Member: alice, Dialled: true}}, Confirmation{At: moved}, 2},
		"it has moved, and another one in":         {map[string]Presence{known: {Member: bob}, moved: {Member: alice, Dialled: true}}, Confirmation{At: moved}, 2},
		"a stranger says that it has moved":        {map[string]Presence{known: {Member: alice}, moved: {Member: alice, Dialled: true}}, Confirmation{Denied: true}, 1},
		"a stranger says that others have dialled": {map[string]Presence{moved: {Member: alice}}, Confirmation{Denied: true}, 2},
	} {
		asked := 0
		got := Confirm(alice, []string{known, moved}, func(addr string) (Presence, error) {
			asked++
			if p, ok := c.says[addr]; ok {
				return p, nil
			}
			return Presence{}, errors.New("connection refused")
		})
		if got != c.want || asked != c.asked {
			t.Errorf("%s: %+v after %d questions, want %+v after %d", name, got, asked, c.want, c.asked)
		}
	}
}

// A process confirms that it has dialled only to the member that it has dialled, and only for
// a token of its own.
func TestDialled(t *testing.T) {
	own := testConfig(bob)
	const trusted = "192.0.2.1:7001"
	m := startMachine(t, machineConfig{Config: own, trusted: []string{trusted}})
	other, another := testConfig(bob), testConfig(bob)
	other.Secret = []byte("another process")
	another.ClusterID++
	for name, c := range map[string]struct {
		asks  uint64
		token string
		want  bool
	}{
		"whom it has dialled":                   {alice, own.token(alice, known), true},
		"whom it has dialled where it trusts":   {alice, own.token(alice, trusted), true},
		"whoever was dialled in its place":      {alice, own.token(alice, moved), false},
		"another one with the same token":       {alice + 1, own.token(alice, known), false},
		"a token of another process":            {alice, other.token(alice, known), false},
		"a token of another cluster":            {alice, another.token(alice, known), false},
		"a made-up token":                       {alice, "00000000000000000000000000000000", false},
		"nothing, as when nobody is to be told": {alice, "", false},
	} {
		got, err := Ask(t.Context(), testConfig(c.asks), m.addr, c.token)
		if want := (Presence{Member: bob, Dialled: c.want}); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, want)
		}
	}
}

// asksBack returns a machine that asks back at known whenever it is dialled, and accepts the
// dialer if it is confirmed.
func asksBack(t *testing.T, ask func(ctx context.Context, addr, token string) (Presence, error)) *machine {
	return startMachine(t, machineConfig{ask: ask, judge: func(h Hello) Verdict {
		switch {
		case h.Asked == nil:
			return Verdict{Ask: []string{known}}
		case h.Asked.At == "":
			return Verdict{Status: http.StatusServiceUnavailable, Message: "unproven"}
		}
		return Verdict{}
	}})
}

// The member is asked back with the token of the handshake, and the dialer is accepted when it
// confirms.
func TestAskingBack(t *testing.T) {
	config := testConfig(alice)
	var m *machine
	m = asksBack(t, func(_ context.Context, addr, token string) (Presence, error) {
		if addr != known {
			return Presence{}, errors.New("connection refused")
		}
		return Presence{Member: alice, Dialled: config.Dialled(bob, []string{m.addr}, token)}, nil
	})
	connect(t, config, m.addr, Control, 1000)
	stranger := testConfig(alice)
	stranger.Secret = []byte("a guess")
	if got := receive(t, startSender(t, stranger, m.addr, Bulk, 1000).refused, "a refusal"); got.Status != http.StatusServiceUnavailable {
		t.Errorf("a stranger: %+v", got)
	}
}

// A stranger who knows everything but the secret makes this machine dial the member's known
// address, and few of the addresses that the stranger names.
func TestStrangersCauseFewDials(t *testing.T) {
	var elsewhere atomic.Int64
	m := asksBack(t, func(_ context.Context, addr, _ string) (Presence, error) {
		if addr != known {
			elsewhere.Add(1)
		}
		return Presence{}, errors.New("connection refused")
	})
	by := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}
	for nonce := range uint64(1000) {
		h := Hello{From: alice, Addr: moved, Nonce: nonce}
		if status, _ := m.receiver.judge(by, h); status != http.StatusServiceUnavailable {
			t.Fatalf("status %d", status)
		}
	}
	if got := elsewhere.Load(); got < claimBurst || got > 500 {
		t.Errorf("%d dials to where the stranger has said", got)
	}
	// Other dialers are not affected.
	before := elsewhere.Load()
	m.receiver.judge(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 2)}, Hello{From: alice, Addr: moved})
	if elsewhere.Load() != before+1 {
		t.Error("a machine that has moved is not asked for")
	}
}

// Asking back is bounded: once at a time for each process, and a few times at a time because
// of one host.
func TestAskingBackIsBounded(t *testing.T) {
	var asked atomic.Int64
	asking := make(chan struct{}, 1000)
	answer := make(chan struct{})
	m := asksBack(t, func(context.Context, string, string) (Presence, error) {
		asked.Add(1)
		asking <- struct{}{}
		<-answer
		return Presence{Member: alice, Dialled: true}, nil
	})
	by := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}
	verdicts := make(chan int, 1000)
	judge := func(nonce uint64) {
		status, _ := m.receiver.judge(by, Hello{From: alice, Addr: known, Nonce: nonce})
		verdicts <- status
	}
	for range 50 {
		go judge(1)
	}
	for nonce := range uint64(maxAskingFor - 1) {
		go judge(2 + nonce)
	}
	for range maxAskingFor {
		receive(t, asking, "a question")
	}
	judge(1000)
	if got := receive(t, verdicts, "a verdict"); got != http.StatusServiceUnavailable {
		t.Errorf("one more is asked: status %d", got)
	}
	close(answer)
	for range 50 + maxAskingFor - 1 {
		if got := receive(t, verdicts, "a verdict"); got != 0 {
			t.Errorf("status %d", got)
		}
	}
	if got := asked.Load(); got < maxAskingFor || got > maxAskingFor+50 {
		t.Errorf("%d questions", got)
	}
}

// A process that supersedes another one takes its place at once.
func TestSuperseding(t *testing.T) {
	m := startMachine(t, machineConfig{judge: func(h Hello) Verdict {
		if h.Nonce == 2 {
			return Verdict{Supersedes: true}
		}
		if h.Rival {
			return Verdict{Status: http.StatusConflict, Message: "another process"}
		}
		return Verdict{}
	}})
	first := connect(t, asProcess(alice, 1, ""), m.addr, Control, 1000)
	connect(t, asProcess(alice, 1, ""), m.addr, Bulk, 1000)
	second := connect(t, asProcess(alice, 2, ""), m.addr, Control, 1000)
	receive(t, first.down, "the end of the first stream")
	second.mustSend(t, "second")
	if f := receive(t, m.frames, "a frame"); string(f.Payload) != "second" {
		t.Errorf("got %q", f.Payload)
	}
	if got := receive(t, first.refused, "a refusal"); got.Status != http.StatusConflict {
		t.Errorf("the first process: %+v", got)
	}
}
