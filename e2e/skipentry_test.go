package e2e

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"etcd/wal"
	"etcd/wal/vfs"
)

// poison appends a committed entry that cannot be applied to the log of a stopped machine,
// and returns its index.
func (s *server) poison() (index uint64) {
	s.t.Helper()
	fsys, err := vfs.Dir(s.data)
	if err != nil {
		s.t.Fatal(err)
	}
	log, found, err := wal.Open(fsys, wal.Options{})
	if err != nil {
		s.t.Fatal(err)
	}
	last := found.Entries[len(found.Entries)-1]
	index = last.GetIndex() + 1
	state := found.HardState
	state.Commit = &index
	envelope := "\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	log.Append(state, []*raftpb.Entry{{Index: &index, Term: last.Term, Data: []byte(envelope + "\x1b[2J no command")}}, nil)
	if err := log.Sync(); err != nil {
		s.t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		s.t.Fatal(err)
	}
	return index
}

// TestSkipEntry: an entry that cannot be applied is in the log of every machine. They name
// it at every start, and go on together when all are told to skip it.
func TestSkipEntry(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3, "-heartbeat", "50ms", "-election", "500ms", "-snapshot-count", "20")
	before := c.members[0].event(post("/v1/keys/before", "value", "1"))
	c.checkSameState()
	c.kill(c.members...)
	indexes := map[uint64]bool{}
	var index uint64
	for _, s := range c.members {
		index = s.poison()
		indexes[index] = true
	}
	if len(indexes) != 1 {
		t.Fatalf("the logs end at different entries: %v", indexes)
	}

	for range 2 {
		for _, s := range c.members {
			s.launch()
		}
		for _, s := range c.members {
			code, log := s.proc.waitExit(waitLimit), s.proc.stderr()
			if code != 1 || !strings.Contains(log, "holds an entry that this program cannot apply") || !strings.Contains(log, fmt.Sprintf("index=%d ", index)) ||
				!strings.Contains(log+"\n", "begins=1b5b324a\n") || !strings.Contains(log, "-skip-entry") {
				t.Fatalf("%s ends with %d:\n%s", s.name, code, log)
			}
			if strings.Contains(log, "\x1b") || strings.Contains(log, "goroutine") {
				t.Fatalf("%s:\n%s", s.name, log)
			}
		}
	}
	wrong := strconv.FormatUint(before.Index, 10)
	checkRefusal(t, append(c.members[0].flags(), "-skip-entry", wrong), "-skip-entry", "entry "+wrong+" can be applied")

	args := map[*server][]string{}
	for _, s := range c.members {
		args[s] = slices.Clone(s.args)
		s.args = append(s.args, "-skip-entry", strconv.FormatUint(index, 10))
	}
	c.start(c.members...)
	for i := range 30 {
		c.members[0].event(post("/v1/keys/after", "value", strconv.Itoa(i)))
	}
	c.checkSameState()
	if e := c.members[1].event(get("/v1/keys/before")); e.Value != before.Value {
		t.Errorf("%+v", e)
	}
	for _, s := range c.members {
		if log := s.proc.stderr(); !strings.Contains(log, "SKIPPED AN ENTRY") {
			t.Errorf("%s says nothing of it:\n%s", s.name, log)
		}
		waitUntil(t, "a snapshot behind the entry", func() bool { return strings.Contains(s.proc.stderr(), "snapshot written") })
		s.stop()
		s.args = args[s] // the flag is not needed any more
		s.start()
	}
	c.members[2].event(post("/v1/keys/after", "value", "all"))
	c.checkSameState()
}
