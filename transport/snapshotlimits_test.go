package transport

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestSnapshotStalls has the network go silent in the middle of a body.
func TestSnapshotStalls(t *testing.T) {
	got := make(chan received, 1)
	quick := func(member uint64) Config {
		cfg := testConfig(member)
		cfg.Dead = 100 * time.Millisecond
		return cfg
	}
	m := startMachine(t, machineConfig{Config: quick(bob), receive: drain(got)})
	p := startProxy(t, m.addr, func(p *proxy, offset int64, _ []byte) bool {
		if offset > 3<<20 {
			p.hole.Store(true)
		}
		return true
	})
	sent := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { sent <- SendSnapshot(ctx, quick(alice), bob, p.addr, nil, 8<<20, source(8<<20), nil) }()
	r := receive(t, got, "the failure")
	if netErr, ok := errors.AsType[net.Error](r.err); !ok || !netErr.Timeout() {
		t.Errorf("received %+v", r)
	}
	if len(sent) > 0 {
		t.Errorf("SendSnapshot returned %v, but a disk may take this long", <-sent)
	}
	cancel()
	if err := receive(t, sent, "the end"); !errors.Is(err, context.Canceled) {
		t.Errorf("the sender got %v", err)
	}
}

// TestSnapshotTrickles sends bytes in time for every read, but too slowly.
func TestSnapshotTrickles(t *testing.T) {
	const grace = 10 * time.Second
	for _, c := range []struct {
		name  string
		bytes int           // per read
		takes time.Duration // per read
		ends  bool
	}{
		{"a byte now and then", 1, 9 * time.Second, true},
		{"a little less than it has to be", minSnapshotRate - 1000, time.Second, true},
		{"just as much", minSnapshotRate, time.Second, false},
		{"large pieces with pauses", 10 * minSnapshotRate, 10 * time.Second, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := time.Unix(0, 0)
			r := &paced{grace: grace, now: func() time.Time { return now }, Reader: readerFunc(func([]byte) (int, error) {
				now = now.Add(c.takes)
				return c.bytes, nil
			})}
			for r.waited < time.Hour {
				_, err := r.Read(nil)
				now = now.Add(time.Minute) // the receiver is slow, which does not count
				if err == nil {
					continue
				}
				if !c.ends || !errors.Is(err, ErrTooSlow) {
					t.Fatalf("after %s: %v", r.waited, err)
				}
				return
			}
			if c.ends {
				t.Fatalf("%d bytes in %s are enough", r.bytes, r.waited)
			}
		})
	}
}

// TestSnapshotOfTheNextLeader sends a snapshot while one of the previous leader is in flight;
// it does not wait for that.
func TestSnapshotOfTheNextLeader(t *testing.T) {
	got := make(chan received, 2)
	m := startMachine(t, machineConfig{receive: drain(got)})
	begun, goOn := make(chan struct{}), make(chan struct{})
	defer close(goOn)
	var once sync.Once
	endless := readerFunc(func([]byte) (int, error) {
		once.Do(func() { close(begun) })
		<-goOn
		return 0, io.ErrUnexpectedEOF
	})
	first := make(chan error, 1)
	go func() {
		first <- SendSnapshot(t.Context(), testConfig(alice), bob, m.addr, nil, 2<<20, io.MultiReader(source(1<<20), endless), nil)
	}()
	<-begun
	if err := SendSnapshot(t.Context(), testConfig(alice+1), bob, m.addr, nil, 5, source(5), nil); err != nil {
		t.Fatal(err)
	}
	if r := receive(t, got, "the end of the first"); r.err == nil || r.from != alice {
		t.Errorf("received %+v", r)
	}
	if r := receive(t, got, "the second"); r.err != nil || r.bytes != 5 {
		t.Errorf("received %+v", r)
	}
}

