package transport

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"etcd/endpoint"
)

const (
	// readBuffer is the read buffer of a stream, in bytes.
	readBuffer = 64 << 10
	// refusalEvery is how often a refusal of one host with one status is logged, and
	// maxRefusals bounds the pairs that are told apart.
	refusalEvery = 10 * time.Minute
	maxRefusals  = 128
)

// Admit decides whether a stream or snapshot from a peer is admitted. It is called from many
// goroutines, and only for handshakes that are for this machine and cluster. Until
// [Hello.Asked] is set it may have the member asked back first.
type Admit func(h Hello) Verdict

// Verdict decides about a handshake.
type Verdict struct {
	// Ask has the member asked back whether it has dialled, at these addresses, host:port, in
	// this order, and then at the one that it claims. Admit is called again after that, and
	// nothing else in this verdict counts.
	Ask []string
	// Status is 0 if it is admitted, otherwise the HTTP status of the refusal, and Message
	// the reason.
	Status  int
	Message string
	// Supersedes ends the streams of other processes of the same member.
	Supersedes bool
}

// Receiver is the accepting side of a machine, for handlers of a fasthttp server.
// All methods may be called from any goroutine.
type Receiver struct {
	cfg     Config
	admit   Admit
	deliver func(from uint64, f Frame) error
	ask     func(ctx context.Context, addr, token string) (Presence, error)
	started time.Time

	mu        sync.Mutex
	closed    bool
	drops     uint64 // calls of Drop so far
	streams   map[streamID]*stream
	received  map[uint64]*atomic.Uint64 // bytes over streams, by member
	receiving *stream                   // the snapshot under way
	refusals  allowances[refusal]
	running   sync.WaitGroup

	asking    map[askID]*asking
	askingFor map[netip.Prefix]int     // by host
	claims    allowances[netip.Prefix] // of addresses, by host
}

// streamID names what there may be one of at a time.
type streamID struct {
	from  uint64
	class Class
}

// stream is an accepted connection.
type stream struct {
	from  uint64
	class Class
	nonce uint64
	conn  net.Conn
	done  chan struct{} // closed when its goroutine no longer serves it
}

func (st *stream) id() streamID { return streamID{st.from, st.class} }

// NewReceiver makes a Receiver. ask asks another machine which member it is, see [Ask]. deliver
// is called for each frame, in order, from one goroutine per stream, and owns the payload. It may
// block, which is what slows a sender down, but for much less than [Config.Dead]: the sender would
// take this machine for dead. An error of it ends the stream.
func NewReceiver(cfg Config, admit Admit, ask func(ctx context.Context, addr, token string) (Presence, error),
	deliver func(from uint64, f Frame) error) *Receiver {
	return &Receiver{
		cfg: cfg, admit: admit, ask: ask, deliver: deliver, started: time.Now(),
		streams: map[streamID]*stream{}, received: map[uint64]*atomic.Uint64{}, refusals: allowances[refusal]{burst: 1, every: refusalEvery, most: maxRefusals},
		asking: map[askID]*asking{}, askingFor: map[netip.Prefix]int{},
		claims: allowances[netip.Prefix]{burst: claimBurst, every: max(cfg.Dead/10, time.Millisecond), most: maxClaimants},
	}
}

// Stream is the handler for GET on [StreamPath]. certified is for [Hello]. A new stream
// ends the one of the same class from the same member.
func (r *Receiver) Stream(ctx *fasthttp.RequestCtx, certified Certified) {
	r.accept(ctx, certified, func(c Class) bool { return c == Control || c == Bulk }, r.serveStream)
}

