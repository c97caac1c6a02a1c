package transport

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	// maxSnapshotMessage bounds the Raft message that goes with a snapshot, in bytes.
	maxSnapshotMessage = 1 << 20
	// snapshotPiece is how much of a snapshot goes into one frame, in bytes.
	snapshotPiece = 256 << 10
	// maxSnapshot bounds a snapshot, in bytes; no disk has so many.
	maxSnapshot = 1 << 60
	// snapshotSizeSize is what precedes the message: the length of the body, u64.
	snapshotSizeSize = 8
	// snapshotEndSize is the payload of the last frame: length u64, CRC-32C u32.
	snapshotEndSize = 12

	progressInterval = time.Second

	// stallFactor is how many times [Config.Dead] a snapshot may go without progress:
	// it has disks at both ends.
	stallFactor = 10
	// durableFactor is the same for the time between the last byte and the ack, in which
	// the receiver makes everything durable.
	durableFactor = 60

	// minSnapshotRate is the lowest average rate of a snapshot, in bytes for each second
	// that the receiver waits for them.
	minSnapshotRate = 16 << 10
)

// ErrTooSlow ends a snapshot that arrives too slowly to be worth waiting for.
var ErrTooSlow = errors.New("the snapshot comes at less than 16 KiB a second")

// SendSnapshot sends a snapshot to the member with the ID to at addr and returns nil
// once that has it durable: first the Raft message, of at most 1 MiB, then body to
// its end, of size bytes, of which only a piece is in memory. progress, if not nil, is called
// about once a second and at the end with the bytes of body sent so far. ctx bounds the
// whole; ten times [Config.Dead] without progress ends it, too, and sixty times [Config.Dead]
// without an answer to the complete body. If the peer refuses it, the error is a
// [*RefusedError].
func SendSnapshot(ctx context.Context, cfg Config, to uint64, addr string, message []byte, size int64, body io.Reader, progress func(bytes int64)) error {
	if err := sendSnapshot(ctx, cfg, to, addr, message, size, body, progress); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx) // the connection was closed for it
		}
		return fmt.Errorf("transport: snapshot to %016x at %s: %w", to, addr, err)
	}
	return nil
}

func sendSnapshot(ctx context.Context, cfg Config, to uint64, addr string, message []byte, size int64, body io.Reader, progress func(bytes int64)) error {
	if len(message) > maxSnapshotMessage {
		return fmt.Errorf("its message: %w: %d bytes, at most %d go", ErrTooLarge, len(message), maxSnapshotMessage)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conn, err := open(ctx, cfg, addr, http.MethodPost, SnapshotPath, cfg.Hello(to, addr, classSnapshot))
	if err != nil {
		return err
	}
	answer := awaitAnswer(conn)
	defer func() {
		_ = conn.Close() // the answer has been read, or is of no use
		<-answer.came
	}()

	conn.writeTimeout = stallFactor * cfg.Dead
	err = writeSnapshot(conn, message, size, body, progress, answer.came)
	wait := durableFactor * cfg.Dead
	if err != nil {
		wait = cfg.Dead
	}
	if errors.Is(err, errBody) {
		return err
	}
	if err := conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return err
	}
	<-answer.came
	switch {
	case answer.err == nil && answer.status != http.StatusNoContent:
		return &RefusedError{answer.status, answer.message}
	case answer.err != nil && (err == nil || errors.Is(err, errAnswered)):
		return fmt.Errorf("waiting for the answer: %w", answer.err)
	}
	return err
}

// answer is the receiver's answer to a snapshot.
type answer struct {
	came    chan struct{} // closed when the rest is set
	status  int
	message string
	err     error
}

// awaitAnswer reads the answer while the snapshot is being sent, since a refusal may
// come at any time. It has no deadline until one is set on conn.
func awaitAnswer(conn *upgraded) *answer {
	a := &answer{came: make(chan struct{})}
	conn.readTimeout = 0
	if a.err = conn.SetReadDeadline(time.Time{}); a.err != nil {
		close(a.came)
		return a
	}
	go func() {
		defer close(a.came)
		a.status, a.message, a.err = readAnswer(conn.r)
	}()
	return a
}

var (
	errBody     = errors.New("it cannot be read")
	errAnswered = errors.New("the other machine ended the transfer")
)

