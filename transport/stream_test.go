package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestFramesArriveInOrder(t *testing.T) {
	m := startMachine(t, machineConfig{Config: patientConfig(bob)})
	d := connect(t, patientConfig(alice), m.addr, Bulk, 1<<20)
	const count = 20_000
	sent := 0
	for got := 0; got < count; {
		for sent < count && d.Send(Frame{KindRaft, strconv.AppendInt(nil, int64(sent), 10)}) {
			sent++
		}
		f := receive(t, m.frames, "a frame")
		if f.from != alice || f.Kind != KindRaft || string(f.Payload) != strconv.Itoa(got) {
			t.Fatalf("frame %d: %q of kind %d from %x", got, f.Payload, f.Kind, f.from)
		}
		got++
	}
}

func TestKindsAndSizes(t *testing.T) {
	m := startMachine(t, machineConfig{Config: patientConfig(bob)})
	d := connect(t, patientConfig(alice), m.addr, Bulk, 1<<20)
	for _, f := range []Frame{
		{KindRaft, []byte("r")},
		{KindForward, nil},
		{KindReject, []byte("no")},
		{KindRaft, make([]byte, 8<<20)}, // larger than the whole queue, while that is empty
	} {
		for start := time.Now(); !d.Send(f); {
			// The previous frame counts until it was handed to the network.
			if time.Since(start) > patience {
				t.Fatalf("%d bytes were never taken: %+v", len(f.Payload), d.Stats())
			}
		}
		got := receive(t, m.frames, "a frame")
		if got.Kind != f.Kind || len(got.Payload) != len(f.Payload) {
			t.Errorf("sent kind %d with %d bytes, got kind %d with %d", f.Kind, len(f.Payload), got.Kind, len(got.Payload))
		}
	}
	if d.Send(Frame{KindRaft, make([]byte, MaxFrame+1)}) {
		t.Error("a frame over MaxFrame was taken")
	}
}

// TestPayloadIsCopied reuses a payload as soon as Send has returned.
func TestPayloadIsCopied(t *testing.T) {
	m := startMachine(t, machineConfig{Config: patientConfig(bob)})
	d := connect(t, patientConfig(alice), m.addr, Control, 1<<20)
	b := []byte("before")
	d.Send(Frame{KindRaft, b})
	copy(b, "after!")
	if got := receive(t, m.frames, "a frame"); string(got.Payload) != "before" {
		t.Errorf("got %q", got.Payload)
	}
}

func TestQueueFullDropsAndCounts(t *testing.T) {
	gate, got := make(chan struct{}), make(chan string, 10_000)
	m := startMachine(t, machineConfig{Config: patientConfig(bob), deliver: func(_ uint64, f Frame) {
		<-gate
		got <- string(f.Payload[:8])
	}})
	const limit = 1 << 20
	d := connect(t, patientConfig(alice), m.addr, Bulk, limit)
	taken := saturate(t, d)
	before := d.Stats().Dropped
	for range 5 {
		if d.Send(Frame{KindRaft, make([]byte, limit)}) {
			t.Fatal("the queue took more than its limit")
		}
	}
	if dropped := d.Stats().Dropped; dropped != before+5 {
		t.Errorf("%d drops were counted, not %d", dropped, before+5)
	}
	close(gate)
	for i := range taken {
		if f := receive(t, got, "a frame"); f != fmt.Sprintf("%08d", i) {
			t.Fatalf("frame %d is %s", i, f)
		}
	}
	s := d.Stats()
	for end := time.Now().Add(patience); s.Sent < uint64(taken) && time.Now().Before(end); s = d.Stats() {
		<-time.After(time.Millisecond) // a frame is counted when its write has returned
	}
	if !s.Connected || s.Sent != uint64(taken) || s.Bytes < uint64(taken)*saturatingPayload {
		t.Errorf("%d frames arrived, but %+v", taken, s)
	}
}

const saturatingPayload = 64 << 10

