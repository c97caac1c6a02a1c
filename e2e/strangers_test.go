package e2e

import (
	"bufio"
	"crypto/tls"
	wire "encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"etcd/internal/freeport"
	"etcd/store"
)

// What a stranger sends to the peer port: a second implementation of the protocol of package
// transport, by its documentation.

// Kinds of frames.
const (
	frameRaft            = 1
	frameForward         = 2
	frameHash            = 4
	frameReach           = 5
	frameRefusal         = 6
	framePing            = 16
	frameSnapshotMessage = 32
	frameSnapshotPiece   = 33
	frameSnapshotEnd     = 34

	largestFrame = 64 << 20 // of its payload, in bytes

	protocolVersion = "4" // another one is refused at once, and nothing would be tested
)

// Kinds of forwarded proposals.
const (
	forwardCommand = 0
	forwardJoin    = 1
	forwardRemove  = 2
)

// unknown is a member ID that no cluster has assigned.
const unknown = 0x5715a6e4

// frame encodes a frame.
func frame(kind byte, payload []byte) []byte {
	b := wire.LittleEndian.AppendUint32(nil, uint32(len(payload)))
	b = append(b, kind, 0, 0, 0)
	table := crc32.MakeTable(crc32.Castagnoli)
	b = wire.LittleEndian.AppendUint32(b, crc32.Update(crc32.Checksum(b, table), table, payload))
	return append(b, payload...)
}

// raftFrame returns a frame with a Raft message.
func raftFrame(m *raftpb.Message) []byte {
	return frame(frameRaft, append(make([]byte, 8), encoded(m)...))
}

// forwards numbers forwarded proposals: a leader proposes each once.
var forwards atomic.Uint64

// forwardFrame returns a frame with a proposal forwarded to the leader of a term.
func forwardFrame(term uint64, kind byte, member uint64, command []byte) []byte {
	const process = 0x5715a6e5
	id := forwards.Add(1)
	var b []byte
	for _, n := range []uint64{id, id, process, term} {
		b = wire.LittleEndian.AppendUint64(b, n)
	}
	b = wire.LittleEndian.AppendUint64(append(b, kind), member)
	return frame(frameForward, append(b, command...))
}

// snapshotFrames returns the frames of a snapshot, with valid lengths and checksums.
func snapshotFrames(m *raftpb.Message, body []byte) []byte {
	return framesOfSnapshot(m, body, uint64(len(body)), uint64(len(body)), 0)
}