// TestSnapshotNotWanted sends others while the leader's snapshot is in flight: one that is not
// wanted, with its whole body, one that stays silent, one whose announcement is slow. They are
// refused, nothing of their bodies is received, and the leader's arrives.
func TestSnapshotNotWanted(t *testing.T) {
	got := make(chan received, 2)
	unwanted := errors.New("this one does not lead")
	m := startMachine(t, machineConfig{Config: patientConfig(bob), receive: drain(got), offered: func(from uint64, message []byte) error {
		if from != alice || string(message) != "MsgSnap" {
			return unwanted
		}
		return nil
	}})
	begun, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	body := io.MultiReader(source(1<<20), readerFunc(func([]byte) (int, error) {
		once.Do(func() { close(begun) })
		<-goOn
		return 0, io.EOF
	}))
	first := make(chan error, 1)
	go func() {
		first <- SendSnapshot(t.Context(), patientConfig(alice), bob, m.addr, []byte("MsgSnap"), 1<<20, body, nil)
	}()
	receive(t, begun, "the leader's")
	for from, message := range map[uint64]string{alice + 1: "MsgSnap", alice + 2: ""} {
		err := SendSnapshot(t.Context(), patientConfig(from), bob, m.addr, []byte(message), 1<<40, rand.NewChaCha8([32]byte{}), nil)
		if refused, ok := errors.AsType[*RefusedError](err); !ok || refused.Message != unwanted.Error() {
			t.Errorf("%x got %v", from, err)
		}
	}
	silent, err := open(t.Context(), patientConfig(alice+3), m.addr, http.MethodPost, SnapshotPath, func() Hello {
		cfg := patientConfig(alice + 3)
		return cfg.Hello(bob, m.addr, classSnapshot)
	}())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	close(goOn)
	if err := receive(t, first, "the end of the leader's"); err != nil {
		t.Errorf("the leader got %v", err)
	}
	if r := receive(t, got, "the leader's"); r.from != alice || r.bytes != 1<<20 || r.err != nil {
		t.Errorf("received %+v", r)
	}
	if len(got) > 0 {
		t.Errorf("received %+v", <-got)
	}
}

// TestSnapshotWithoutAMessage sends nothing, or a byte now and then, instead of an announcement.
func TestSnapshotWithoutAMessage(t *testing.T) {
	cfg := testConfig(bob)
	cfg.Dead = 20 * time.Millisecond
	m := startMachine(t, machineConfig{Config: cfg})
	for _, every := range []time.Duration{0, cfg.Dead} {
		hello := testConfig(alice)
		c, err := open(t.Context(), testConfig(alice), m.addr, http.MethodPost, SnapshotPath, hello.Hello(bob, m.addr, classSnapshot))
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() {
			_, err := io.ReadAll(c.Conn)
			ended <- err
		}()
		if every > 0 {
			frame := AppendFrame(nil, Frame{kindSnapshotMessage, make([]byte, 1<<20)})
			go func() {
				pace := time.NewTicker(every) // the sender is slow
				defer pace.Stop()
				for _, b := range frame {
					if _, err := c.Conn.Write([]byte{b}); err != nil {
						return
					}
					<-pace.C
				}
			}()
		}
		receive(t, ended, "the end of a connection that brings nothing")
		_ = c.Close()
	}
}

// TestSnapshotLargerThanAnnounced sends more than announced, which fails at the announced size,
// and less.
func TestSnapshotLargerThanAnnounced(t *testing.T) {
	got := make(chan received, 1)
	m := startMachine(t, machineConfig{receive: drain(got)})
	err := SendSnapshot(t.Context(), testConfig(alice), bob, m.addr, nil, 3<<20, rand.NewChaCha8([32]byte{}), nil)
	if refused, ok := errors.AsType[*RefusedError](err); !ok || !strings.Contains(refused.Message, "was to have 3145728 bytes") {
		t.Errorf("the sender got %v", err)
	}
	if r := receive(t, got, "the failure"); !errors.Is(r.err, ErrTooLarge) || r.bytes > 3<<20 {
		t.Errorf("received %+v", r)
	}
	err = SendSnapshot(t.Context(), testConfig(alice), bob, m.addr, nil, 10, strings.NewReader("nine byte"), nil)
	if err == nil || !strings.Contains(err.Error(), "it has 9 bytes, and not 10") {
		t.Errorf("the sender of less got %v", err)
	}
}
