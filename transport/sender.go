package transport

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	// firstPause is the pause before the second attempt to connect; it doubles with
	// every further one.
	firstPause = 20 * time.Millisecond
	// keepBuffer is the largest buffer that an idle stream keeps, in bytes.
	keepBuffer = 1 << 20
)

// Events are the callbacks of a Sender. They are called one at a time from its
// goroutine, must not block and must not call [Sender.Close]. Any may be nil.
type Events struct {
	// Meet is asked before Up about the peer that has accepted the stream. A status other
	// than 0 refuses it: the peer is told, in a [KindRefusal], and the connection is closed.
	Meet func(h Hello) (status int, message string)
	// Up is called when the stream is established.
	Up func()
	// Down is called when the stream was lost, and when it cannot be established:
	// once when that starts, and at most once per [Config.Dead] while it goes on. It is
	// not called for Close.
	Down func(err error)
	// Gone is called, besides Down, when nothing listens any more where the stream was
	// accepted: once, until that is established again.
	Gone func()
	// Refused is called instead of Down when the member itself, at addr, refused the
	// handshake, and not something else that listens there; see [RefusedError]. The Sender
	// keeps retrying until it is closed.
	Refused func(addr string, status int, message string)
	// RoundTrip is called with the time from a ping to its answer, at most once per
	// [Config.Heartbeat], from a goroutine of its own.
	RoundTrip func(took time.Duration)
}

// Stats are the counters of a Sender since it was made.
type Stats struct {
	Connected bool
	// Sent and Bytes count frames that were handed to the network, and their size on
	// the wire.
	Sent, Bytes uint64
	// Dropped counts frames that Send refused and those lost in the queue of a broken
	// connection.
	Dropped uint64
	// Disconnects counts established streams that were lost.
	Disconnects uint64
}

// Sender keeps one outgoing stream of a class to one member alive. It has a
// goroutine that dials and writes, and one that reads while there is a connection.
// All methods may be called from any goroutine.
type Sender struct {
	cfg    Config
	to     uint64
	class  Class
	limit  int
	events Events

	stop context.CancelFunc
	done chan struct{}
	wake chan struct{} // pending is no longer empty

	mu      sync.Mutex
	addr    string
	moved   context.CancelCauseFunc // ends the attempt or connection under way
	stats   Stats
	pending []byte // encoded frames that are not being written yet
	frames  uint64 // how many these are
	queued  int    // bytes in pending and those being written
	spare   []byte // memory for the next pending

	reported   string // what the last report was about
	reportedAt time.Time
	wasUp      bool // it was established, and Gone not called since
}

var errMoved = errors.New("the address of the member changed")

// NewSender starts a stream of class, [Control] or [Bulk], to the member with the ID
// to at addr (host:port). limitBytes bounds the queue, up to what the network has
// taken; a single larger frame is taken when the queue is empty.
func NewSender(cfg Config, to uint64, addr string, class Class, limitBytes int, ev Events) *Sender {
	ctx, stop := context.WithCancel(context.Background())
	s := &Sender{
		cfg:    cfg,
		to:     to,
		class:  class,
		limit:  limitBytes,
		events: ev,
		addr:   addr,
		stop:   stop,
		done:   make(chan struct{}),
		wake:   make(chan struct{}, 1),
	}
	go s.run(ctx)
	return s
}

// Send queues f and never blocks. It copies the payload. It reports false when f
// was dropped: there is no connection, the queue is full, or f is over [MaxFrame].
func (s *Sender) Send(f Frame) bool {
	size := frameSize(f)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stats.Connected || len(f.Payload) > MaxFrame || s.queued > 0 && s.queued+size > s.limit {
		s.stats.Dropped++
		return false
	}
	s.pending = AppendFrame(s.pending, f)
	s.frames++
	s.queued += size
	if len(s.pending) == size {
		select {
		case s.wake <- struct{}{}:
		default: // it is awake
		}
	}
	return true
}

// SetAddr sets the address of the member. If it changed, the connection is closed and
// the new address dialled at once.
func (s *Sender) SetAddr(addr string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.addr == addr {
		return
	}
	s.addr = addr
	if s.moved != nil {
		s.moved(errMoved)
	}
}

// Close ends the stream, drops what is queued and waits for the goroutines.
func (s *Sender) Close() {
	s.stop()
	<-s.done
}

// Stats returns the counters.
func (s *Sender) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// run connects, with back-off, until ctx ends.
func (s *Sender) run(ctx context.Context) {
	defer close(s.done)
	pause := firstPause
	for ctx.Err() == nil {
		attempt, cancel := context.WithCancelCause(ctx)
		s.mu.Lock()
		s.moved = cancel
		addr := s.addr
		s.mu.Unlock()

		proven := s.attempt(attempt, addr)
		if proven {
			pause = firstPause
		}
		wait := time.NewTimer(pause/2 + rand.N(pause/2+1))
		select {
		case <-wait.C:
			pause = min(2*pause, max(s.cfg.Dead, firstPause))
		case <-attempt.Done(): // another address, or closed
			pause = firstPause
		}
		wait.Stop()
		cancel(nil)
	}
}

