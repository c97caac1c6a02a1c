package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/encoding/protowire"

	"etcd/store"
)

// field encodes a protobuf field that holds bytes.
func field(n protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, n, protowire.BytesType), value)
}

// number encodes a protobuf field that holds a number.
func number(n protowire.Number, value uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, n, protowire.VarintType), value)
}

func setCommandBody(path string) []byte {
	return append(field(1, []byte(path)), field(3, []byte("of a stranger"))...)
}

// setCommand encodes a command that sets a key, as in the log.
func setCommand(path string) []byte { return field(1, setCommandBody(path)) }

func memberBody(id uint64) []byte {
	return slices.Concat(number(1, id), field(2, []byte("stranger")), field(3, []byte("http://127.0.0.2:7001")), field(4, []byte("http://127.0.0.2:4001")))
}

// framed encodes an empty frame.
func framed(kind byte) []byte { return frame(kind, nil) }

// forwardCommands forwards commands, in every term that may be the leader's.
func forwardCommands(commands map[string][]byte) func(st *stranger) error {
	return func(st *stranger) error {
		st.sayToAll("bulk", func(*server, uint64) [][]byte {
			var said [][]byte
			for _, command := range commands {
				for _, kind := range []byte{forwardCommand, forwardJoin, forwardRemove} {
					said = append(said, forwardFrame(st.term, kind, unknown, command))
				}
			}
			return said
		})
		return nil
	}
}

func joinRequest(contentType string, fields map[string]string, more ...[2]string) request {
	var b bytes.Buffer
	for name, value := range fields {
		fmt.Fprintf(&b, `,%q:%s`, name, jsonString(value))
	}
	fmt.Fprintf(&b, `,"understood":{"protocol":%q,"commands":%q,"snapshots":%q}`, protocolVersion, store.Commands, store.Snapshots)
	body := b.Bytes()
	body[0] = '{'
	return request{method: "POST", target: "/join", header: append(more, [2]string{"Content-Type", contentType}), body: append(body, '}')}
}

// jsonString encodes a text in JSON with every character escaped.
func jsonString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		fmt.Fprintf(&b, `\u%04x`, r)
	}
	return b.String() + `"`
}

// url returns the URL of an address, with or without TLS as the cluster.
func (st *stranger) url(addr string) string {
	if _, secure := overTLS.Load(st.victims.members[0].peer); secure {
		return "https://" + addr
	}
	return "http://" + addr
}

// message encodes a Raft message from one member to another.
func (st *stranger) message(kind raftpb.MessageType, to *server, from, term uint64) *raftpb.Message {
	return &raftpb.Message{Type: kind.Enum(), From: &from, To: new(st.ids[to.name]), Term: &term}
}

// snapshot encodes the Raft message that precedes a snapshot.
func (st *stranger) snapshot(to *server, from, term, index uint64) *raftpb.Message {
	m := st.message(raftpb.MsgSnap, to, from, term)
	voters := []uint64{from}
	m.Snapshot = &raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{Index: &index, Term: &term, ConfState: &raftpb.ConfState{Voters: voters}}}
	return m
}

// outlast opens many connections to each machine that send a byte per second or nothing, and
// checks that they block nobody from the port, and that the machines close them.
func (st *stranger) outlast(open func(s *server) (c *conn, drips bool)) error {
	const many = 150
	var held []*conn
	dripping := make(map[*conn]bool)
	for _, s := range st.victims.members {
		for range many {
			if c, drips := open(s); c != nil {
				held = append(held, c)
				dripping[c] = drips
			}
		}
	}
	var ended sync.WaitGroup
	var outlasted atomic.Int64
	for _, c := range held {
		_ = c.SetDeadline(time.Now().Add(2 * waitLimit))
		gone := make(chan struct{})
		ended.Go(func() {
			defer close(gone)
			defer c.Close()
			if _, err := io.Copy(io.Discard, c.Conn); errors.Is(err, os.ErrDeadlineExceeded) {
				outlasted.Add(1)
			}
		})
		if dripping[c] {
			ended.Go(func() {
				tick := time.NewTicker(time.Second)
				defer tick.Stop()
				for {
					select {
					case <-tick.C:
						_, _ = c.Write([]byte("x")) // until it is closed
					case <-gone:
						return
					}
				}
			})
		}
	}
	defer ended.Wait()
	if members := st.victims.members; len(members) > 1 {
		s := members[len(members)-1]
		s.kill()
		if err := startAgain(s); err != nil {
			return err
		}
	}
	for _, s := range st.victims.members {
		answered := func() bool {
			answer, err := exchange(s.peer, get("/version"))
			return err == nil && answer.status == 200
		}
		if !holdsSoon(answered) {
			return fmt.Errorf("%s cannot be reached by machines", s.name)
		}
	}
	ended.Wait()
	if n := outlasted.Load(); n > 0 {
		return fmt.Errorf("%d of %d connections that say next to nothing are still open", n, len(held))
	}
	return nil
}

// littleOnDisk returns an error if a machine has more than 1 MiB on disk besides its log.
func (st *stranger) littleOnDisk(s *server) error {
	var size int64
	err := filepath.WalkDir(s.data, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // it has gone meanwhile
		}
		if info, err := d.Info(); err == nil && !strings.HasSuffix(d.Name(), ".wal") {
			size += info.Size()
		}
		return nil
	})
	if err == nil && size > 1<<20 {
		err = fmt.Errorf("%s keeps %d bytes", s.name, size)
	}
	return err
}
