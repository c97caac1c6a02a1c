package e2e

import (
	wire "encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/raft/v3/raftpb"
)

// lie is what a member says that has gone bad, after a handshake that is in order.
type lie struct {
	name  string
	class string
	say   func(st *stranger, to *server, from uint64) []byte
}

// giant is the header of a frame that announces so many bytes.
func giant(kind byte, bytes uint32) func(*stranger, *server, uint64) []byte {
	return func(*stranger, *server, uint64) []byte {
		f := frame(kind, []byte("the beginning"))
		wire.LittleEndian.PutUint32(f, bytes)
		return f
	}
}

// spoilt is a frame in order, of which one byte is changed.
func spoilt(at int) func(*stranger, *server, uint64) []byte {
	return func(st *stranger, to *server, from uint64) []byte {
		f := raftFrame(st.message(raftpb.MsgHeartbeatResp, to, from, st.term))
		f[at] ^= 1
		return f
	}
}

// claimed is a snapshot that announces and ends with other lengths than it has.
func claimed(announced, ended func(length uint64) uint64, sum uint32) func(*stranger, *server, uint64) []byte {
	return func(st *stranger, to *server, from uint64) []byte {
		body := []byte("of no leader")
		length := uint64(len(body))
		return framesOfSnapshot(st.snapshot(to, from, st.term, st.index+1000), body, announced(length), ended(length), sum)
	}
}

func honest(n uint64) uint64   { return n }
func oneLess(n uint64) uint64  { return n - 1 }
func oneMore(n uint64) uint64  { return n + 1 }
func enormous(n uint64) uint64 { return 1 << 63 }

// lies each end the connection on which they are said.
var lies = []lie{
	{"bad checksum", "bulk", spoilt(8)},
	{"changed payload", "bulk", spoilt(20)},
	{"changed kind", "control", spoilt(4)},
	{"header with bits that mean nothing", "control", spoilt(6)},
	{"a byte over the largest frame", "bulk", giant(frameRaft, largestFrame+1)},
	{"frame of 2^31 bytes", "bulk", giant(frameRaft, 1<<31)},
	{"frame of 2^32-1 bytes", "control", giant(frameForward, math.MaxUint32)},
	{"frame of an unknown kind", "control", func(*stranger, *server, uint64) []byte { return framed(77) }},
	{"frame of kind 0", "control", func(*stranger, *server, uint64) []byte { return framed(0) }},
	{"piece of a snapshot on a stream", "bulk", func(*stranger, *server, uint64) []byte { return framed(frameSnapshotPiece) }},
	{"HTTP", "control", func(*stranger, *server, uint64) []byte { return []byte("GET /version HTTP/1.1\r\nHost: x\r\n\r\n") }},
	{"no message of Raft", "bulk", func(*stranger, *server, uint64) []byte { return frame(frameRaft, []byte("\xff\xff\xff")) }},
	{"snapshot of a wrong checksum", "snapshot", claimed(honest, honest, 1)},
	{"snapshot longer than announced", "snapshot", claimed(oneLess, honest, 0)},
	{"snapshot shorter than announced", "snapshot", claimed(oneMore, honest, 0)},
	{"snapshot that ends too early", "snapshot", claimed(honest, oneMore, 0)},
	{"snapshot of 2^63 bytes", "snapshot", claimed(enormous, honest, 0)},
	{"snapshot without its message", "snapshot", func(*stranger, *server, uint64) []byte { return frame(frameSnapshotPiece, []byte("x")) }},
	{"snapshot of 2^31 bytes of message", "snapshot", giant(frameSnapshotMessage, 1<<31)},
}

// handshakes are lies in the handshake. Each is refused.
var handshakes = []struct{ name, header, value string }{
	{"another cluster", "X-Etcd-Cluster-Id", "00000000000000ff"},
	{"no cluster", "X-Etcd-Cluster-Id", "0000000000000000"},
	{"cluster of 17 digits", "X-Etcd-Cluster-Id", "10000000000000000"},
	{"for another member", "X-Etcd-To", "00000000000000ff"},
	{"from nobody", "X-Etcd-From", "0000000000000000"},
	{"from a negative member", "X-Etcd-From", "-1"},
	{"the next protocol", "X-Etcd-Protocol", "5"},
	{"a protocol of the future", "X-Etcd-Protocol", "18446744073709551615"},
	{"protocols the wrong way round", "X-Etcd-Protocol", "9-1"},
	{"an old protocol", "X-Etcd-Protocol", "1"},
	{"no class", "X-Etcd-Class", ""},
	{"an unknown class", "X-Etcd-Class", "gossip"},
	{"the class of snapshots", "X-Etcd-Class", "snapshot"},
	{"no nonce", "X-Etcd-Nonce", ""},
	{"nonce of 12,000 digits", "X-Etcd-Nonce", strings.Repeat("f", 12_000)},
	{"commands of 12,000 digits", "X-Etcd-Commands", strings.Repeat("9", 12_000)},
	{"address of 12,000 bytes", "X-Etcd-Peer-Address", strings.Repeat("a", 12_000) + ":7001"},
	{"token of 100,000 bytes", "X-Etcd-Token", strings.Repeat("f", 100_000)},
	{"another upgrade", "Upgrade", "h2c"},
}

