package e2e

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"etcd/raftnode"
	"etcd/store"
	"etcd/store/logtime"
	"etcd/store/tree"
	"etcd/wal"
	"etcd/wal/vfs"
)

// fixtures holds data directories that earlier versions have written; its README says how.
const fixtures = "testdata/upgrade"

// fixtureState is the state as read by the version that has written the fixture.
type fixtureState struct {
	Index        uint64
	HistoryLimit int
	Cleared      uint64
	Members      []store.Member
	Removed      []uint64
	Nodes        []*fixtureNode
	Events       []fixtureEvent
}

type fixtureNode struct {
	Path              string
	Dir               bool
	Value             []byte
	Created, Modified uint64
	Deadline          uint64
}

type fixtureEvent struct {
	Index      uint64
	Action     string
	Node, Prev *fixtureNode
}

func readFixtureState(t *testing.T, commit, name string) *fixtureState {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(fixtures, commit, name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	state := &fixtureState{}
	if err := json.Unmarshal(data, state); err != nil {
		t.Fatal(err)
	}
	return state
}

// unpackFixture unpacks a fixture into dir, which it creates.
func unpackFixture(t *testing.T, commit, name, dir string) {
	t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	packed, err := os.Open(filepath.Join(fixtures, commit, name+".tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	unzipped, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	for archive := tar.NewReader(unzipped); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeDir {
			continue
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(h.Name)), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFixtures opens the data directories of earlier versions: nothing that they held may be
// missing or changed.
func TestFixtures(t *testing.T) {
	t.Parallel()
	for _, commit := range []string{"ec409b8"} {
		for fixture, state := range map[string]string{
			"log": "log", "snapshot": "snapshot", "member1": "members", "member2": "members", "member3": "members",
		} {
			t.Run(commit+"/"+fixture+"/state", func(t *testing.T) {
				t.Parallel()
				checkFixtureState(t, commit, fixture, readFixtureState(t, commit, state))
			})
		}
		for _, fixture := range []string{"log", "snapshot"} {
			t.Run(commit+"/"+fixture+"/machine", func(t *testing.T) {
				t.Parallel()
				s := newMachine(t, "one")
				unpackFixture(t, commit, fixture, s.data)
				s.start()
				checkFixtureClients(t, s, readFixtureState(t, commit, fixture))
				s.stop() // the next start reads what the new program has written as well
				s.args = append(s.args, "-snapshot-count", "5")
				s.start()
				checkFixtureKeys(t, s, readFixtureState(t, commit, fixture))
				s.kill()
				s.start()
				checkFixtureKeys(t, s, readFixtureState(t, commit, fixture))
			})
		}
		t.Run(commit+"/members/machines", func(t *testing.T) {
			t.Parallel()
			state := readFixtureState(t, commit, "members")
			c := &cluster{t: t}
			for i, name := range []string{"one", "two", "three"} {
				s := newMachine(t, name)
				unpackFixture(t, commit, fmt.Sprintf("member%d", i+1), s.data)
				c.members = append(c.members, s)
			}
			for i, s := range c.members { // other processes may listen at the recorded addresses
				s.args = append(s.args, "-C", c.members[(i+1)%3].peer)
			}
			c.start(c.members...)
			c.checkAddresses()
			for _, s := range c.members {
				checkFixtureClients(t, s, state)
			}
			for _, s := range c.members {
				s.stop()
				s.start()
				checkFixtureKeys(t, s, state)
			}
			c.waitVoters()
			c.checkSameState()
		})
	}
}

// checkFixtureState reads a directory as a start does and compares every node, member and
// event with what it held, indexes and deadlines included.
func checkFixtureState(t *testing.T, commit, fixture string, want *fixtureState) {
	dir := filepath.Join(t.TempDir(), "data")
	unpackFixture(t, commit, fixture, dir)
	fsys, err := vfs.Dir(dir)
	if err != nil {
		t.Fatal(err)
	}
	state := store.New()
	log, found, err := wal.Open(fsys, wal.Options{Restore: func(body io.Reader) (err error) {
		state, err = store.Restore(body)
		return err
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	entries, err := raftnode.Skip{CheckCommand: store.CheckCommand}.Decode(found.Entries)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, err := state.Apply(e.Index, logtime.Time(e.Now), e.Command); err != nil {
			t.Fatal(err)
		}
	}
	got := &fixtureState{
		Index: state.Index(), HistoryLimit: state.HistoryLimit(), Cleared: state.History().Cleared(),
		Members: state.Members(), Removed: state.Removed(),
	}
	var list func(dir string)
	list = func(dir string) {
		for _, n := range state.Children(dir, "", math.MaxInt) {
			got.Nodes = append(got.Nodes, newFixtureNode(n))
			list(n.Path)
		}
	}
	list("/")
	for e := range state.History().From(0) {
		got.Events = append(got.Events, fixtureEvent{e.Index, e.Action.String(), newFixtureNode(e.Node), newFixtureNode(e.Prev)})
	}
	gotText, wantText := fixtureText(t, got), fixtureText(t, want)
	for i, line := range wantText {
		if i >= len(gotText) || gotText[i] != line {
			t.Fatalf("line %d is %q, want %q", i, gotText[min(i, len(gotText)-1)], line)
		}
	}
	if len(gotText) != len(wantText) {
		t.Fatalf("%d lines, want %d", len(gotText), len(wantText))
	}
}

func newFixtureNode(n *tree.Node) *fixtureNode {
	if n == nil {
		return nil
	}
	return &fixtureNode{Path: n.Path, Dir: n.Dir, Value: []byte(n.Value), Created: n.Created, Modified: n.Modified, Deadline: uint64(n.Deadline)}
}

// fixtureText is a state as lines that can be compared.
func fixtureText(t *testing.T, state *fixtureState) []string {
	text, err := json.MarshalIndent(state, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	// Nil and empty are the same.
	return strings.Split(strings.NewReplacer(`"Value": null`, `"Value": ""`, `"Removed": []`, `"Removed": null`).Replace(string(text)), "\n")
}

// checkFixtureClients checks what the first clients see of a machine that runs the new program.
func checkFixtureClients(t *testing.T, s *server, want *fixtureState) {
	t.Helper()
	checkFixtureKeys(t, s, want)
	missed := 0
	for _, e := range want.Events {
		answer := s.do(get("/v1/watch/?index=" + strconv.FormatUint(e.Index, 10)))
		got, err := answer.event()
		if err != nil {
			t.Fatalf("watch from %d: %v", e.Index, err)
		}
		if got.ErrorCode == 401 { // evicted from the history by events of the new program
			missed++
			continue
		}
		prev := ""
		if e.Prev != nil && !e.Prev.Dir {
			prev = shown(e.Prev.Value)
		}
		if got.Index != e.Index || got.Key != e.Node.Path || got.Value != shown(e.Node.Value) || got.PrevValue != prev {
			t.Errorf("the event at %d is %+v, want %+v (before: %+v)", e.Index, got, e.Node, e.Prev)
		}
	}
	if missed > len(want.Events)/2 {
		t.Errorf("%d of %d events are gone", missed, len(want.Events))
	}
	if e := s.event(post("/v1/keys/since", "value", "new")); e.Index <= want.Index {
		t.Errorf("a write got the index %d, and the state was of %d", e.Index, want.Index)
	}
}

// checkFixtureKeys checks every key and directory, except those about machines, whose
// addresses have changed.
func checkFixtureKeys(t *testing.T, s *server, want *fixtureState) {
	t.Helper()
	for _, n := range want.Nodes {
		switch {
		case store.Reserved(n.Path):
		case n.Dir:
			if answer := s.do(get("/v1/keys" + n.Path)); answer.status != 200 || !strings.HasPrefix(answer.body, "[") {
				t.Errorf("directory %s: %d %s", n.Path, answer.status, answer.body)
			}
		case n.Deadline > 0 && n.Deadline < uint64(time.Now().UnixNano()):
			waitUntil(t, n.Path+" expires", func() bool { return s.do(get("/v1/keys"+n.Path)).status == 404 })
		default:
			e := s.event(get("/v1/keys" + n.Path))
			expiration := ""
			if n.Deadline > 0 {
				expiration = logtime.Time(n.Deadline).Std().Format(time.RFC3339Nano)
			}
			if e.Value != shown(n.Value) || e.Expiration != expiration {
				t.Errorf("%s is %q, expires %q; want %q, %q", n.Path, e.Value, e.Expiration, n.Value, expiration)
			}
			raw := get("/v1/keys" + n.Path)
			raw.header = [][2]string{{"Accept", "application/octet-stream"}}
			if got := s.do(raw); got.body != string(n.Value) {
				t.Errorf("%s holds %q, want %q", n.Path, got.body, n.Value)
			}
		}
	}
}

// shown formats a value as JSON.
func shown(value []byte) string { return string([]rune(string(value))) }
