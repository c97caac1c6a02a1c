package transport

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"reflect"
	"sync"
	"time"
)

const (
	// firstPause is the pause before the second attempt to connect; it doubles with
	// every further one.
	firstPause = 20 * time.Millisecond
	// keepBuffer is the largest buffer that is kept for the next batch, in bytes.
	keepBuffer = 1 << 20
)

// Events are the callbacks of a Sender. They are called one at a time from its
// goroutine, must not block and must not call [Sender.Close]. Any may be nil.
type Events struct {
	// Up is called when the stream is established.
	Up func()
	// Down is called when the stream was lost, and when it cannot be established:
	// once when that starts, and at most once per [Config.Dead] while it goes on.
	Down func(err error)
	// Refused is called instead of Down when the other machine answered the handshake
	// with an error; see [RefusedError]. The Sender keeps trying until it is closed.
	Refused func(status int, message string)
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
}

// Sender keeps one outgoing stream of a class to one member alive. It has a
// goroutine that dials and writes, and one that reads while there is a connection.
// All methods may be called from any goroutine.
type Sender struct {
	cfg    Config
	hello  Hello
	limit  int
	events Events

	stop context.CancelFunc
	done chan struct{}
	wake chan struct{} // pending is no longer empty

	mu      sync.Mutex
	addr    string
	moved   context.CancelCauseFunc // ends the attempt or connection under way
	stats   Stats
	pending []byte // encoded frames that nobody writes yet
	frames  uint64 // how many these are
	queued  int    // bytes in pending and those being written
	spare   []byte // memory for the next pending

	reported   string // what the last report was about
	reportedAt time.Time
}

var (
	errMoved  = errors.New("the address of the member changed")
	errClosed = errors.New("the sender was closed")
)

// NewSender starts a stream of class, [Control] or [Bulk], to the member with the ID
// to at addr (host:port). limitBytes bounds the queue; a single larger frame is
// taken when the queue is empty.
func NewSender(cfg Config, to uint64, addr string, class Class, limitBytes int, ev Events) *Sender {
	ctx, stop := context.WithCancel(context.Background())
	s := &Sender{
		cfg:    cfg,
		hello:  Hello{ClusterID: cfg.ClusterID, From: cfg.MemberID, To: to, Class: class},
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

// SetAddr tells that the member is to be found at addr. If that is new, the
// connection is given up and one there attempted at once.
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

// run connects, again and again, until ctx ends.
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

// attempt connects to addr and serves the connection until it ends. It tells
// whether the other machine showed a sign of life on it.
func (s *Sender) attempt(ctx context.Context, addr string) (proven bool) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	conn, err := open(ctx, s.cfg, addr, http.MethodGet, StreamPath, s.hello)
	if err != nil {
		if ctx.Err() == nil {
			s.failed(addr, err)
		}
		return false
	}

	s.mu.Lock()
	s.stats.Connected = true
	s.reported = ""
	s.mu.Unlock()
	call(s.events.Up)

	read := make(chan bool)
	go func() {
		got, err := readPongs(conn)
		cancel(s.silence(err))
		read <- got
	}()
	err = s.write(ctx, conn)
	cancel(s.silence(err))
	_ = conn.Close() // whatever it says, there is nothing left to save
	proven = <-read

	s.mu.Lock()
	s.stats.Connected = false
	s.stats.Dropped += s.frames
	s.pending, s.frames, s.queued = s.pending[:0], 0, 0
	s.mu.Unlock()
	reason := context.Cause(ctx)
	if errors.Is(reason, context.Canceled) {
		reason = errClosed
	}
	s.down(fmt.Errorf("transport: %s stream to %x at %s: %w", s.hello.Class, s.hello.To, addr, reason))
	return proven
}

// silence puts a read or write that timed out into plain words.
func (s *Sender) silence(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("no sign of life for %s: %w", s.cfg.Dead, err)
	}
	return err
}