// TestLyingMember: a member whose host was taken over speaks the protocol, is taken for the member
// while the true one is down, and lies. The others end the connection, and go on.
func TestLyingMember(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3, calmElections...)
	st := newStranger(c, nil)
	st.listen()
	a := newArena(c)
	leader := c.leader()
	others := c.others(leader)
	bad, good := others[0], []*server{leader, others[1]}
	c.kill(bad)
	st.lair = newLairAt(t, bad.peer)
	from := st.ids[bad.name]
	a.members = good

	poses := func(s *server, class string) *conn {
		t.Helper()
		h := st.hello(s, from, class)
		var conn *conn
		waitUntil(t, "the member is taken for itself", func() bool { // not as long as its last connection is open
			conn, _ = st.open(s, h)
			return conn != nil
		})
		return conn
	}

	// What it says in order is taken: the lies are not refused for something else.
	truth := poses(leader, "bulk")
	if _, err := truth.Write(forwardFrame(st.term, forwardCommand, 0, setCommand("/truth"))); err != nil {
		t.Fatal(err)
	}
	if err := a.answers(leader, get("/v1/keys/truth"), `"value":"of a stranger"`); err != nil {
		t.Fatalf("what a member forwards: %v", err)
	}
	truth.Close()

	for _, test := range handshakes {
		for _, s := range good {
			h := st.hello(s, from, "control")
			h.more = [][2]string{{test.header, test.value}}
			if conn, answer := st.open(s, h); conn != nil || answer.status < 400 || !strings.HasPrefix(answer.body, `{"errorCode":`) {
				t.Errorf("%s is answered %d %s", test.name, answer.status, answer.body)
			}
		}
	}
	for _, test := range lies {
		for _, s := range good {
			said := test.say(st, s, from)
			conn := poses(s, test.class)
			_, _ = conn.Write(said)       // it may be too much already
			if test.class == "snapshot" { // it is answered, and the sender ends the connection
				_ = conn.tcp.CloseWrite()
			}
			if got, err := io.ReadAll(conn.in); errors.Is(err, os.ErrDeadlineExceeded) || test.class == "snapshot" && !strings.Contains(string(got), " 500 ") {
				t.Errorf("%s: %q, %v", test.name, got, err)
			}
			conn.Close()
		}
	}
	// Frames and snapshots that are cut off.
	for _, class := range []string{"control", "snapshot"} {
		whole := raftFrame(st.message(raftpb.MsgHeartbeatResp, leader, from, st.term))
		if class == "snapshot" {
			whole = snapshotFrames(st.snapshot(leader, from, st.term, st.index+1000), []byte("of no leader"))
		}
		for end := 1; end < len(whole); end += 7 {
			conn := poses(leader, class)
			_, _ = conn.Write(whole[:end])
			_ = conn.tcp.CloseWrite()
			if _, err := io.ReadAll(conn.in); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%d of %d bytes and the end: the connection goes on", end, len(whole))
			}
			conn.Close()
		}
	}
	// Messages that Raft sends only to itself are not taken, whatever becomes of the connection.
	for _, kind := range localMessages {
		for _, s := range good {
			m := st.message(kind, s, from, st.term)
			m.Entries = []*raftpb.Entry{{Data: []byte("\xff")}}
			conn := poses(s, "control")
			if _, err := conn.Write(slices.Concat(raftFrame(m), framed(77))); err != nil { // the second ends it
				t.Error(err)
			}
			_, _ = io.ReadAll(conn.in)
			conn.Close()
		}
	}
	if err := a.harm(); err != nil {
		t.Error(err)
	}
	a.members = append(good, bad)
	st.lair.close()
	if err := startAgain(bad); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(a.harm(), a.restart()); err != nil {
		t.Fatal(err)
	}
	c.checkSameState()
}

// localMessages are those that no machine sends to another one.
var localMessages = []raftpb.MessageType{
	raftpb.MsgHup, raftpb.MsgBeat, raftpb.MsgUnreachable, raftpb.MsgSnapStatus, raftpb.MsgCheckQuorum,
	raftpb.MsgStorageAppend, raftpb.MsgStorageAppendResp, raftpb.MsgStorageApply, raftpb.MsgStorageApplyResp,
}
