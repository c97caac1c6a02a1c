package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing/iotest"
	"time"

	"etcd/actors"
	"etcd/transport"
)

// wires is the network between the machines.
type wires struct {
	sim *Sim
	rnd *rand.Rand
	// cut counts, for each severed link, the faults that sever it.
	cut map[[2]int]int // by slots: from, to
	// weather is the present condition of the network.
	weather weather
	streams []*stream // open ones
	ghosts  []ghost
}

// ghost is a connection whose process has ended, which its peer has not noticed yet.
type ghost struct {
	member, nonce uint64
	to            *life
	until         time.Duration
}

// weather is the condition of the network.
type weather struct {
	delay              time.Duration // upper bound of the delay of a frame
	forwards           time.Duration // upper bound of the additional delay of a forwarded proposal
	lose, twice, stray float64       // probabilities that a Raft message is lost, duplicated, late
}

var (
	errCut     = errors.New("i/o timeout")
	errRefused = errors.New("connection refused")
	// errElsewhere is the answer at an address where another machine listens by now.
	errElsewhere = errors.New("another machine or cluster")
	errReset     = errors.New("connection reset by peer")
)

func (w *wires) passes(from, to *machine) bool { return w.cut[[2]int{from.slot, to.slot}] == 0 }

// machineAt returns the machine that listens at an address; nil if there is none.
func (w *wires) machineAt(addr string) *machine {
	for _, m := range w.sim.machines {
		if m.addr() == addr {
			return m
		}
	}
	return nil
}

// network is the network as one process sees it.
type network struct {
	life *life
	self transport.Config
}

// Stream implements [actors.Network].
func (n *network) Stream(member uint64, addr string, class transport.Class, limit int, events transport.Events) actors.Stream {
	st := &stream{from: n.life, self: n.self, member: member, addr: addr, class: class, limit: limit, events: events}
	w := &n.life.sim.network
	w.streams = append(w.streams, st)
	st.retry(0)
	return st
}

// stream is a connection to a peer, dialled again for as long as the stream is open.
type stream struct {
	from    *life
	self    transport.Config
	member  uint64
	addr    string
	wasUp   bool // and Gone was not called since
	class   transport.Class
	limit   int // of the bytes in flight
	queued  int
	events  transport.Events
	to      *life // nil: not connected
	number  int   // of the connection
	arrival time.Duration
	closed  bool
}

const (
	minRetry = 20 * time.Millisecond
	maxRetry = election
)

func (st *stream) wires() *wires { return &st.from.sim.network }

func (st *stream) retry(least time.Duration) {
	pause := least + time.Duration(st.wires().rnd.Int64N(int64(maxRetry-minRetry)))
	number := st.number
	st.from.s.after(pause, func() {
		if !st.gone() && st.to == nil && st.number == number {
			st.connect()
		}
	})
}

func (st *stream) gone() bool { return st.closed || st.from.dead }

func (st *stream) connect() {
	w := st.wires()
	target := w.machineAt(st.addr)
	switch {
	case target == nil || target.life == nil || target.life.machine == nil:
		if st.wasUp {
			st.wasUp = false
			st.events.Gone()
		}
		st.events.Down(errRefused)
	case !w.passes(st.from.m, target) || !w.passes(target, st.from.m) || target.life.paused:
		st.events.Down(errCut)
	default:
		if target.memberID != st.member || st.self.ClusterID != target.life.machine.ClusterID {
			st.events.Down(errElsewhere)
			break
		}
		if status, message := st.admit(target.life); status != 0 {
			st.from.sim.count("stream refused")
			st.events.Refused(st.addr, status, message)
			break
		}
		answer := target.life.self.Hello(st.self.MemberID, "", st.class)
		answer.Addr = st.addr
		if status, message := st.events.Meet(answer); status != 0 {
			st.from.sim.count("stream refused by the dialer")
			_ = target.life.machine.Inbox.Deliver(st.self.MemberID, transport.Frame{
				Kind: transport.KindRefusal, Payload: transport.EncodeRefusal(status, message),
			}) // ignored: there is no stream to end
			break
		}
		st.number++
		st.to = target.life
		st.arrival = st.from.s.now
		st.wasUp = true
		st.events.Up()
		return
	}
	st.retry(minRetry)
}

// drop closes the connections of removed machines to peers that know of the removal.
func (w *wires) drop() {
	for _, st := range w.streams {
		if st.to == nil || st.to.dead || !st.from.m.leaving {
			continue
		}
		if status, _ := st.admit(st.to); status != 0 {
			st.broken(errReset, 0)
		}
	}
}

// broken ends a connection; its dialer notices after a while.
func (st *stream) broken(err error, after time.Duration) {
	number := st.number
	st.from.s.after(after, func() {
		if st.to == nil || st.number != number || st.gone() {
			return
		}
		st.to = nil
		st.events.Down(err)
		st.retry(minRetry)
	})
}

// Send implements [actors.Stream].
func (st *stream) Send(f transport.Frame) bool {
	if st.gone() || st.to == nil || st.queued > 0 && st.queued+len(f.Payload) > st.limit {
		return false
	}
	w := st.wires()
	f.Payload = bytes.Clone(f.Payload)
	if f.Kind != transport.KindRaft { // only Raft messages may be lost, duplicated or reordered
		delay := w.delay()
		if f.Kind == transport.KindForward && w.weather.forwards > 0 {
			delay += time.Duration(w.rnd.Int64N(int64(w.weather.forwards)))
		}
		st.arrival = max(st.arrival, st.from.s.now+delay)
		st.deliver(f, st.arrival)
		return true
	}
	if w.rnd.Float64() < w.weather.lose {
		w.sim.count("message lost")
		return true
	}
	if w.rnd.Float64() < w.weather.twice {
		w.sim.count("message duplicated")
		st.deliver(f, st.from.s.now+w.delay()+w.delay())
	}
	if w.rnd.Float64() < w.weather.stray {
		w.sim.count("message late")
		st.deliver(f, st.from.s.now+10*w.delay())
		return true
	}
	st.arrival = max(st.arrival, st.from.s.now+w.delay())
	st.deliver(f, st.arrival)
	return true
}