// framesOfSnapshot is snapshotFrames with the length that is announced and that at the end, and with
// bits of the checksum turned over.
func framesOfSnapshot(m *raftpb.Message, body []byte, announced, ended uint64, turned uint32) []byte {
	b := frame(frameSnapshotMessage, snapshotMessage(m, announced))
	if len(body) > 0 {
		b = append(b, frame(frameSnapshotPiece, body)...)
	}
	end := wire.LittleEndian.AppendUint64(nil, ended)
	end = wire.LittleEndian.AppendUint32(end, turned^crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
	return append(b, frame(frameSnapshotEnd, end)...)
}

// snapshotMessage is the payload of the first frame of a snapshot of so many bytes.
func snapshotMessage(m *raftpb.Message, bytes uint64) []byte {
	return append(wire.LittleEndian.AppendUint64(nil, bytes), encoded(m)...)
}

func encoded(m proto.Message) []byte {
	b, err := proto.Marshal(m)
	if err != nil {
		panic(err) // cannot happen: tests make only what can be encoded
	}
	return b
}

// hello is what a stranger sends in a handshake.
type hello struct {
	from, to, nonce    uint64
	class, addr, reach string
	more               [][2]string // headers that replace those with the same names, or are added
}

// stranger attacks the machines of a cluster. It is not a member, but knows all there is to
// know about them.
type stranger struct {
	t       testing.TB
	victims *cluster
	cluster uint64 // its ID
	term    uint64
	index   uint64            // roughly of the last entry
	ids     map[string]uint64 // of the members, by their names
	tls     *tls.Config       // nil: it speaks without TLS
	lair    *lair
}

// newStranger returns a stranger that has overheard all it needs. With TLS, cfg has its
// certificate.
func newStranger(c *cluster, cfg *tls.Config) *stranger {
	c.t.Helper()
	st := &stranger{t: c.t, victims: c, tls: cfg, ids: make(map[string]uint64), lair: newLair(c.t)}
	return st
}

// listen gets what the stranger has to know from the machines, through the answer to the
// repeated join of a member.
func (st *stranger) listen() {
	st.t.Helper()
	list, err := st.victims.members[0].list()
	if err != nil {
		st.t.Fatal(err)
	}
	for _, m := range list {
		id, err := strconv.ParseUint(m.ID, 16, 64)
		if err != nil {
			st.t.Fatal(err)
		}
		st.ids[m.Name] = id
	}
	own := list[0]
	ask := request{method: "POST", target: "/join", header: [][2]string{{"Content-Type", "application/json"}},
		body: fmt.Appendf(nil, `{"memberId":"%d","name":%q,"peerUrl":%q,"clientUrl":%q,"understood":{"protocol":%q,"commands":%q,"snapshots":%q}}`,
			st.ids[own.Name], own.Name, own.PeerURLs[0], own.ClientURLs[0], protocolVersion, store.Commands, store.Snapshots)}
	answer, err := exchange(st.victims.leader().peer, ask)
	if err != nil {
		st.t.Fatal(err)
	}
	var known struct {
		ClusterID uint64 `json:"clusterId,string"`
		Term      uint64 `json:"term"`
	}
	if err := json.Unmarshal([]byte(answer.body), &known); err != nil || known.ClusterID == 0 {
		st.t.Fatalf("/join of a member: %d %s", answer.status, answer.body)
	}
	st.cluster, st.term = known.ClusterID, known.Term
	written, err := exchange(st.victims.members[0].client, post("/v1/keys/heard", "value", "1"))
	if err != nil {
		st.t.Fatal(err)
	}
	e, err := written.event()
	if err != nil {
		st.t.Fatal(err)
	}
	st.index = e.Index
}

// dial connects to a peer port as the stranger.
func (st *stranger) dial(s *server) (*conn, error) {
	var c *conn
	var err error
	if st.tls != nil {
		c, err = dialTLS(s.peer, st.tls)
	} else {
		var raw net.Conn
		if raw, err = net.DialTimeout("tcp", s.peer, waitLimit); err == nil {
			c = &conn{Conn: raw, tcp: raw.(*net.TCPConn), address: s.peer, in: bufio.NewReader(raw)}
		}
	}
	if err == nil {
		err = c.SetDeadline(time.Now().Add(waitLimit))
	}
	return c, err
}

// ask sends a request as the stranger. It need not be answered.
func (st *stranger) ask(s *server, r request) (reply, error) {
	c, err := st.dial(s)
	if err != nil {
		return reply{}, err
	}
	defer c.Close()
	return c.roundTrip(r)
}

// names returns the member IDs that a stranger claims: those of all members, that of the
// attacked machine included, and an unknown one.
func (st *stranger) names() []uint64 {
	names := []uint64{unknown}
	for _, id := range st.ids {
		names = append(names, id)
	}
	return names
}

// hello returns a handshake with a machine in the name of a member: with the nonce of the
// member's process, if known, and a log that lacks nothing.
func (st *stranger) hello(s *server, from uint64, class string) hello {
	st.lair.who.Store(from)
	h := hello{from: from, to: st.ids[s.name], nonce: 0x5715a6e6, class: class, addr: st.lair.addr,
		reach: fmt.Sprintf("%x-%x-%x-%x", st.term, st.term, st.index, st.index)}
	for _, m := range st.victims.members {
		if st.ids[m.name] == from && m != s {
			h.nonce, h.addr = st.nonceOf(m), m.peer
		}
	}
	return h
}

// open does the handshake. The connection is nil if it failed.
func (st *stranger) open(s *server, h hello) (*conn, reply) {
	c, err := st.dial(s)
	if err != nil {
		return nil, reply{}
	}
	r := request{method: "GET", target: "/raft/stream"}
	if h.class == "snapshot" {
		r.method, r.target = "POST", "/raft/snapshot"
	}
	r.header = [][2]string{
		{"Connection", "Upgrade"}, {"Upgrade", "etcd-raft"}, {"X-Etcd-Protocol", protocolVersion}, {"X-Etcd-Commands", store.Commands.String()}, {"X-Etcd-Snapshots", store.Snapshots.String()},
		{"X-Etcd-Cluster-Id", fmt.Sprintf("%016x", st.cluster)}, {"X-Etcd-From", fmt.Sprintf("%016x", h.from)},
		{"X-Etcd-To", fmt.Sprintf("%016x", h.to)}, {"X-Etcd-Class", h.class}, {"X-Etcd-Peer-Address", h.addr},
		{"X-Etcd-Nonce", fmt.Sprintf("%016x", h.nonce)}, {"X-Etcd-Reach", h.reach}, {"X-Etcd-Token", strings.Repeat("5715a6e7", 4)},
	}
	for _, other := range h.more {
		r.header = append(without(r.header, other[0]), other)
	}
	if c.send(r) != nil {
		c.Close()
		return nil, reply{}
	}
	answer, err := c.receive(r.method)
	if slices.Contains([]int{http.StatusUpgradeRequired, http.StatusBadRequest, http.StatusNotImplemented}, answer.status) && h.more == nil {
		st.t.Errorf("the machines do not understand the handshake, so nothing is tested: %d %s", answer.status, answer.body)
	}
	if err != nil || answer.status != http.StatusSwitchingProtocols {
		c.Close()
		return nil, answer
	}
	return c, answer
}

func without(headers [][2]string, name string) [][2]string {
	var kept [][2]string
	for _, h := range headers {
		if h[0] != name {
			kept = append(kept, h)
		}
	}
	return kept
}

// say opens a stream or a snapshot. If the handshake succeeds, it sends the frames and waits
// until the machine has read them or has closed the connection.
func (st *stranger) say(s *server, h hello, frames func() [][]byte) {
	c, _ := st.open(s, h)
	if c == nil {
		return
	}
	defer c.Close()
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		_, _ = io.Copy(io.Discard, c.in) // until the machine ends it
	}()
	for _, f := range frames() {
		if _, err := c.Write(f); err != nil {
			break
		}
	}
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // it may be closed already
	}
	<-heard
}