// saturate sends numbered frames until the network is blocked and the queue is full, and
// returns how many were taken.
func saturate(t *testing.T, d *dialler) (taken int) {
	t.Helper()
	payload := make([]byte, saturatingPayload)
	moved, last := time.Now(), d.Stats().Bytes
	for time.Since(moved) < 300*time.Millisecond {
		copy(payload, fmt.Sprintf("%08d", taken))
		if d.Send(Frame{KindRaft, payload}) {
			taken++
		} else {
			<-time.After(time.Millisecond) // leave the processor to the writer
		}
		if bytes := d.Stats().Bytes; bytes != last {
			moved, last = time.Now(), bytes
		}
	}
	if !d.Stats().Connected {
		t.Fatal("the stream was lost")
	}
	return taken
}

func TestControlDoesNotWaitForBulk(t *testing.T) {
	gate, control := make(chan struct{}), make(chan string, 1)
	m := startMachine(t, machineConfig{Config: patientConfig(bob), deliver: func(_ uint64, f Frame) {
		if len(f.Payload) < saturatingPayload {
			control <- string(f.Payload)
			return
		}
		<-gate
	}})
	defer close(gate)
	bulk := connect(t, patientConfig(alice), m.addr, Bulk, 1<<20)
	saturate(t, bulk)
	c := connect(t, patientConfig(alice), m.addr, Control, 1<<20)
	c.mustSend(t, "vote")
	if got := receive(t, control, "a control frame while bulk is stuck"); got != "vote" {
		t.Errorf("got %q", got)
	}
}

func TestReconnectsAfterRestart(t *testing.T) {
	m := startMachine(t, machineConfig{})
	d := connect(t, testConfig(alice), m.addr, Control, 1<<20)
	d.mustSend(t, "one")
	receive(t, m.frames, "a frame")
	m.stop()
	receive(t, d.down, "the loss of the stream")
	receive(t, d.gone, "that nothing listens there")
	receive(t, d.down, "another attempt")
	if d.Send(Frame{Kind: KindRaft}) || d.Stats().Connected {
		t.Error("frames are taken without a connection")
	}
	again := startMachine(t, machineConfig{addr: m.addr})
	receive(t, d.up, "a new stream")
	d.mustSend(t, "two")
	if f := receive(t, again.frames, "a frame"); string(f.Payload) != "two" {
		t.Errorf("got %q", f.Payload)
	}
	if len(d.gone) > 0 {
		t.Error("it was said again that nothing listens")
	}
}

func TestSilentPeerIsFound(t *testing.T) {
	m := startMachine(t, machineConfig{})
	p := startProxy(t, m.addr, nil)
	cfg := testConfig(alice)
	d := connect(t, cfg, p.addr, Control, 1<<20)
	d.mustSend(t, "hello")
	receive(t, m.frames, "a frame")

	p.hole.Store(true)
	err := receive(t, d.down, "the discovery")
	if !strings.Contains(err.Error(), "no sign of life for 500ms") {
		t.Errorf("the reason given is %q", err)
	}

	p.hole.Store(false)
	receive(t, d.up, "a new stream once the network works")
}

// TestAcceptingSideNoticesSilence has the stream of a member go silent and checks that the
// accepting side closes it.
func TestAcceptingSideNoticesSilence(t *testing.T) {
	text, log := newLog()
	cfg := testConfig(bob)
	cfg.Log = log
	m := startMachine(t, machineConfig{Config: cfg})
	p := startProxy(t, m.addr, nil)
	connect(t, testConfig(alice), p.addr, Control, 1<<20)
	p.hole.Store(true)
	text.waitFor(t, "peer connection closed", "timeout")
}