func (w *wires) delay() time.Duration {
	return 50*time.Microsecond + time.Duration(w.rnd.Int64N(int64(w.weather.delay)))
}

func (st *stream) deliver(f transport.Frame, at time.Duration) {
	to, number, w := st.to, st.number, st.wires()
	st.queued += len(f.Payload)
	st.from.s.after(at-st.from.s.now, func() {
		st.queued -= len(f.Payload)
		switch {
		case to.dead || st.number != number || f.Kind != transport.KindRaft && st.to == nil:
		case !w.passes(st.from.m, to.m):
			w.sim.count("message on a severed link")
			st.broken(errCut, election)
		default:
			if err := to.machine.Inbox.Deliver(st.self.MemberID, f); err != nil {
				w.sim.count("stream ended by its receiver")
				st.broken(err, 0)
			}
		}
	})
}

// SetAddr implements [actors.Stream].
func (st *stream) SetAddr(addr string) {
	st.addr = addr
	if st.to != nil && st.to.m.addr() != addr {
		st.broken(errReset, 0)
	}
}

// Stats implements [actors.Stream]. Nobody looks at metrics here.
func (st *stream) Stats() transport.Stats { return transport.Stats{} }

// Close implements [actors.Stream].
func (st *stream) Close() {
	st.closed = true
	w := st.wires()
	w.streams = slices.DeleteFunc(w.streams, func(other *stream) bool { return other == st })
}

// lost handles the end of a process. Its peers see a reset, or nothing for an election
// timeout.
func (w *wires) lost(l *life) {
	after := time.Millisecond
	if w.rnd.IntN(2) == 0 {
		after = election
	}
	for _, st := range w.streams {
		if st.from == l && st.to != nil {
			w.ghosts = append(w.ghosts, ghost{member: st.self.MemberID, nonce: st.self.Nonce, to: st.to, until: w.sim.now + after})
		}
	}
	w.streams = slices.DeleteFunc(w.streams, func(st *stream) bool { return st.from == l })
	for _, st := range w.streams {
		if st.to == l {
			after := time.Millisecond
			if w.rnd.IntN(2) == 0 {
				after = election
			}
			st.broken(errReset, after)
		}
	}
}

// Snapshot implements [actors.Network]. The body is read at once and sent in one piece.
func (n *network) Snapshot(_ context.Context, member uint64, addr string, message []byte,
	open func() (io.ReadCloser, int64, error), done func(size int64, err error)) {
	l := n.life
	w := &l.sim.network
	finished := false
	finish := func(size int64, err error) {
		if !l.dead && !finished {
			finished = true
			done(size, err)
		}
	}
	data, err := readAll(open)
	if err != nil {
		l.s.after(0, func() { finish(0, err) })
		return
	}
	l.sim.count("snapshot sent")
	l.s.after(w.delay()*time.Duration(1+w.rnd.IntN(40)), func() {
		to := w.machineAt(addr)
		if l.dead || to == nil || to.life == nil || to.life.machine == nil || to.memberID != member || to.life.paused ||
			!w.passes(l.m, to) || w.rnd.Float64() < w.weather.lose {
			l.sim.count("snapshot lost in flight")
			l.s.after(election, func() { finish(0, errCut) })
			return
		}
		target := to.life
		if status, message := w.admit(target, l.self.Hello(member, addr, transport.Bulk)); status != 0 {
			l.sim.count("snapshot refused")
			l.s.after(0, func() { finish(0, &transport.RefusedError{Status: status, Message: message}) })
			return
		}
		w.until(func() bool { return finished || target.dead }, func() { finish(0, errReset) })
		body := io.Reader(bytes.NewReader(data))
		if w.rnd.IntN(10) == 0 {
			l.sim.count("snapshot cut off")
			body = io.MultiReader(bytes.NewReader(data[:w.rnd.IntN(len(data))]), iotest.ErrReader(errReset))
		}
		target.machine.Inbox.Snapshot(n.self.MemberID, message, int64(len(data)), body, func(err error) {
			l.s.after(w.delay(), func() {
				if !w.passes(to, l.m) {
					err = errCut
				}
				finish(int64(len(data)), err)
			})
		})
	})
}

// until calls f within an election timeout after is returns true.
func (w *wires) until(is func() bool, f func()) {
	w.sim.after(election, func() {
		if is() {
			f()
			return
		}
		w.until(is, f)
	})
}

func readAll(open func() (io.ReadCloser, int64, error)) ([]byte, error) {
	body, size, err := open()
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(body)
	if err == nil && int64(len(data)) != size {
		panic(fmt.Sprintf("a snapshot of %d bytes is said to have %d", len(data), size))
	}
	return data, errors.Join(err, body.Close())
}

// sever cuts the link from a to b until heal is called.
func (w *wires) sever(a, b *machine) (heal func()) {
	link := [2]int{a.slot, b.slot}
	w.cut[link]++
	return func() {
		if w.cut[link] > 0 { // calmDown may have healed everything
			w.cut[link]--
		}
	}
}