// accept does this side of the handshake. serve is called when the connection has
// been taken over; the connection is closed when it returns.
func (r *Receiver) accept(ctx *fasthttp.RequestCtx, certified Certified, allowed func(Class) bool, serve func(*stream, *timedConn) error) {
	r.mu.Lock()
	drops := r.drops
	r.mu.Unlock()
	h, status, message := parseHello(&ctx.Request.Header)
	h.Certified = certified
	switch {
	case status != 0:
	case !allowed(h.Class):
		status, message = http.StatusBadRequest, fmt.Sprintf("class %s does not belong here", h.Class)
	case !r.isFor(h):
		status, message = http.StatusPreconditionFailed, errAnother
	case h.ClusterID == r.cfg.FormerClusterID:
		status, message = StatusRefounded, fmt.Sprintf("member %016x was made a cluster of its own (-force-new-cluster) without this machine", r.cfg.MemberID)
	default:
		status, message = r.judge(ctx.RemoteAddr(), h)
	}
	if status != 0 {
		r.logRefusal(h, ctx.RemoteAddr(), status, message)
		if r.isFor(h) {
			h.identify(&ctx.Response.Header, r.cfg.MemberID)
		}
		ctx.SetStatusCode(status)
		ctx.SetContentType("application/json")
		ctx.Response.SetBodyRaw(newErrorBody(status, message))
		ctx.SetConnectionClose()
		return
	}
	st := &stream{from: h.From, class: h.Class, nonce: h.Nonce, conn: ctx.Conn(), done: make(chan struct{})}
	ctx.SetStatusCode(http.StatusSwitchingProtocols)
	ctx.Response.Header.Set("Upgrade", upgradeProtocol)
	ctx.Response.Header.Set("Connection", "Upgrade")
	h.identify(&ctx.Response.Header, r.cfg.MemberID)
	ctx.Response.Header.Set(headerNonce, strconv.FormatUint(r.cfg.Nonce, 16))
	ctx.Response.Header.Set(headerReach, r.cfg.reach())
	own := r.cfg.understood()
	ctx.Response.Header.Set(headerProtocol, own.Protocol.String())
	ctx.Response.Header.Set(headerCommands, own.Commands.String())
	ctx.Response.Header.Set(headerSnapshots, own.Snapshots.String())
	ctx.Hijack(func(hijacked net.Conn) {
		defer st.conn.Close()
		r.take(st, drops, hijacked, serve)
	})
}

// judge decides about a handshake that is for this machine.
func (r *Receiver) judge(by net.Addr, h Hello) (status int, message string) {
	decide := func() Verdict {
		r.mu.Lock()
		h.Rival = r.rival(h.From, h.Nonce)
		r.mu.Unlock()
		return r.admit(h)
	}
	v := decide()
	if len(v.Ask) > 0 {
		asked, err := r.askBack(context.Background(), by, h, v.Ask)
		if err != nil {
			return http.StatusServiceUnavailable, err.Error()
		}
		h.Asked = &asked
		v = decide()
	}
	if v.Status == 0 && v.Supersedes {
		r.supersede(h.From, h.Nonce)
	}
	return v.Status, v.Message
}

// supersede ends the streams of all processes of a member but the one with this nonce.
func (r *Receiver) supersede(member, nonce uint64) {
	var ended []*stream
	r.mu.Lock()
	for id, st := range r.streams {
		if st.from == member && st.nonce != nonce {
			_ = st.conn.Close() // its goroutine sees to the rest
			delete(r.streams, id)
			ended = append(ended, st)
		}
	}
	r.mu.Unlock()
	for _, st := range ended {
		<-st.done
	}
}

// errAnother refuses a dialer that has mistaken this machine for another one. It must learn
// neither which one this is, nor of which cluster: those who know that are let in.
const errAnother = "this is another machine, or one of another cluster"

// isFor reports whether a handshake is for this machine, by its ID and its cluster, or the one
// it has left.
func (r *Receiver) isFor(h Hello) bool {
	return h.To == r.cfg.MemberID && h.ClusterID != 0 && (h.ClusterID == r.cfg.ClusterID || h.ClusterID == r.cfg.FormerClusterID)
}

// rival reports whether a process of a member other than the one with this nonce has a stream.
// A snapshot does not count: it may stay open for long after its sender has died. r.mu is
// held.
func (r *Receiver) rival(member, nonce uint64) bool {
	for _, class := range []Class{Control, Bulk} {
		if st, ok := r.streams[streamID{member, class}]; ok && st.nonce != nonce {
			return true
		}
	}
	return false
}

// refusal identifies refusals that are logged as one.
type refusal struct {
	host   netip.Prefix
	status int
}

// logRefusal logs a refusal, as a warning if the peer takes this machine for a member of another
// cluster, because that is how a lost data directory shows.
func (r *Receiver) logRefusal(h Hello, addr net.Addr, status int, message string) {
	level := slog.LevelInfo
	if h.ClusterID != 0 && h.ClusterID != r.cfg.ClusterID {
		level = slog.LevelWarn
		message += "; if this machine has lost its data directory, stop it, remove its member there, and let it join again (-C)"
	}
	r.mu.Lock()
	omitted, news := r.refusals.take(refusal{endpoint.HostOf(addr), status}, time.Since(r.started))
	r.mu.Unlock()
	if !news {
		level = slog.LevelDebug
	}
	r.cfg.Log.Log(context.Background(), level, "peer connection refused", "from", fmt.Sprintf("%016x", h.From), "address", addr,
		"status", status, "reason", message, "omittedBefore", omitted)
}