// TestIdleAndSlowStreamsLive keeps one stream idle and another waiting for a
// receiver that needs half of Dead for a frame, for several times Dead.
func TestIdleAndSlowStreamsLive(t *testing.T) {
	cfg, dialling := testConfig(bob), testConfig(alice)
	cfg.Dead = 2 * time.Second // on a busy host a keepalive may be late
	dialling.Dead = cfg.Dead
	finished := make(chan struct{})
	const frames = 4
	handled := 0
	m := startMachine(t, machineConfig{Config: cfg, deliver: func(uint64, Frame) {
		<-time.After(cfg.Dead / 2)
		if handled++; handled == frames {
			close(finished)
		}
	}})
	idle := connect(t, dialling, m.addr, Control, 1<<20)
	slow := connect(t, dialling, m.addr, Bulk, 1<<20)
	for range frames {
		slow.mustSend(t, "work")
	}
	receive(t, finished, "the slow frames")
	for name, d := range map[string]*dialler{"idle": idle, "slow": slow} {
		if len(d.down) > 0 {
			t.Errorf("the %s stream was lost: %v", name, <-d.down)
		}
	}
}

func TestDamagedFrameEndsTheStream(t *testing.T) {
	text, log := newLog()
	cfg := testConfig(bob)
	cfg.Log = log
	m := startMachine(t, machineConfig{Config: cfg})
	const offset = 100_000 // well after the handshake
	p := startProxy(t, m.addr, flip(offset))
	d := connect(t, testConfig(alice), p.addr, Bulk, 1<<20)
	d.Send(Frame{KindRaft, make([]byte, 2*offset)})
	text.waitFor(t, "WARN", "peer connection closed", "damaged in transit", "from=00000000000000a1")
	receive(t, d.down, "the loss of the stream")
	if len(m.frames) > 0 {
		t.Error("the damaged frame was delivered")
	}
	receive(t, d.up, "a new stream")
	d.mustSend(t, "clean")
	if f := receive(t, m.frames, "a frame"); string(f.Payload) != "clean" {
		t.Errorf("got %q", f.Payload)
	}
}

// TestUnknownFrameEndsTheStream sends a frame of a snapshot on a stream.
func TestUnknownFrameEndsTheStream(t *testing.T) {
	text, log := newLog()
	cfg := testConfig(bob)
	cfg.Log = log
	m := startMachine(t, machineConfig{Config: cfg})
	d := connect(t, testConfig(alice), m.addr, Bulk, 1<<20)
	d.Send(Frame{Kind: kindSnapshotPiece})
	text.waitFor(t, "peer connection closed", "a frame of kind 33 is unknown")
	receive(t, d.down, "the loss of the stream")
}

func TestSetAddr(t *testing.T) {
	first, second := startMachine(t, machineConfig{}), startMachine(t, machineConfig{})
	d := connect(t, testConfig(alice), first.addr, Control, 1<<20)
	d.SetAddr(first.addr)
	d.mustSend(t, "one")
	receive(t, first.frames, "a frame at the first address")
	d.SetAddr(second.addr)
	if err := receive(t, d.down, "the end of the first stream"); !strings.Contains(err.Error(), "the address of the member changed") {
		t.Errorf("the reason given is %q", err)
	}
	receive(t, d.up, "a stream to the second address")
	d.mustSend(t, "two")
	receive(t, second.frames, "a frame at the second address")
}

// TestSetAddrDuringPause changes the address of a Sender that is backing off.
func TestSetAddrDuringPause(t *testing.T) {
	m := startMachine(t, machineConfig{})
	cfg := patientConfig(alice) // its pauses grow to a minute
	dialled := make(chan struct{}, 1000)
	tcp := cfg.Dial
	cfg.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
		dialled <- struct{}{}
		if addr == "nowhere:1" {
			return nil, errors.New("no such machine")
		}
		return tcp(ctx, addr)
	}
	d := startSender(t, cfg, "nowhere:1", Control, 1<<20)
	for range 5 {
		receive(t, dialled, "an attempt")
	}
	d.SetAddr(m.addr)
	receive(t, d.up, "a stream")
}

