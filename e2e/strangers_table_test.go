package e2e

import (
	"bytes"
	"fmt"
	"math"
	"net"
	"slices"
	"strings"
	"sync"

	"go.etcd.io/raft/v3/raftpb"
)

// attack is a row of the table: what a stranger does to a cluster. Unless it returns an error,
// only the cluster's state afterwards matters, not the answers.
type attack struct {
	name string
	do   func(st *stranger) error
	// restarts has the machines killed and restarted afterwards: harm may show only then. One
	// attack of each kind has it.
	restarts bool
}

var attacks = []attack{
	{"forwarded commands that make no sense", forwardCommands(map[string][]byte{
		"nothing":        nil,
		"garbage":        []byte("\xff\xff this is no command \x1b[2J"),
		"half a command": setCommand("/stranger")[:5],
		"newer kind":     field(99, []byte("of a later version")),
		"newer field":    field(1, append(setCommandBody("/stranger"), field(77, []byte("later"))...)),
	}), false},
	{"forwarded commands in order", forwardCommands(map[string][]byte{
		"a key":      setCommand("/stranger"),
		"no history": field(8, number(1, math.MaxUint32)),
	}), false},
	{"forwarded commands that no client can send", forwardCommands(map[string][]byte{
		"no path":           setCommand(""),
		"relative path":     setCommand("stranger"),
		"path upwards":      setCommand("/stranger/../../x"),
		"reserved path":     setCommand("/_etcd/machines/stranger"),
		"NUL":               setCommand("/stranger\x00"),
		"no UTF-8":          setCommand("/stranger\xff"),
		"escape sequence":   setCommand("/stranger\x1b[2J\r\n"),
		"a long path":       setCommand("/" + strings.Repeat("stranger/", 1<<17)),
		"40 MB":             field(1, append(setCommandBody("/stranger"), field(3, make([]byte, 40<<20))...)),
		"negative ttl":      field(1, append(setCommandBody("/stranger"), number(4, math.MaxUint64)...)),
		"longest ttl":       field(1, append(setCommandBody("/stranger"), number(4, math.MaxInt64)...)),
		"another bootstrap": field(5, append(field(1, memberBody(unknown)), number(2, 1)...)),
		"a member":          field(6, field(1, memberBody(unknown))),
	}), false},
	{"forwarded removals and joins", func(st *stranger) error {
		for _, id := range append(st.names(), 0) {
			st.sayToAll("bulk", func(*server, uint64) [][]byte {
				return [][]byte{
					forwardFrame(st.term, forwardRemove, id, field(7, number(1, id))),
					forwardFrame(st.term, forwardCommand, 0, field(7, number(1, id))),
					forwardFrame(st.term, forwardJoin, unknown, field(6, field(1, memberBody(unknown)))),
				}
			})
		}
		return nil
	}, false},
	{"a forward of exactly the largest frame", func(st *stranger) error {
		const envelope = 41
		value := make([]byte, largestFrame-envelope-len(setCommandBody("/stranger"))-32)
		set := append(setCommandBody("/stranger"), field(3, value)...)
		filled := func(n int) []byte { return field(1, append(set, field(77, make([]byte, n))...)) }
		command := filled(largestFrame - envelope - len(filled(0)))
		st.sayToAll("bulk", func(*server, uint64) [][]byte {
			f := forwardFrame(st.term, forwardCommand, 0, command)
			return [][]byte{f, framed(framePing)}
		})
		return nil
	}, true},
	{"terms that no election can explain", func(st *stranger) error {
		for _, term := range []uint64{math.MaxUint64 - 1, math.MaxUint64, 1 << 62, st.term + 1<<40} {
			st.sayToAll("control", func(s *server, from uint64) [][]byte {
				var said [][]byte
				for _, kind := range []raftpb.MessageType{raftpb.MsgHeartbeat, raftpb.MsgVote, raftpb.MsgPreVote, raftpb.MsgApp, raftpb.MsgAppResp} {
					said = append(said, raftFrame(st.message(kind, s, from, term)))
				}
				return said
			})
		}
		return nil
	}, false},
	{"commits beyond the log", func(st *stranger) error {
		for _, commit := range []uint64{1 << 40, math.MaxUint64, st.index + 1000} {
			st.sayToAll("control", func(s *server, from uint64) [][]byte {
				var said [][]byte
				for _, kind := range []raftpb.MessageType{raftpb.MsgHeartbeat, raftpb.MsgApp} {
					for _, term := range []uint64{st.term, st.term + 1} {
						m := st.message(kind, s, from, term)
						m.Index, m.LogTerm, m.Commit = &st.index, &st.term, &commit
						said = append(said, raftFrame(m))
					}
				}
				return said
			})
		}
		return nil
	}, false},
	{"answers to appends that nobody has sent", func(st *stranger) error {
		st.sayToAll("control", func(s *server, from uint64) [][]byte {
			var said [][]byte
			for _, index := range []uint64{st.index + 1000, 1 << 40, math.MaxUint64} {
				for _, kind := range []raftpb.MessageType{raftpb.MsgAppResp, raftpb.MsgHeartbeatResp, raftpb.MsgVoteResp, raftpb.MsgPreVoteResp} {
					m := st.message(kind, s, from, st.term)
					m.Index, m.LogTerm, m.Commit = &index, &st.term, &index
					said = append(said, raftFrame(m))
				}
			}
			return said
		})
		return nil
	}, false},
	{"entries that follow nothing, or that nobody can read", func(st *stranger) error {
		entry := func(index, term uint64, kind raftpb.EntryType, data string) *raftpb.Entry {
			return &raftpb.Entry{Index: &index, Term: &term, Type: kind.Enum(), Data: []byte(data)}
		}
		next := st.index + 1
		for _, entries := range [][]*raftpb.Entry{
			{entry(next, st.term, raftpb.EntryNormal, "\xff")},
			{entry(next, st.term, raftpb.EntryNormal, strings.Repeat("\x01", 17)+"\xff\xff no command")},
			{entry(next, st.term, raftpb.EntryConfChange, "\xff\xff")},
			{entry(next, st.term, raftpb.EntryConfChangeV2, "\xff\xff")},
			{entry(next, st.term, 77, "")},
			{entry(next, st.term, raftpb.EntryNormal, ""), entry(next+5, st.term, raftpb.EntryNormal, "")},
			{entry(1<<40, st.term, raftpb.EntryNormal, "")},
			{entry(0, 0, raftpb.EntryNormal, "")},
			{nil},
		} {
			st.sayToAll("bulk", func(s *server, from uint64) [][]byte {
				var said [][]byte
				for _, term := range []uint64{st.term, st.term + 1} {
					m := st.message(raftpb.MsgApp, s, from, term)
					m.Index, m.LogTerm, m.Commit = &st.index, &st.term, &next
					m.Entries = entries
					if entries[0] == nil {
						m.Entries = []*raftpb.Entry{{}}
					}
					said = append(said, raftFrame(m))
				}
				return said
			})
		}
		return nil
	}, false},
	{"messages of every kind, and of none", func(st *stranger) error {
		for _, class := range []string{"control", "bulk"} {
			st.sayToAll(class, func(s *server, from uint64) [][]byte {
				said := [][]byte{frame(frameRaft, nil), frame(frameRaft, []byte("this is no message of Raft")), frame(frameForward, []byte{1, 2, 3})}
				for kind := range raftpb.MessageType(40) {
					m := st.message(kind, s, from, st.term)
					m.Snapshot = &raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{Index: new(uint64(1 << 40)), Term: &st.term}}
					m.Entries = []*raftpb.Entry{{Data: []byte("\xff")}}
					said = append(said, raftFrame(m))
				}
				return said
			})
		}
		return nil
	}, true},
	{"frames that are none", func(st *stranger) error {
		broken := frame(frameRaft, []byte("damaged"))
		broken[8] ^= 1
		endless := frame(frameRaft, nil)
		copy(endless, "\xff\xff\xff\xff")
		st.sayToAll("control", func(*server, uint64) [][]byte { return [][]byte{broken} })
		st.sayToAll("control", func(*server, uint64) [][]byte { return [][]byte{endless} })
		st.sayToAll("control", func(*server, uint64) [][]byte { return [][]byte{framed(77)} })
		st.sayToAll("control", func(*server, uint64) [][]byte { return [][]byte{[]byte("GET / HTTP/1.1\r\n\r\n")} })
		return nil
	}, false},
	{"a word that members are removed, or refused", func(st *stranger) error {
		for _, status := range []int{410, 409, 412, 424, 417, 406} {
			st.sayToAll("control", func(*server, uint64) [][]byte {
				return [][]byte{frame(frameRefusal, fmt.Appendf(nil, `{"errorCode":%d,"cause":"\u001b[2J this machine was removed"}`, status))}
			})
		}
		return nil
	}, false},
	{"a log that reaches further than any", func(st *stranger) error {
		const reach = "7fffffffffffffff-7fffffffffffffff-7fffffffffffffff-7fffffffffffffff"
		st.sayToAll("control", func(*server, uint64) [][]byte {
			return [][]byte{frame(frameReach, []byte(reach)), frame(frameHash, make([]byte, 40))}
		})
		for _, s := range st.victims.members {
			for _, from := range st.names() {
				h := st.hello(s, from, "control")
				h.reach = reach
				st.say(s, h, func() [][]byte { return nil })
			}
		}
		return nil
	}, false},
	{"members at another address", func(st *stranger) error {
		for _, s := range st.victims.members {
			for _, from := range st.names() {
				for _, addr := range []string{"127.0.0.1:1", st.lair.addr, "203.0.113.1:7001"} {
					h := st.hello(s, from, "control")
					h.addr = addr
					st.say(s, h, func() [][]byte { return nil })
				}
			}
		}
		return nil
	}, true},
	{"a thousand members that nobody knows", func(st *stranger) error {
		const many, atATime = 1000, 8
		other := newLair(st.t)
		var all sync.WaitGroup
		for first := range uint64(atATime) {
			all.Go(func() {
				for id := unknown + first; id < unknown+many; id += atATime {
					s := st.victims.members[id%uint64(len(st.victims.members))]
					h := st.hello(s, id, "control")
					h.addr = other.addr
					st.say(s, h, func() [][]byte { return nil })
				}
			})
		}
		all.Wait()
		if n := other.asked.Load(); n > 0 {
			return fmt.Errorf("%d streams were opened to an address that a stranger has named", n)
		}
		if n := other.calls.Load(); n > many {
			return fmt.Errorf("%d connections to an address that a stranger has named", n)
		}
		return nil
	}, false},
	{"a handshake with escape sequences in each header", func(st *stranger) error {
		headers := []string{"X-Etcd-Protocol", "X-Etcd-Commands", "X-Etcd-Snapshots", "X-Etcd-Cluster-Id", "X-Etcd-From", "X-Etcd-To", "X-Etcd-Class",
			"X-Etcd-Peer-Address", "X-Etcd-Nonce", "X-Etcd-Reach", "X-Etcd-Token", "Upgrade", "Host", "User-Agent"}
		for _, s := range st.victims.members {
			for _, header := range headers {
				for _, value := range []string{"\x1b[2J\x07", "\xc2\x9b2J", "127.0.0.1:1\x1b[2J", strings.Repeat("x", 12<<10)} {
					h := st.hello(s, unknown, "control")
					h.more = [][2]string{{header, value}}
					st.say(s, h, func() [][]byte { return nil })
				}
			}
			for _, r := range []request{get("/\x1b[2J"), get("/raft/member?\x1b[2J"), {method: "\x1b[2J", target: "/"}, get("/%1b%5b2J"), get("/hash\x7f")} {
				_, _ = st.ask(s, r) // whatever it says
			}
		}
		return nil
	}, false},
	{"snapshots that are none", func(st *stranger) error {
		st.sayToAll("snapshot", func(s *server, from uint64) [][]byte {
			return [][]byte{snapshotFrames(st.snapshot(s, from, st.term, st.index+1000), []byte("this is no snapshot at all"))}
		})
		st.sayToAll("snapshot", func(s *server, from uint64) [][]byte {
			return [][]byte{snapshotFrames(st.snapshot(s, from, st.term, st.index+1000), nil)}
		})
		return nil
	}, false},
	{"a snapshot in order, of nothing", func(st *stranger) error {
		header := slices.Concat(number(1, 1), number(2, st.index+1000), number(3, 1000))
		body := append([]byte{byte(len(header))}, header...)
		for _, term := range []uint64{st.term, st.term + 1, st.term + 2} {
			st.sayToAll("snapshot", func(s *server, from uint64) [][]byte {
				return [][]byte{snapshotFrames(st.snapshot(s, from, term, st.index+1000), body)}
			})
		}
		return nil
	}, false},
	{"snapshots with absurd metadata", func(st *stranger) error {
		for _, m := range []struct{ index, term uint64 }{
			{math.MaxUint64, st.term}, {math.MaxUint64 - 1, math.MaxUint64 - 1}, {1 << 63, 1}, {0, 0}, {st.index + 5, math.MaxUint64 - 1},
		} {
			st.sayToAll("snapshot", func(s *server, from uint64) [][]byte {
				message := st.snapshot(s, from, m.term, m.index)
				message.Snapshot.Metadata.ConfState = nil
				return [][]byte{snapshotFrames(message, []byte("x"))}
			})
		}
		st.sayToAll("snapshot", func(s *server, from uint64) [][]byte {
			return [][]byte{frame(frameSnapshotMessage, []byte("\xff\xff"))}
		})
		st.sayToAll("snapshot", func(s *server, from uint64) [][]byte {
			return [][]byte{frame(frameSnapshotMessage, snapshotMessage(&raftpb.Message{Type: raftpb.MsgSnap.Enum(), From: &from}, 1))}
		})
		return nil
	}, false},
	{"a snapshot without end", func(st *stranger) error {
		const much = 96 << 20
		piece := frame(frameSnapshotPiece, make([]byte, 256<<10))
		s := st.victims.members[0]
		for _, from := range st.names() {
			c, _ := st.open(s, st.hello(s, from, "snapshot"))
			if c == nil {
				continue
			}
			_, err := c.Write(frame(frameSnapshotMessage, snapshotMessage(st.snapshot(s, from, st.term, st.index+1000), 96<<20)))
			for sent := 0; err == nil && sent < much; sent += len(piece) {
				_, err = c.Write(piece)
			}
			kept := st.littleOnDisk(s) // during the attack, for as long as the machine lets it go on
			c.Close()
			if kept != nil {
				return kept
			}
		}
		return st.littleOnDisk(s)
	}, true},
	{"a snapshot at a byte a second", func(st *stranger) error {
		names, opened := st.names(), 0
		return st.outlast(func(s *server) (*conn, bool) {
			from := names[opened%len(names)]
			opened++
			c, _ := st.open(s, st.hello(s, from, "snapshot"))
			if c != nil {
				_, _ = c.Write(frame(frameSnapshotMessage, snapshotMessage(st.snapshot(s, from, st.term, st.index+1000), 96<<20)))
			}
			return c, true
		})
	}, false},
	{"requests to join that make no sense", func(st *stranger) error {
		good := func() map[string]string {
			return map[string]string{"memberId": "4711", "name": "stranger", "peerUrl": st.url("127.0.0.2:7001"), "clientUrl": st.url("127.0.0.2:4001")}
		}
		var asks []request
		for name, values := range map[string][]string{
			"memberId":  {"0", "-1", "18446744073709551615", "x"},
			"name":      {"", "..", "a/b", "evil\x1b[2J", "evil\r\nX: y", "\xc2\x9b2J", strings.Repeat("n", 40<<10), strings.Repeat("n", 5<<20), "a,b", "\u202egnp"},
			"peerUrl":   hostileURLs,
			"clientUrl": hostileURLs,
		} {
			for _, value := range values {
				fields := good()
				fields[name] = value
				asks = append(asks, joinRequest("application/json", fields))
			}
		}
		asks = append(asks,
			joinRequest("text/plain", good()),
			joinRequest("application/x-www-form-urlencoded", good()),
			joinRequest("application/json", good(), [2]string{"Origin", "http://evil.example"}),
			joinRequest("application/json", good(), [2]string{"Sec-Fetch-Site", "cross-site"}),
			request{method: "POST", target: "/join", header: [][2]string{{"Content-Type", "application/json"}}, body: []byte("{")},
		)
		for _, s := range st.victims.members {
			for _, ask := range asks {
				answer, err := st.ask(s, ask)
				if err == nil && answer.status < 400 {
					return fmt.Errorf("/join with %s %.200q: %d %s", ask.header, ask.body, answer.status, answer.body)
				}
				if bytes.ContainsFunc([]byte(answer.body), func(r rune) bool { return r < ' ' && r != '\n' }) {
					return fmt.Errorf("/join with %.200q repeats it: %q", ask.body, answer.body)
				}
			}
		}
		return nil
	}, true},
	{"everybody asks for the hash", func(st *stranger) error {
		var all sync.WaitGroup
		for range 100 {
			for _, s := range st.victims.members {
				all.Go(func() {
					for range 5 {
						_, _ = st.ask(s, get("/hash")) // whatever it says
					}
				})
			}
		}
		all.Wait()
		return nil
	}, false},
	{"connections that say nothing, or half a request", func(st *stranger) error {
		opened := 0
		return st.outlast(func(s *server) (*conn, bool) {
			if opened++; opened%2 == 0 {
				c, err := st.dial(s)
				if err != nil {
					return nil, false
				}
				_, _ = c.Write([]byte("GET /raft/stream HTTP/1.1\r\nHost: "))
				return c, true
			}
			raw, err := net.DialTimeout("tcp", s.peer, waitLimit)
			if err != nil {
				return nil, false
			}
			return &conn{Conn: raw}, false
		})
	}, false},
}

