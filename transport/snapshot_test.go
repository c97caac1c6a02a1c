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
	"testing"
	"testing/iotest"
	"time"
)

// source is a body of any length that needs no memory.
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

// drain reads a snapshot and discards it.
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

// TestSnapshotSizes sends bodies around the size of a piece.
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

// TestSnapshotTrailer sends intact pieces with a trailer that does not match.
func TestSnapshotTrailer(t *testing.T) {
	piece := AppendFrame(nil, Frame{kindSnapshotPiece, []byte("piece")})
	end := func(size uint64, body string) []byte {
		b := binary.LittleEndian.AppendUint64(nil, size)
		b = binary.LittleEndian.AppendUint32(b, crc32.Checksum([]byte(body), castagnoli))
		return AppendFrame(nil, Frame{kindSnapshotEnd, b})
	}
	for _, c := range []struct {
		name string
		size uint64 // in the announcement
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

// TestSnapshotReceiverFails has the receiver fail in the middle of an endless body.
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

// TestSnapshotReadInPart has a receiver that reads only a part of the body.
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
	// The second error must not be taken for the end of the body.
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

// TestReceiverCloseEndsSnapshot closes a machine that is receiving a snapshot.
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

// A receiver that is told to stop returns while another goroutine still reads the body. That
// one gets an error, and no bytes of a connection that is no longer its own.
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
			if err := receive(t, ended, "the end of the reads"); !errors.Is(err, errRevoked) && !errors.Is(err, net.ErrClosed) {
				t.Errorf("what reads on got %v", err)
			}
		})
	}
}