func TestBackOff(t *testing.T) {
	cfg := testConfig(alice)
	dialled := make(chan time.Time, 1000)
	cfg.Dial = func(context.Context, string) (net.Conn, error) {
		dialled <- time.Now()
		return nil, errors.New("no such machine")
	}
	d := startSender(t, cfg, "nowhere:1", Control, 1<<20)
	first := receive(t, dialled, "an attempt")
	last := first
	for pause := firstPause; pause <= cfg.Dead/2; pause *= 2 {
		at := receive(t, dialled, "an attempt")
		if at.Sub(last) < pause/2 {
			t.Errorf("a pause of %s where at least %s was due", at.Sub(last), pause/2)
		}
		last = at
	}
	if err := receive(t, d.down, "the failure"); !strings.Contains(err.Error(), "no such machine") {
		t.Error(err)
	}
	if more := len(d.down); time.Duration(more) > time.Since(first)/cfg.Dead {
		t.Errorf("the same failure was reported %d times more within %s", more, time.Since(first))
	}
}

func TestNewStreamEndsTheOldOne(t *testing.T) {
	m := startMachine(t, machineConfig{})
	p := startProxy(t, m.addr, nil)
	cfg := patientConfig(alice)
	old := connect(t, cfg, p.addr, Control, 1<<20)
	bulk := connect(t, cfg, m.addr, Bulk, 1<<20)
	connect(t, cfg, m.addr, Control, 1<<20)
	receive(t, old.down, "the end of the old stream")
	bulk.mustSend(t, "the other class goes on")
	receive(t, m.frames, "a frame")
}

func TestDrop(t *testing.T) {
	removed := make(chan struct{})
	m := startMachine(t, machineConfig{admit: func(h Hello) (int, string) {
		select {
		case <-removed:
			if h.From == alice {
				return http.StatusGone, "removed"
			}
		default:
		}
		return 0, ""
	}})
	gone := connect(t, testConfig(alice), m.addr, Control, 1<<20)
	stays := connect(t, testConfig(0xa2), m.addr, Control, 1<<20)
	stays.mustSend(t, "here") // a stream that is not served yet during a Drop has to reconnect
	receive(t, m.frames, "a frame")
	close(removed)
	m.receiver.Drop(alice)
	receive(t, gone.down, "the end of the stream")
	if r := receive(t, gone.refused, "a refusal"); r.Status != http.StatusGone {
		t.Errorf("refused with %d", r.Status)
	}
	stays.mustSend(t, "still here")
	if f := receive(t, m.frames, "a frame"); f.from != 0xa2 {
		t.Errorf("a frame from %x", f.from)
	}
}

// TestDropDuringHandshake removes a member between its admission and its stream.
func TestDropDuringHandshake(t *testing.T) {
	var m *machine
	started := make(chan struct{})
	var dropped atomic.Bool
	m = startMachine(t, machineConfig{admit: func(h Hello) (int, string) {
		<-started
		if dropped.CompareAndSwap(false, true) {
			m.receiver.Drop(h.From)
			return 0, "" // decided before the removal
		}
		return http.StatusGone, "removed"
	}})
	close(started)
	d := startSender(t, testConfig(alice), m.addr, Control, 1<<20)
	receive(t, d.refused, "a refusal")
	if d.Stats().Connected {
		t.Error("the removed member is still connected")
	}
}

func TestCloseEndsEverything(t *testing.T) {
	m := startMachine(t, machineConfig{})
	d := connect(t, testConfig(alice), m.addr, Control, 1<<20)
	d.Close()
	d.Close()
	if d.Stats().Connected || d.Send(Frame{Kind: KindRaft}) {
		t.Error("a closed Sender takes frames")
	}
	if len(d.down) > 0 {
		t.Errorf("Close was reported as a loss: %v", <-d.down)
	}

	// The handshake of this one is never answered.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	stuck := startSender(t, patientConfig(alice), l.Addr().String(), Control, 1<<20)
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	stuck.Close()

	other := connect(t, testConfig(alice), m.addr, Control, 1<<20)
	m.receiver.Close()
	receive(t, other.down, "the end of the stream")
}
