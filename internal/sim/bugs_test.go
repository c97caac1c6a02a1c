//go:build !race

package sim

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// bug is a deliberate bug that the simulation has to find.
type bug struct {
	name string
	// seeds is the number of seeds within which it has to be found.
	seeds int
	edits []edit
}

// edit replaces a piece of a file, which must occur exactly once.
type edit struct{ file, old, new string }

var bugs = []bug{
	{"acknowledge before fsync", 20, []edit{{"actors/wal.go", `
			w.appends = append(w.appends, m)
			w.flushSoon(ctx)`, `
			ctx.Send(w.to.raft, &appended{appends: []*raftnode.Append{m}})
			w.flushSoon(ctx)`}}},
	{"forget to sync the directory", 60, []edit{{"wal/segment.go", `if err := fsys.SyncDir(); err != nil {`, `if err := error(nil); err != nil {`}}},
	{"apply an entry again after a restart", 20, []edit{
		{"raftnode/compaction.go", `Index:     new(n.committed.handedOut),
		Term:      new(n.committed.term),`, `Index:     new(n.committed.handedOut - 1),
		Term:      new(n.committed.term),`},
		{"store/store.go", `if index <= s.index {`, `if index < s.index {`},
	}},
	{"expire by the local clock", 20, []edit{
		{"actors/store.go", `apply(e.Index, logtime.Time(e.Now), e.Command)`, `apply(e.Index, s.clock(), e.Command)`},
		{"actors/store.go", `	localReads int // since`, `	clock      func() logtime.Time
	localReads int // since`},
		{"actors/machine.go", `store: disk.store, snapshots: disk.snapshots,`, `store: disk.store, clock: func() logtime.Time { return logtime.Time(cfg.Clock().Wall) }, snapshots: disk.snapshots,`},
	}},
	{"lead by its own wall clock", 40, []edit{{"raftnode/clock.go", `	c.hear(c.At(now), now)`, `	c.known = true
	c.set(now.Wall, now)`}}},
	{"skip the ReadIndex", 20, []edit{{"actors/raft.go", `
	case *Read:
		r.node.Read(m)`, `
	case *Read:
		ctx.Send(r.to.store, m)`}}},
	{"answer before the log is replayed", 120, []edit{{"actors/startup.go", `	if e.done {`, `	if e.done || true {`}}},
	{"promote a learner early", 60, []edit{{"raftnode/confchange.go", `pr.RecentActive && pr.Match+promoteLag >= commit && pr.Match > 0`, `pr.RecentActive && commit > 0`}}},
	{"drop the members from the snapshot", 20, []edit{{"raftnode/compaction.go", `ConfState: proto.Clone(n.members.conf).(*raftpb.ConfState),`, `ConfState: proto.Clone(&raftpb.ConfState{}).(*raftpb.ConfState),`}}},
	{"keep a view for the next batch", 20, []edit{{"actors/store.go", `	s.changes()
	results`, `	results`}}},
	{"deliver an event before the history has it", 20, []edit{
		{"watch/hub.go", `	h.history = history
	if h.watches == 0 {`, `	h.history, h.late = h.late, history
	if h.watches == 0 {`},
		{"watch/hub.go", `	watches int
`, `	watches int
	late    tree.History
`},
	}},
	{"lose an event between catch-up and hand-back", 20, []edit{{"watch/hub.go", `if s.state == behind || s.overflowed`, `if s.state != current || s.overflowed`}}},
	{"move the cursor before the delivery", 40, []edit{{"watch/hub.go", `	s.ready = append(s.ready, w.deliver(e))
`, `	s.ready = append(s.ready, w.deliver(e))
	w.from = e.Index + 1
`}}},
	{"drop a ready list without becoming behind", 40, []edit{{"watch/hub.go", `	h.fallBehind(s, next)
	h.enqueue(s)
`, `	undeliver(s.ready)
	s.ready = nil
`}}},
	{"accept a stranger that knows the IDs", 20, []edit{{"actors/claims.go", `		return one.addr
	}
	return ""`, `		return one.addr
	}
	return h.Addr`}}},
	{"reuse a member ID", 50, []edit{{"internal/sim/operator.go", `	o.leave(m.memberID, func(err error, _ bool) {
		if err != nil && `, `	o.leave(0, func(err error, _ bool) {
		if err != nil && `}, {"internal/sim/operator.go", `		m.memberID, m.founder, m.damaged, m.restored, m.served = 0, false, false, false, false`, `		m.founder, m.damaged, m.restored, m.served = false, false, false, false`}}},
	{"found a cluster with limits of its own", 20, []edit{{"actors/versions.go", `HistoryLimit: store.FirstHistory,`, `HistoryLimit: cfg.HistoryLimit,`}}},
	{"forget with whom a cluster is founded", 60, []edit{{"actors/versions.go", `if len(cfg.Founders) == 0 {`, `if cfg.Raft.FirstProposalID%8 == 0 || len(cfg.Founders) == 0 {`}}},
	{"let a removed member join", 60, []edit{{"raftnode/roster.go", `if slices.Contains(r.Removed, member.ID) {`, `if member.ID == 0 {`}}},
	{"truncate a damaged log", 60, []edit{{"wal/replay.go", `after, found := recordAfter(data, h.crc, offset, end); found`, `after, found := recordAfter(data, h.crc, offset, end); found && after == 0`}}},
	{"forget the vote", 30, []edit{{"raftnode/appends.go", `&raftpb.HardState{Term: m.Term, Vote: m.Vote, Commit: m.Commit}`, `&raftpb.HardState{Term: m.Term, Vote: new(uint64(0)), Commit: m.Commit}`}}},
	{"retry a proposal that may be committed", 60, []edit{{"raftnode/proposals.go", `if !p.done && !p.maybeInSnapshot && p.term < term {`, `if !p.done {`}}},
	{"deny a proposal of unknown outcome", 60, []edit{{"raftnode/node.go", `n.fail(p.token, ErrUnknownOutcome)`, `n.fail(p.token, ErrNoLeader)`}}},
	{"propose a forward of any term", 100, []edit{{"raftnode/forward.go", `if !n.role.leads || p.term != n.role.term ||`, `p.term = n.role.term
	if !n.role.leads ||`}}},
	{"propose a forward twice", 100, []edit{{"raftnode/forward.go", `if !o.accept(p.originID) {`, `if !o.accept(p.originID) && n.transferring() {`}}},
	{"leave the quota out of a snapshot", 60, []edit{{"store/view.go", `, Quota: v.tree.Quota()})`, `})`}}},
	{"leave the history out of a snapshot", 20, []edit{{"store/tree/loader.go", `	recorded := history.record(event)
`, `	history.cleared = event.Index
	cleared = event.Index
	recorded := &event
`}}},
	{"leave no trace of a removal", 20, []edit{{"store/tree/keys.go", `	t.traces.note(event)
`, ``}}},
	{"lose a sub-revision", 20, []edit{{"store/mvcc/keyspace.go", `v.sub = uint32(k.puts + k.deletions)`, `v.sub = uint32(k.puts)`}}},
	{"see what was compacted until it is free", 20, []edit{{"store/mvcc/keyspace.go", `if after.Mod > s.compacted && !s.isGone(v) && !yield(v) {`, `if after != nil && !s.isGone(v) && !yield(v) {`}}},
	{"check the first operation of a transaction alone", 20, []edit{{"store/mvcc/txn.go", `	for _, op := range p.ops {
		var err error`, `	for _, op := range p.ops[:min(1, len(p.ops))] {
		var err error`}}},
	{"read a transaction without a ReadIndex", 20, []edit{{"actors/raft.go", `
	case *Query:
		r.node.Read(m)`, `
	case *Query:
		if m.Txn != nil {
			ctx.Send(r.to.store, m)
			return
		}
		r.node.Read(m)`}}},
	{"let a read join a ReadIndex in flight", 20, []edit{{"raftnode/reads.go", `case rs.current == nil && len(rs.next) > 0:`, `case rs.current != nil && len(rs.next) > 0 && rs.join():
		return nil
	case rs.current == nil && len(rs.next) > 0:`},
		{"raftnode/reads.go", `func (rs *reads) add(`, `func (rs *reads) join() bool {
	rs.current.reads, rs.next = append(rs.current.reads, rs.next...), nil
	return true
}

func (rs *reads) add(`}}},
	{"do not sync a snapshot", 30, []edit{{"wal/vfs/replace.go", `err = f.Sync()`, `err = nil`}}},
	{"retry a failed fsync", 30, []edit{{"wal/log.go", `	if err := l.file.Sync(); err != nil {
		return fmt.Errorf("wal: sync`, `	if err := l.file.Sync(); err != nil && l.file.Sync() != nil {
		return fmt.Errorf("wal: sync`}}},
	{"only sync at the start what a failed sync left", 120, []edit{{"wal/recover.go", `if rp.final != nil {`, `if rp.final != nil && rp.finalAt < 0 {`}}},
	{"begin a segment without syncing its name", 60, []edit{{"wal/spare.go", `nameSegment(l.fsys, spareName, name)`, `l.fsys.Rename(spareName, name)`}}},
	{"remove segments out of order", 250, []edit{{"wal/log.go", `		if err == nil {
			err = fsys.SyncDir()
		}
`, ``}}},
	{"keep entries whose segments were removed", 20, []edit{{"raftnode/storage.go", `s.first, s.prevTerm, s.runs = index+1, before, runs`, `_, _ = before, runs`}}},
	{"accept a member that has lost entries", 100, []edit{{"witness/record.go", `case b.records[member].lacks(reach):`, `case b.records[member].lacks(reach) && member == 0:`}}},
	{"forget the witness records at a restart", 100, []edit{{"actors/recover.go", `d.book, d.Forgotten = witness.Load`, `_, d.Forgotten = witness.Load`}}},
	{"count entries that a new leader may overwrite", 60, []edit{{"witness/record.go", `if reach.Term == r.Term && reach.LastTerm == r.Term {`, `if reach.Term == r.Term {`}}},
	{"raise the version before all members understand it", 60, []edit{{"raftnode/versions.go", `		if !ok || !alive(id) {
			return 0
		}`, `		if !ok || told.Max < common.Max {
			continue
		}`}}},
	{"forward a ReadIndex in another's name", 150, []edit{{"raftnode/reads.go", `	case n.raw.BasicStatus().RaftState == raft.StateLeader:
		n.stepOther(m)`, `	default:
		n.stepOther(m)`}}},
}

