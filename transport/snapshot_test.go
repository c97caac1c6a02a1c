package transport

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"
)

// source is a body of any length that takes no memory.
func source(size int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{1}), size)
}

// received is what a receive callback saw.
type received struct {
	from    uint64
	message string
	bytes   int64
	sum     uint32
	err     error
}

// drain receives a snapshot without keeping it.
func drain(into chan<- received) func(from uint64, message []byte, size int64, body io.Reader) error {
	return func(from uint64, message []byte, _ int64, body io.Reader) error {
		sum := crc32.New(castagnoli)
		n, err := io.CopyBuffer(sum, body, make([]byte, 32<<10))
		into <- received{from, string(message), n, sum.Sum32(), err}
		return err
	}
}

func TestSnapshotStreams(t *testing.T) {
	const size = 64<<20 + 12345
	got := make(chan received, 1)
	m := startMachine(t, machineConfig{receive: drain(got)})
	want := crc32.New(castagnoli)
	if _, err := io.Copy(want, source(size)); err != nil {
		t.Fatal(err)
	}

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	var reports []int64
	err := SendSnapshot(t.Context(), testConfig(alice), bob, m.addr, []byte("MsgSnap"), size, source(size),
		func(bytes int64) { reports = append(reports, bytes) })
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(start)
	runtime.ReadMemStats(&after)

	if r := receive(t, got, "the snapshot"); r != (received{alice, "MsgSnap", size, want.Sum32(), nil}) {
		t.Errorf("received %+v", r)
	}
	if len(reports) == 0 || reports[len(reports)-1] != size {
		t.Errorf("progress was reported as %v", reports)
	}
	allocated := after.TotalAlloc - before.TotalAlloc
	t.Logf("%.0f MiB/s, %d KiB allocated on both sides together", size/took.Seconds()/(1<<20), allocated>>10)
	if allocated > 4<<20 {
		t.Errorf("%d bytes were allocated", allocated)
	}
}

// TestSnapshotSizes crosses the edges of a piece.
func TestSnapshotSizes(t *testing.T) {
	got := make(chan received, 1)
	m := startMachine(t, machineConfig{receive: drain(got)})
	for _, size := range []int64{0, 1, snapshotPiece - 1, snapshotPiece, snapshotPiece + 1, 2 * snapshotPiece} {
		if err := SendSnapshot(t.Context(), testConfig(alice), bob, m.addr, nil, size, source(size), nil); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
		if r := receive(t, got, "the snapshot"); r.bytes != size {
			t.Errorf("%d bytes arrived of %d", r.bytes, size)
		}
	}
}

func TestSnapshotIsAcknowledgedWhenDurable(t *testing.T) {
	arrived, durable := make(chan struct{}), make(chan struct{})
	m := startMachine(t, machineConfig{receive: func(_ uint64, _ []byte, _ int64, body io.Reader) error {
		if _, err := io.Copy(io.Discard, body); err != nil {
			return err
		}
		close(arrived)
		<-durable
		return nil
	}})
	sent := make(chan error, 1)
	go func() {
		sent <- SendSnapshot(t.Context(), testConfig(alice), bob, m.addr, nil, 4, strings.NewReader("body"), nil)
	}()
	receive(t, arrived, "the body")
	select {
	case err := <-sent:
		t.Errorf("SendSnapshot returned %v before the snapshot was durable", err)
	case <-time.After(100 * time.Millisecond):
	}
	close(durable)
	if err := receive(t, sent, "the acknowledgement"); err != nil {
		t.Error(err)
	}
}

func TestSnapshotCutInTheMiddle(t *testing.T) {
	got := make(chan received, 1)
	m := startMachine(t, machineConfig{receive: drain(got)})
	p := startProxy(t, m.addr, cut(3<<20))
	if err := SendSnapshot(t.Context(), testConfig(alice), bob, p.addr, nil, 8<<20, source(8<<20), nil); err == nil {
		t.Error("the sender takes a snapshot for delivered that was cut off")
	}
	if r := receive(t, got, "the failure"); r.err == nil || r.bytes == 0 || r.bytes >= 3<<20 {
		t.Errorf("received %+v", r)
	}
}