var hostileURLs = []string{
	"", "http://", "https://", "http://:7001", "https://:7001", "http://127.0.0.2", "ftp://127.0.0.2:1", "//127.0.0.2:7001", "127.0.0.2:7001",
	"http://[fe80::1%25\r\nX-Evil: yes\r\n]:7001", "https://[fe80::1%25\r\nX-Evil: yes\r\n]:7001",
	"http://[fe80::1%\r\nX-Evil: yes\r\n]:7001", "https://[fe80::1%\r\nX-Evil: yes\r\n]:7001",
	"http://evil:4001,127.0.0.1:14001", "https://evil:4001,127.0.0.1:14001", "http://a:1, http://b:2", "https://a:1, https://b:2",
	"http://user:secret@127.0.0.2:7001", "https://user:secret@127.0.0.2:7001", "http://127.0.0.2:7001/path", "https://127.0.0.2:7001/path?x=y#z",
	"http://127.0.0.2:70000", "https://127.0.0.2:70000", "http://127.0.0.2:0", "https://127.0.0.2:0",
	"http://evil\x1b[2J:7001", "https://evil\x1b[2J:7001", "http://" + strings.Repeat("h", 5000) + ":7001", "https://" + strings.Repeat("h", 5000) + ":7001",
	"http://ev il:7001", "https://ev&il=:7001",
}