// writeSnapshot writes the frames of a snapshot until an answer comes.
func writeSnapshot(w io.Writer, message []byte, size int64, body io.Reader, progress func(bytes int64), answered <-chan struct{}) error {
	begin := append(binary.LittleEndian.AppendUint64(nil, uint64(size)), message...)
	if _, err := w.Write(AppendFrame(nil, Frame{kindSnapshotMessage, begin})); err != nil {
		return err
	}
	var (
		piece    = make([]byte, snapshotPiece)
		out      []byte
		sent     int64
		sum      uint32
		ended    bool
		reported = time.Now()
	)
	for !ended {
		select {
		case <-answered:
			return errAnswered
		default:
		}
		n, err := fill(body, piece)
		ended = err == io.EOF
		if err != nil && !ended {
			return fmt.Errorf("%w: %w", errBody, err)
		}
		if n > 0 {
			out = AppendFrame(out[:0], Frame{kindSnapshotPiece, piece[:n]})
			if _, err := w.Write(out); err != nil {
				return err
			}
			sum = crc32.Update(sum, castagnoli, piece[:n])
			sent += int64(n)
		}
		if progress != nil && (ended || time.Since(reported) >= progressInterval) {
			reported = time.Now()
			progress(sent)
		}
	}
	if sent != size {
		return fmt.Errorf("%w: it has %d bytes, and not %d", errBody, sent, size)
	}
	end := binary.LittleEndian.AppendUint64(nil, uint64(sent))
	end = binary.LittleEndian.AppendUint32(end, sum)
	_, err := w.Write(AppendFrame(nil, Frame{kindSnapshotEnd, end}))
	return err
}

// fill reads until p is full or an error comes. Unlike io.ReadFull it keeps an
// io.ErrUnexpectedEOF of r apart from the end of r.
func fill(r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = r.Read(p[n:])
		n += m
	}
	return n, err
}

// Intake handles the snapshots that arrive.
type Intake struct {
	// Offered decides by the Raft message whether a snapshot is wanted; an error refuses it.
	Offered func(from uint64, message []byte) error
	// Receive takes a wanted one, with the Raft message, which it owns, and the body of size
	// bytes, which ends in io.EOF only if all of it arrived undamaged. Returning nil promises
	// that the snapshot is durable.
	Receive func(from uint64, message []byte, size int64, body io.Reader) error
}

// Snapshot is the handler for POST on [SnapshotPath]. certified is for [Hello]. It returns at
// once; the rest is done on a goroutine of its own. The sender is told of success when
// in.Receive returns nil, and otherwise of the error. When that has returned, the body cannot
// be read any more; if that happens during a Read elsewhere, the connection is closed without
// an answer.
//
// One snapshot is received at a time. A new one that is wanted ends the one under way,
// whoever sends it: only a leader's is wanted, and what another one began to send is of no
// use any more. What is not wanted has no such effect, and neither has a connection on which
// no message comes within ten times [Config.Dead]. A rate of less than 16 KiB/s ends one,
// too, counted over the time in which this side waits.
func (r *Receiver) Snapshot(ctx *fasthttp.RequestCtx, certified Certified, in Intake) {
	serve := func(st *stream, conn *timedConn) error {
		err := r.receiveSnapshot(st, conn, in)
		return errors.Join(err, r.answerSnapshot(conn, err))
	}
	r.accept(ctx, certified, func(c Class) bool { return c == classSnapshot }, serve)
}

func (r *Receiver) receiveSnapshot(st *stream, conn *timedConn, intake Intake) error {
	wait := stallFactor * r.cfg.Dead
	in := bufio.NewReaderSize(&paced{Reader: conn, grace: wait, now: time.Now}, readBuffer)
	conn.readTimeout = 0 // one deadline for all of the message
	if err := conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return err
	}
	f, err := ReadFrame(in, snapshotSizeSize+maxSnapshotMessage)
	if err != nil {
		return noEOF(err)
	}
	if f.Kind != kindSnapshotMessage || len(f.Payload) < snapshotSizeSize {
		return fmt.Errorf("a snapshot begins with a frame of kind %d and %d bytes", f.Kind, len(f.Payload))
	}
	size, message := binary.LittleEndian.Uint64(f.Payload), f.Payload[snapshotSizeSize:]
	if size > maxSnapshot {
		return fmt.Errorf("a snapshot of %d bytes: %w", size, ErrTooLarge)
	}
	if err := intake.Offered(st.from, message); err != nil {
		return err
	}
	if err := r.replaceReceiving(st); err != nil {
		return err
	}
	conn.readTimeout = wait
	body := &snapshotBody{r: in, size: size}
	lent := &lentBody{r: body}
	err = intake.Receive(st.from, message, int64(size), lent)
	lent.revoke(st.conn)
	if err != nil {
		return err
	}
	return body.finish()
}