var bugsFlag = flag.Bool("bugs", false, "look for every deliberate bug, which takes minutes")

// Every deliberate bug still applies to the program and is documented; with -bugs, it is found.
func TestDeliberateBugs(t *testing.T) {
	docs, err := os.ReadFile("../../docs/testing.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range bugs {
		t.Run(strings.ReplaceAll(b.name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			if row := fmt.Sprintf("| %s | %d |", b.name, b.seeds); !strings.Contains(string(docs), row) {
				t.Errorf("docs/testing.md lacks a row that begins with %q", row)
			}
			changed := apply(t, b.edits)
			if !*bugsFlag {
				return
			}
			binary := build(t, changed)
			errFound := errors.New("found")
			var found outcome
			err := runWorker(binary, fmt.Sprint("0 1 ", b.seeds, " 0"), func(o outcome) error {
				if o.Failure == "" {
					return nil
				}
				found = o
				return errFound
			})
			switch {
			case errors.Is(err, errFound):
				t.Logf("found by seed %d: %s", found.Seed, strings.SplitN(found.Failure, "\n", 2)[0])
			case err != nil:
				t.Fatal(err)
			default:
				t.Fatalf("not found by %d seeds", b.seeds)
			}
		})
	}
}

// root is the path of the module, relative to this package.
const root = "../.."

