package transport

import (
	"bufio"
	"encoding/binary"
	"net"
	"net/http"
	"testing"
	"time"
)

func TestRoundTrips(t *testing.T) {
	m := startMachine(t, machineConfig{Config: testConfig(bob)})
	began := time.Now()
	d := connect(t, testConfig(alice), m.addr, Control, 1<<20)
	for range 3 {
		if took := receive(t, d.trips, "a round trip"); took <= 0 || took > time.Since(began) {
			t.Errorf("a round trip took %s", took)
		}
	}
	d.mustSend(t, "hello")
	receive(t, m.frames, "a frame")
	if n := m.receiver.Received(alice); n < 5 {
		t.Errorf("%d bytes received", n)
	}
	if n := m.receiver.Received(bob); n != 0 {
		t.Errorf("%d bytes received from a machine that has sent none", n)
	}
	m.stop()
	receive(t, d.down, "the end of the stream")
	if n := d.Stats().Disconnects; n != 1 {
		t.Errorf("%d disconnects", n)
	}
}

// A pong counts once, and only if it answers the last ping.
func TestForgedPongs(t *testing.T) {
	p := &pings{base: time.Now()}
	p.pending.Store(7)
	seven := binary.LittleEndian.AppendUint64(nil, 7)
	for _, payload := range [][]byte{nil, seven[:7], binary.LittleEndian.AppendUint64(nil, 8), make([]byte, 8)} {
		if took, ok := p.answered(payload); ok {
			t.Errorf("%x answers a ping after %s", payload, took)
		}
	}
	if _, ok := p.answered(seven); !ok {
		t.Error("the pong of the ping is none")
	}
	if _, ok := p.answered(seven); ok {
		t.Error("it counts twice")
	}
}

// A machine of a version that does not measure round trips gets pongs that it can read.
func TestPingsWithoutTime(t *testing.T) {
	m := startMachine(t, machineConfig{Config: testConfig(bob)})
	conn, err := net.Dial("tcp", m.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(requestOf(http.MethodGet, StreamPath, Control, nil)); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	if resp, err := http.ReadResponse(in, nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%+v, %v", resp, err)
	}
	if _, err := conn.Write(AppendFrame(nil, Frame{Kind: kindPing})); err != nil {
		t.Fatal(err)
	}
	if f, err := ReadFrame(in, 0); err != nil || f.Kind != kindPong {
		t.Fatalf("%+v, %v; want a pong without a payload", f, err)
	}
}
