package e2e

import (
	"bufio"
	wire "encoding/binary"
	"fmt"
	"hash/crc32"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// TestSnapshotsOfStrangers: an attacker who knows all IDs sends snapshots to all members in
// their names, in the next term: none is acknowledged, none is left on a disk, and the machines
// serve, restart, and have the same state.
func TestSnapshotsOfStrangers(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3)
	c.write(c.members[0], 20)
	list, err := c.members[0].list()
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]uint64{}
	var voters []uint64
	for _, m := range list {
		id, err := strconv.ParseUint(m.ID, 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		ids[m.Name], voters = id, append(voters, id)
	}
	for _, s := range c.members {
		for _, from := range append(slices.Clone(voters), 0xdead) {
			for _, body := range []string{"", "this is no snapshot at all"} {
				for _, size := range []uint64{uint64(len(body)), 1 << 50} {
					if status := sendStrangeSnapshot(t, s, clusterOf(t, s), from, ids[s.name], voters, size, body); status == http.StatusNoContent {
						t.Errorf("%s has acknowledged %q of %x", s.name, body, from)
					}
				}
			}
		}
	}
	for _, s := range c.members {
		left, err := filepath.Glob(filepath.Join(s.data, "*.snap*"))
		if err != nil || len(left) > 0 || !s.runs() {
			t.Errorf("%s runs: %t; it has %v, %v", s.name, s.runs(), left, err)
		}
	}
	c.write(c.members[1], 20)
	c.checkSameState()
	for _, s := range c.members {
		s.stop()
	}
	c.start(c.members...)
	c.waitVoters()
	c.write(c.members[2], 20)
	c.checkSameState()
}

// clusterOf reads the ID of the cluster from the first segment of a machine's log.
func clusterOf(t *testing.T, s *server) uint64 {
	t.Helper()
	segment, err := os.ReadFile(filepath.Join(s.data, "0000000000000001.wal"))
	if err != nil {
		t.Fatal(err)
	}
	return wire.LittleEndian.Uint64(segment[16:])
}

// sendStrangeSnapshot sends a snapshot as a leader does, and returns the last status of the
// answers; 0 for none.
func sendStrangeSnapshot(t *testing.T, s *server, cluster, from, to uint64, voters []uint64, size uint64, body string) (status int) {
	t.Helper()
	conn, err := net.Dial("tcp", s.peerListen())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(waitLimit)); err != nil {
		t.Fatal(err)
	}
	term, index := uint64(50), uint64(5000)
	message, err := proto.Marshal(&raftpb.Message{
		Type: raftpb.MsgSnap.Enum(), From: &from, To: &to, Term: &term,
		Snapshot: &raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{Index: &index, Term: &term, ConfState: &raftpb.ConfState{Voters: voters}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	frame := func(kind byte, payload []byte) []byte {
		b := append(wire.LittleEndian.AppendUint32(nil, uint32(len(payload))), kind, 0, 0, 0)
		sum := crc32.Update(crc32.Checksum(b, castagnoli), castagnoli, payload)
		return append(wire.LittleEndian.AppendUint32(b, sum), payload...)
	}
	end := wire.LittleEndian.AppendUint32(wire.LittleEndian.AppendUint64(nil, uint64(len(body))), crc32.Checksum([]byte(body), castagnoli))
	_, _ = fmt.Fprintf(conn, "POST /raft/snapshot HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: etcd-raft\r\nX-Etcd-Protocol: 4\r\nX-Etcd-Commands: 1-2\r\nX-Etcd-Snapshots: 1-2\r\n"+
		"X-Etcd-Cluster-Id: %016x\r\nX-Etcd-From: %016x\r\nX-Etcd-To: %016x\r\nX-Etcd-Class: snapshot\r\nX-Etcd-Peer-Address: 127.0.0.1:1\r\n"+
		"X-Etcd-Nonce: 57a6\r\nX-Etcd-Token: 00000000000000000000000000000000\r\nX-Etcd-Reach: 32-32-1388-1388\r\nContent-Length: 0\r\n\r\n", cluster, from, to) // what ends it shows in the answer
	r := bufio.NewReader(conn)
	for {
		answer, err := http.ReadResponse(r, nil)
		if err != nil {
			return status
		}
		if status = answer.StatusCode; status != http.StatusSwitchingProtocols {
			return status
		}
		_, _ = conn.Write(slices.Concat(frame(32, append(wire.LittleEndian.AppendUint64(nil, size), message...)), frame(33, []byte(body)), frame(34, end)))
	}
}