// apply returns the contents of the files that edits change, by their paths.
func apply(t *testing.T, edits []edit) (files map[string]string) {
	t.Helper()
	files = map[string]string{}
	for _, e := range edits {
		path, err := filepath.Abs(filepath.Join(root, e.file))
		if err != nil {
			t.Fatal(err)
		}
		if files[path] == "" {
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			files[path] = string(content)
		}
		if n := strings.Count(files[path], e.old); n != 1 {
			t.Fatalf("%s has the lines to replace %d times, want 1:\n%s", e.file, n, e.old)
		}
		files[path] = strings.Replace(files[path], e.old, e.new, 1)
	}
	return files
}

// build builds the simulation with the contents of some files replaced.
func build(t *testing.T, files map[string]string) (binary string) {
	t.Helper()
	dir := t.TempDir()
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for path, content := range files {
		changed := filepath.Join(dir, strings.ReplaceAll(path, string(filepath.Separator), "_"))
		if err := os.WriteFile(changed, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		overlay.Replace[path] = changed
	}
	list, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), list, 0o600); err != nil {
		t.Fatal(err)
	}
	binary = filepath.Join(dir, "sim.test")
	cmd := exec.Command("go", "test", "-c", "-overlay", filepath.Join(dir, "overlay.json"), "-o", binary, "etcd/internal/sim")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}