func TestSnapshotDamagedInTransit(t *testing.T) {
	got := make(chan received, 1)
	m := startMachine(t, machineConfig{receive: drain(got)})
	p := startProxy(t, m.addr, flip(3<<20))
	err := SendSnapshot(t.Context(), testConfig(alice), bob, p.addr, nil, 8<<20, source(8<<20), nil)
	refused, ok := errors.AsType[*RefusedError](err)
	if !ok || refused.Status != http.StatusInternalServerError || !strings.Contains(refused.Message, "damaged in transit") {
		t.Errorf("the sender got %v", err)
	}
	if r := receive(t, got, "the failure"); !errors.Is(r.err, ErrDamaged) || r.bytes >= 3<<20 {
		t.Errorf("received %+v", r)
	}
}

// TestSnapshotTrailer has all pieces intact but not the whole.
func TestSnapshotTrailer(t *testing.T) {
	piece := AppendFrame(nil, Frame{kindSnapshotPiece, []byte("piece")})
	end := func(size uint64, body string) []byte {
		b := binary.LittleEndian.AppendUint64(nil, size)
		b = binary.LittleEndian.AppendUint32(b, crc32.Checksum([]byte(body), castagnoli))
		return AppendFrame(nil, Frame{kindSnapshotEnd, b})
	}
	for _, c := range []struct {
		name string
		size uint64 // as announced
		wire []byte
		want error
	}{
		{"whole", 5, append(bytes.Clone(piece), end(5, "piece")...), nil},
		{"nothing", 5, nil, io.ErrUnexpectedEOF},
		{"no end", 5, piece, io.ErrUnexpectedEOF},
		{"a piece missing", 10, append(bytes.Clone(piece), end(10, "piecepiece")...), ErrDamaged},
		{"pieces mixed up", 5, append(bytes.Clone(piece), end(5, "eceip")...), ErrDamaged},
		{"less than was announced", 6, append(bytes.Clone(piece), end(5, "piece")...), ErrDamaged},
		{"more than was announced", 4, append(bytes.Clone(piece), end(5, "piece")...), ErrTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := &snapshotBody{r: reader(c.wire), size: c.size}
			if _, err := io.ReadAll(body); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if err := body.finish(); !errors.Is(err, c.want) {
				t.Errorf("afterwards error %v, want %v", err, c.want)
			}
		})
	}
}

// TestSnapshotReceiverFails has the receiver give up on a body without end.
func TestSnapshotReceiverFails(t *testing.T) {
	m := startMachine(t, machineConfig{Config: patientConfig(bob), receive: func(_ uint64, _ []byte, _ int64, body io.Reader) error {
		if _, err := io.CopyN(io.Discard, body, 1<<20); err != nil {
			return err
		}
		return errors.New("no space left on device")
	}})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := SendSnapshot(ctx, patientConfig(alice), bob, m.addr, nil, 1<<40, rand.NewChaCha8([32]byte{}), nil)
	refused, ok := errors.AsType[*RefusedError](err)
	if !ok || refused.Status != http.StatusInternalServerError || refused.Message != "no space left on device" {
		t.Errorf("got %v", err)
	}
}

// TestSnapshotReadInPart has a receiver content with less than there is.
func TestSnapshotReadInPart(t *testing.T) {
	m := startMachine(t, machineConfig{receive: func(_ uint64, _ []byte, _ int64, body io.Reader) error {
		_, err := io.CopyN(io.Discard, body, 5)
		return err
	}})
	if err := SendSnapshot(t.Context(), testConfig(alice), bob, m.addr, nil, 5, strings.NewReader("12345"), nil); err != nil {
		t.Errorf("all was read: %v", err)
	}
	if err := SendSnapshot(t.Context(), testConfig(alice), bob, m.addr, nil, 6, strings.NewReader("123456"), nil); err == nil {
		t.Error("a byte was left and nobody said so")
	}
}

func TestSnapshotSourceFails(t *testing.T) {
	// The second error must not pass for the end of the body.
	for _, failure := range []error{errors.New("checksum mismatch"), io.ErrUnexpectedEOF} {
		got := make(chan received, 1)
		m := startMachine(t, machineConfig{receive: drain(got)})
		body := io.MultiReader(source(1<<20+5), iotest.ErrReader(failure))
		err := SendSnapshot(t.Context(), testConfig(alice), bob, m.addr, nil, 1<<40, body, nil)
		if !errors.Is(err, failure) {
			t.Errorf("the sender got %v", err)
		}
		if r := receive(t, got, "the failure"); r.err == nil {
			t.Errorf("received %+v", r)
		}
	}
}