// attempt connects to addr and serves the connection until it ends. It reports
// whether the peer showed a sign of life on it.
func (s *Sender) attempt(ctx context.Context, addr string) (proven bool) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	conn, err := open(ctx, s.cfg, addr, http.MethodGet, StreamPath, s.cfg.Hello(s.to, addr, s.class))
	if err != nil {
		if ctx.Err() == nil {
			s.failed(addr, err)
		}
		return false
	}
	if s.events.Meet != nil {
		if status, message := s.events.Meet(conn.other); status != 0 {
			// The peer may be gone; it is told again at the next attempt.
			_, _ = conn.Write(AppendFrame(nil, Frame{Kind: KindRefusal, Payload: EncodeRefusal(status, message)}))
			_ = conn.Close()
			return false
		}
	}

	s.mu.Lock()
	s.stats.Connected = true
	s.mu.Unlock()
	s.reported, s.wasUp = "", true
	if s.events.Up != nil {
		s.events.Up()
	}

	conn.budget.N = math.MaxInt64
	read := make(chan bool)
	pings := &pings{base: time.Now()}
	go func() {
		got, err := s.readPongs(conn, pings)
		cancel(s.silence(err))
		read <- got
	}()
	err = s.write(ctx, conn, pings)
	cancel(s.silence(err))
	_ = conn.Close() // whatever it says, there is nothing left to save
	proven = <-read

	s.mu.Lock()
	s.stats.Connected = false
	s.stats.Dropped += s.frames
	s.pending, s.frames, s.queued = nil, 0, 0
	s.mu.Unlock()
	if reason := context.Cause(ctx); !errors.Is(reason, context.Canceled) {
		s.mu.Lock()
		s.stats.Disconnects++
		s.mu.Unlock()
		s.failed(addr, reason)
	}
	return proven
}

// write sends what is queued on conn, and pings, until ctx or the connection ends.
func (s *Sender) write(ctx context.Context, conn *upgraded, pings *pings) error {
	if err := pings.send(conn); err != nil {
		return err
	}
	beat := time.NewTicker(s.cfg.Heartbeat)
	defer beat.Stop()
	for {
		batch, frames := s.take()
		if err := s.writeBatch(conn, batch, frames); err != nil {
			return err
		}
		s.release(batch)
		if len(batch) > 0 {
			select {
			case <-beat.C: // the round trip under load is of interest as well
				if err := pings.send(conn); err != nil {
					return err
				}
			default:
			}
			continue
		}
		select {
		case <-s.wake:
		case <-beat.C:
			s.trim()
			if err := pings.send(conn); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// take returns everything that is queued, as one batch.
func (s *Sender) take() (batch []byte, frames uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pending) == 0 {
		return nil, 0
	}
	batch, frames = s.pending, s.frames
	s.pending, s.frames, s.spare = s.spare[:0], 0, nil
	return batch, frames
}

// release keeps the memory of a batch for the next one.
func (s *Sender) release(batch []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cap(batch) > cap(s.spare) {
		s.spare = batch
	}
}

// trim frees large buffers, which are of use only under load.
func (s *Sender) trim() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pending) == 0 && cap(s.pending) > keepBuffer {
		s.pending = nil
	}
	if cap(s.spare) > keepBuffer {
		s.spare = nil
	}
}

// writeBatch writes a batch, making room in the queue as it goes.
func (s *Sender) writeBatch(conn *upgraded, batch []byte, frames uint64) error {
	for len(batch) > 0 {
		n, err := conn.Write(batch[:min(len(batch), writeStep)])
		s.mu.Lock()
		s.queued -= n
		s.stats.Bytes += uint64(n)
		if err != nil {
			s.stats.Dropped += frames
		}
		s.mu.Unlock()
		if err != nil {
			return err
		}
		batch = batch[n:]
	}
	s.mu.Lock()
	s.stats.Sent += frames
	s.mu.Unlock()
	return nil
}

// readPongs reads until the connection ends. It reports whether anything arrived.
func (s *Sender) readPongs(conn *upgraded, pings *pings) (got bool, err error) {
	for {
		f, err := ReadFrame(conn.r, maxPing)
		if err != nil {
			return got, noEOF(err)
		}
		if f.Kind != kindPong {
			return got, fmt.Errorf("a frame of kind %d is not for this side of a stream", f.Kind)
		}
		got = true
		if took, ok := pings.answered(f.Payload); ok && s.events.RoundTrip != nil {
			s.events.RoundTrip(took)
		}
	}
}

// failed reports that there is no stream, unless that is known.
func (s *Sender) failed(addr string, err error) {
	what := "down"
	refused, isRefusal := errors.AsType[*RefusedError](err)
	if isRefusal {
		what = refused.Error()
	}
	if s.wasUp && errors.Is(err, syscall.ECONNREFUSED) {
		s.wasUp = false
		if s.events.Gone != nil {
			s.events.Gone()
		}
	}
	if what == s.reported && time.Since(s.reportedAt) < s.cfg.Dead {
		return
	}
	s.reported, s.reportedAt = what, time.Now()
	switch {
	case isRefusal && s.events.Refused != nil:
		s.events.Refused(addr, refused.Status, refused.Message)
	case !isRefusal && s.events.Down != nil:
		s.events.Down(fmt.Errorf("transport: %s stream to %016x at %s: %w", s.class, s.to, addr, err))
	}
}

// silence explains a read or write that timed out.
func (s *Sender) silence(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("no sign of life for %s: %w", s.cfg.Dead, err)
	}
	return err
}