// replaceReceiving ends the snapshot that is being received, if any, and puts st in its place.
func (r *Receiver) replaceReceiving(st *stream) error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return net.ErrClosed
	}
	before := r.receiving
	r.receiving = st
	r.mu.Unlock()
	if before != nil {
		_ = before.conn.Close()
		<-before.done
	}
	return nil
}

var errRevoked = errors.New("transport: the snapshot is no longer received")

// lentBody is the body until Receive has returned. Receive may stop without waiting for a
// goroutine that it has given the body, and the connection is reused by then.
type lentBody struct {
	mu    sync.Mutex // held while a Read is under way
	r     io.Reader
	ended bool
}

func (l *lentBody) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return 0, errRevoked
	}
	return l.r.Read(p)
}

// revoke makes every further Read fail. A Read under way is ended by closing conn.
func (l *lentBody) revoke(conn net.Conn) {
	if !l.mu.TryLock() {
		_ = conn.Close() // closed again when it is no longer served
		l.mu.Lock()
	}
	l.ended = true
	l.mu.Unlock()
}

// paced is a reader that fails when its average rate is too low. A deadline for each read
// does not notice a sender that trickles.
type paced struct {
	io.Reader
	grace  time.Duration // of waiting, beyond what the rate allows
	now    func() time.Time
	waited time.Duration
	bytes  int64
}

func (p *paced) Read(b []byte) (int, error) {
	start := p.now()
	n, err := p.Reader.Read(b)
	p.waited += p.now().Sub(start)
	p.bytes += int64(n)
	if err == nil && p.waited > p.grace+time.Duration(p.bytes/minSnapshotRate)*time.Second {
		err = fmt.Errorf("%w: %d bytes in %s", ErrTooSlow, p.bytes, p.waited)
	}
	return n, err
}

// answerSnapshot acks the snapshot or sends the error, and waits for the sender to close
// the connection: closing it here would discard the answer if more bytes are in flight.
func (r *Receiver) answerSnapshot(conn *timedConn, failure error) error {
	head := "HTTP/1.1 204 No Content\r\n\r\n"
	var body []byte
	if failure != nil {
		const status = http.StatusInternalServerError
		body = newErrorBody(status, failure.Error())
		head = fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",
			status, http.StatusText(status), len(body))
	}
	if _, err := conn.Write(append([]byte(head), body...)); err != nil {
		return err
	}
	if err := conn.SetReadDeadline(time.Now().Add(r.cfg.Dead)); err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, conn.Conn) // whatever ends it, the next step is to close
	return nil
}

// snapshotBody is the body of a snapshot that is being received.
type snapshotBody struct {
	r      *bufio.Reader
	buffer []byte // of the piece
	rest   []byte // of the piece, not read yet
	size   uint64 // as announced
	bytes  uint64 // received so far
	sum    uint32 // of these
	err    error  // comes after rest
}

func (b *snapshotBody) Read(p []byte) (int, error) {
	for len(b.rest) == 0 {
		if b.err == nil {
			b.err = b.next()
		}
		if b.err != nil {
			return 0, b.err
		}
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// next receives a frame. It returns io.EOF when that was the last one and all is
// well.
func (b *snapshotBody) next() error {
	f, err := readFrame(b.r, snapshotPiece, b.buffer)
	if err != nil {
		return noEOF(err)
	}
	switch {
	case f.Kind == kindSnapshotPiece:
		b.buffer, b.rest = f.Payload, f.Payload
		b.bytes += uint64(len(f.Payload))
		b.sum = crc32.Update(b.sum, castagnoli, f.Payload)
		if b.bytes > b.size {
			return fmt.Errorf("%w: the snapshot was to have %d bytes", ErrTooLarge, b.size)
		}
		return nil
	case f.Kind != kindSnapshotEnd || len(f.Payload) != snapshotEndSize:
		return fmt.Errorf("a frame of kind %d is not part of a snapshot", f.Kind)
	case binary.LittleEndian.Uint64(f.Payload) != b.bytes || b.size != b.bytes:
		return fmt.Errorf("%w: the snapshot has %d bytes, %d arrived", ErrDamaged, binary.LittleEndian.Uint64(f.Payload), b.bytes)
	case binary.LittleEndian.Uint32(f.Payload[8:]) != b.sum:
		return fmt.Errorf("%w: the CRC-32C of the whole snapshot is wrong", ErrDamaged)
	}
	return io.EOF
}

// finish reads the rest of the body, which must be the end and no more bytes.
func (b *snapshotBody) finish() error {
	switch n, err := io.Copy(io.Discard, b); {
	case err != nil:
		return err
	case n > 0:
		return fmt.Errorf("%d bytes follow the end of the snapshot", n)
	}
	return nil
}