func TestSnapshotCancelled(t *testing.T) {
	got := make(chan received, 1)
	m := startMachine(t, machineConfig{receive: drain(got)})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	body := io.MultiReader(source(1<<20), readerFunc(func(p []byte) (int, error) {
		cancel()
		return len(p), nil
	}))
	if err := SendSnapshot(ctx, testConfig(alice), bob, m.addr, nil, 1<<40, body, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("the sender got %v", err)
	}
	if r := receive(t, got, "the failure"); r.err == nil {
		t.Errorf("received %+v", r)
	}
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestSnapshotStalls has the network go silent in the middle.
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

// TestSnapshotTrickles has bytes come in time for every read, but too few.
func TestSnapshotTrickles(t *testing.T) {
	const grace = 10 * time.Second
	for _, c := range []struct {
		name  string
		bytes int           // of a read
		takes time.Duration // a read
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
				now = now.Add(time.Minute) // the receiver takes its time, which does not count
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

// TestSnapshotOfTheNextLeader comes while one of the leader before is under way, and does
// not wait for it.
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

// TestSnapshotNotWanted has others come while the leader's snapshot is under way: one that is
// not wanted, with all its bytes on the way, one that says nothing, one that is slow to say
// what it brings. They are told so, nothing of theirs is received, and the leader's arrives.
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
		return cfg.hello(bob, m.addr, classSnapshot)
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

// TestSnapshotWithoutAMessage says nothing, or a byte now and then, in place of what it brings.
func TestSnapshotWithoutAMessage(t *testing.T) {
	cfg := testConfig(bob)
	cfg.Dead = 20 * time.Millisecond
	m := startMachine(t, machineConfig{Config: cfg})
	for _, every := range []time.Duration{0, cfg.Dead} {
		hello := testConfig(alice)
		c, err := open(t.Context(), testConfig(alice), m.addr, http.MethodPost, SnapshotPath, hello.hello(bob, m.addr, classSnapshot))
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
				for _, b := range frame {
					if _, err := c.Conn.Write([]byte{b}); err != nil {
						return
					}
					time.Sleep(every)
				}
			}()
		}
		receive(t, ended, "the end of a connection that brings nothing")
		_ = c.Close()
	}
}

// TestSnapshotLargerThanAnnounced ends where it was said that it would.
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

// TestReceiverCloseEndsSnapshot closes a machine that is receiving one.
func TestReceiverCloseEndsSnapshot(t *testing.T) {
	got := make(chan received, 1)
	m := startMachine(t, machineConfig{receive: drain(got)})
	begun := make(chan struct{}, 1)
	body := readerFunc(func(p []byte) (int, error) {
		select {
		case begun <- struct{}{}:
		default:
		}
		return len(p), nil
	})
	sent := make(chan error, 1)
	go func() { sent <- SendSnapshot(t.Context(), testConfig(alice), bob, m.addr, nil, 1<<40, body, nil) }()
	receive(t, begun, "the body")
	m.receiver.Close()
	if err := receive(t, sent, "the end"); err == nil {
		t.Error("a snapshot without end was delivered")
	}
}

// A receiver that is told to stop returns while the body is still being read for it. What
// reads on then gets an error, and nothing of a connection that is no longer its own.
func TestSnapshotReadOnAfterTheReceiverHasReturned(t *testing.T) {
	for name, between := range map[string]bool{"in a read": false, "between two reads": true} {
		t.Run(name, func(t *testing.T) {
			returned, ended := make(chan struct{}), make(chan error, 1)
			m := startMachine(t, machineConfig{Config: patientConfig(bob), receive: func(_ uint64, _ []byte, _ int64, body io.Reader) error {
				reading := make(chan struct{})
				go func() {
					_, err := io.CopyN(io.Discard, body, snapshotPiece)
					close(reading)
					if between {
						<-returned
					}
					if err == nil {
						_, err = io.Copy(io.Discard, body)
					}
					ended <- err
				}()
				<-reading
				return errors.New("this machine stops")
			}})
			sent := make(chan error, 1)
			go func() {
				sent <- SendSnapshot(t.Context(), patientConfig(alice), bob, m.addr, nil, 1<<40, rand.NewChaCha8([32]byte{}), nil)
			}()
			if between {
				if refused, ok := errors.AsType[*RefusedError](receive(t, sent, "the answer")); !ok || refused.Message != "this machine stops" {
					t.Errorf("the sender got %v", refused)
				}
			} else if err := receive(t, sent, "the end"); err == nil {
				t.Error("a snapshot without end was delivered")
			}
			close(returned)
			if err := receive(t, ended, "the end of the reads"); !errors.Is(err, errTakenBack) && !errors.Is(err, net.ErrClosed) {
				t.Errorf("what reads on got %v", err)
			}
		})
	}
}