// nonceOf returns the nonce of the process of a machine, if the machine tells it.
func (st *stranger) nonceOf(s *server) uint64 {
	c, answer := st.open(s, hello{from: unknown, to: st.ids[s.name], nonce: 1, class: "control", addr: st.lair.addr, reach: "0-0-0-0"})
	if c != nil {
		c.Close()
	}
	nonce, err := strconv.ParseUint(answer.header.Get("X-Etcd-Nonce"), 16, 64)
	if err != nil {
		return 0x5715a6e6
	}
	return nonce
}

// sayToAll sends every machine what frames makes for it, in the name of every member and of an
// unknown one.
func (st *stranger) sayToAll(class string, frames func(s *server, from uint64) [][]byte) {
	for _, s := range st.victims.members {
		for _, from := range st.names() {
			st.say(s, st.hello(s, from, class), func() [][]byte { return frames(s, from) })
		}
	}
}

// lair is a port of the stranger's. When a machine asks back there, it answers as the member
// that the stranger claims to be, and that it has dialled.
type lair struct {
	addr  string
	who   atomic.Uint64
	calls atomic.Int64 // connections
	asked atomic.Int64 // requests to open a stream or a snapshot here
	close func()
}

func newLair(t testing.TB) *lair {
	t.Helper()
	return newLairAt(t, freeport.Address(t))
}

func newLairAt(t testing.TB, addr string) *lair {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	den := &lair{addr: l.Addr().String()}
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/raft/member" {
				den.asked.Add(1)
				w.WriteHeader(http.StatusTeapot)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"memberId":"%d","dialled":true,"others":[{"memberId":"%d","addr":%q}]}`, den.who.Load(), uint64(unknown), den.addr)
		}),
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				den.calls.Add(1)
			}
		},
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l) // ends with Close
	}()
	den.close = func() {
		server.Close()
		<-done
	}
	t.Cleanup(den.close)
	return den
}