// take serves a connection that fasthttp has let go of. It is refused after all if
// Drop or Close was called since drops was counted, or another process of the member was
// faster.
func (r *Receiver) take(st *stream, drops uint64, hijacked net.Conn, serve func(*stream, *timedConn) error) {
	defer close(st.done)
	log := r.cfg.Log.With("from", fmt.Sprintf("%016x", st.from), "class", st.class.String(), "address", st.conn.RemoteAddr().String())
	r.mu.Lock()
	if r.closed || r.drops != drops || r.rival(st.from, st.nonce) {
		r.mu.Unlock()
		return
	}
	r.running.Add(1)
	defer r.running.Done()
	before := r.streams[st.id()]
	r.streams[st.id()] = st
	r.mu.Unlock()
	if before != nil {
		_ = before.conn.Close()
		<-before.done
	}

	log.Debug("peer connection opened")
	err := serve(st, newTimedConn(hijacked, r.cfg.Dead))

	r.mu.Lock()
	if r.streams[st.id()] == st {
		delete(r.streams, st.id())
	}
	if r.receiving == st {
		r.receiving = nil
	}
	r.mu.Unlock()
	level := slog.LevelDebug
	if errors.Is(err, ErrDamaged) || errors.Is(err, ErrTooLarge) {
		level = slog.LevelWarn
	}
	log.Log(context.Background(), level, "peer connection closed", "error", err)
}

// serveStream delivers the frames of a stream until it ends.
func (r *Receiver) serveStream(st *stream, conn *timedConn) error {
	progress := &progress{timedConn: conn, every: r.cfg.Heartbeat / 2, received: r.receivedFrom(st.from)}
	in := bufio.NewReaderSize(progress, readBuffer)
	for {
		f, err := ReadFrame(in, MaxFrame)
		if err != nil {
			return err
		}
		switch f.Kind {
		case kindPing:
			if len(f.Payload) == maxPing {
				if err := progress.pong(f.Payload); err != nil {
					return err
				}
			}
		case KindRaft, KindForward, KindReject, KindHash, KindReach, KindRefusal:
			if err := r.deliver(st.from, f); err != nil {
				return err
			}
		default:
			return fmt.Errorf("a frame of kind %d is unknown", f.Kind)
		}
		if err := progress.confirm(); err != nil {
			return err
		}
	}
}

// receivedFrom returns the counter of the bytes that a member has sent over streams.
func (r *Receiver) receivedFrom(member uint64) *atomic.Uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.received[member]
	if n == nil {
		n = &atomic.Uint64{}
		r.received[member] = n
	}
	return n
}

// Received returns how many bytes a member has sent over streams since the start.
func (r *Receiver) Received(member uint64) uint64 { return r.receivedFrom(member).Load() }

// progress is the accepting side of a stream, which sends the dialer a pong whenever
// it makes progress.
type progress struct {
	*timedConn
	every    time.Duration
	last     time.Time
	room     []byte // for a pong
	received *atomic.Uint64
}

func (p *progress) Read(b []byte) (int, error) {
	n, err := p.timedConn.Read(b)
	p.received.Add(uint64(n))
	if err != nil {
		return n, err
	}
	return n, p.confirm()
}

// confirm sends a pong, unless the last one is recent.
func (p *progress) confirm() error {
	if time.Since(p.last) < p.every {
		return nil
	}
	return p.pong(nil)
}

// pong sends one, with the payload of the ping that it answers.
func (p *progress) pong(payload []byte) error {
	p.last = time.Now()
	p.room = AppendFrame(p.room[:0], Frame{Kind: kindPong, Payload: payload})
	_, err := p.Write(p.room)
	return err
}

// Drop closes all streams and snapshots from a member, for one that was removed.
// Whatever it opens from now on goes through Admit.
func (r *Receiver) Drop(member uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drops++
	for _, st := range r.streams {
		if st.from == member {
			_ = st.conn.Close() // its goroutine sees to the rest
		}
	}
}

// Close closes all streams and snapshots and waits until nothing is delivered any
// more.
func (r *Receiver) Close() {
	r.mu.Lock()
	r.closed = true
	for _, st := range r.streams {
		_ = st.conn.Close() // its goroutine sees to the rest
	}
	r.mu.Unlock()
	r.running.Wait()
}
