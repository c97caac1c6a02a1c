package sim

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash/fnv"
	"math"
	"reflect"
	"slices"
	"sort"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"etcd/actors"
	"etcd/internal/mvccmodel"
	"etcd/raftnode"
	"etcd/store"
	"etcd/store/logtime"
	"etcd/store/tree"
	"etcd/watch"
)

// oracle checks the invariants. It keeps the one log that all machines apply, as the first
// of them applied it, and the state that results.
type oracle struct {
	sim *Sim

	log    []committed
	store  *store.Store
	events []*tree.Event // published ones, in order

	keys      *mvccmodel.Model // the keyspace of v3 as it should be
	keyspaces []keyspaceAt     // what it was after the entries that are about it, in order

	paths    []string
	versions map[string][]version // of the paths that clients read

	// told is the highest index that a client has seen in the answer to a write or a
	// linearizable read.
	told uint64

	changes      map[uint64][]*raftpb.ConfChange // appended conf changes that carry a command, by index
	raft         []uint64                        // Raft's voters and learners after the entries in log, ascending
	voters       []uint64                        // at the end of the run, by the first machine
	disagreement string                          // how two machines disagree about the voters; "": they agree

	raised bool // a later cluster version than the older program's has been proposed

	times   times
	issued  map[string]int // how often clients have sent a command that was not refused
	applied map[string]int // how often it is in the log

	leaders  map[uint64]uint64    // by term
	votes    map[[2]uint64]uint64 // by voter and term
	appended map[[2]uint64]uint64 // hashes of entries by index and term
	hashes   map[uint64][sha256.Size]byte
}

// committed is a committed entry that carries a command.
type committed struct {
	index, now uint64
	command    []byte
	result     store.Result
}

// version is a node and its children from an index on.
type version struct {
	index    uint64
	node     *tree.Node
	failure  *tree.Failure
	children []*tree.Node
}

func newOracle(sim *Sim) *oracle {
	o := &oracle{
		sim: sim, store: store.New(), keys: mvccmodel.New(), keyspaces: []keyspaceAt{{0, *mvccmodel.New()}}, versions: make(map[string][]version),
		paths:  slices.Concat(plainKeys, ttlKeys, dirs),
		issued: make(map[string]int), applied: make(map[string]int),
		leaders: make(map[uint64]uint64), votes: make(map[[2]uint64]uint64), appended: make(map[[2]uint64]uint64),
		hashes: make(map[uint64][sha256.Size]byte), changes: make(map[uint64][]*raftpb.ConfChange),
		times: times{sent: make(map[string]time.Duration), due: make(map[string]time.Duration), apart: make(map[*life]bool)},
	}
	for _, path := range o.paths {
		o.look(path)
	}
	return o
}

// observe implements [judge].
func (o *oracle) observe(l *life, kind string, message any) {
	switch m := message.(type) {
	case *raftnode.Apply:
		for i := range m.Entries {
			o.apply(l, &m.Entries[i])
		}
	case *raftnode.Append:
		o.append(l, m)
		o.observeRaise(l, m)
	case *raftnode.ReadBack:
		o.sim.count("entries read back from the log")
	case *raftnode.Leader:
		o.leads(l, m)
	case *watch.CatchUp:
		if kind == "hub" {
			o.sim.count("watchers caught up")
		}
	case *raftnode.Message:
		if kind == "raft" {
			o.sim.countMessage(m.Message)
			o.vote(m.Message)
			if m.GetType() == raftpb.MsgVote && o.sim.voted != nil {
				o.sim.voted(l.m, m.GetFrom())
			}
		}
	}
}

// append checks log matching: an index and a term identify one entry.
func (o *oracle) append(l *life, m *raftnode.Append) {
	for _, e := range m.Entries {
		h := fnv.New64a()
		h.Write([]byte{byte(e.GetType())})
		h.Write(e.GetData())
		key := [2]uint64{e.GetIndex(), e.GetTerm()}
		other, ok := o.appended[key]
		if ok && other != h.Sum64() {
			o.sim.fail("%s has a different entry at index %d of term %d than another machine", l, e.GetIndex(), e.GetTerm())
		}
		o.appended[key] = h.Sum64()
		if e.GetType() == raftpb.EntryConfChange && !ok {
			o.change(e)
		}
		l.m.lastIndex = e.GetIndex()
	}
	if m.Snapshot != nil {
		l.m.lastIndex = max(l.m.lastIndex, m.Snapshot.GetIndex())
		o.sim.count("snapshot installed")
		l.snapshotIndex = max(l.snapshotIndex, m.Snapshot.GetIndex())
	}
}

// maxBehind is how many entries a learner may lag when it is promoted: those that the leader
// tolerates, and those appended while the conf change was in flight.
const maxBehind = 200

// change counts a conf change that was appended for the first time, and checks that no
// learner is promoted that lags far behind.
func (o *oracle) change(e *raftpb.Entry) {
	change := &raftpb.ConfChange{}
	if err := proto.Unmarshal(e.GetData(), change); err != nil {
		o.sim.fail("entry %d: %v", e.GetIndex(), err)
		return
	}
	if len(change.GetContext()) > 0 {
		o.changes[e.GetIndex()] = append(o.changes[e.GetIndex()], change)
	}
	switch change.GetType() {
	case raftpb.ConfChangeAddLearnerNode:
		o.sim.count("learner added")
	case raftpb.ConfChangeRemoveNode:
		o.sim.count("member removal appended")
	case raftpb.ConfChangeAddNode:
		o.sim.count("learner promoted")
		for _, m := range o.sim.machines {
			if m.memberID == change.GetNodeId() && len(o.log) > 0 && m.lastIndex+maxBehind < o.log[len(o.log)-1].index {
				o.sim.fail("%s is promoted with entry %d although its log ends at entry %d", m, e.GetIndex(), m.lastIndex)
			}
		}
	}
}

// apply checks that all machines apply the same commands at the same indexes.
func (o *oracle) apply(l *life, e *raftnode.Entry) {
	if e.Index <= l.baseIndex {
		o.sim.fail("%s applies entry %d again, which is in the snapshot at %d with which it started", l, e.Index, l.baseIndex)
		return
	}
	at := sort.Search(len(o.log), func(i int) bool { return o.log[i].index >= e.Index })
	for i := l.position; i < at; i++ {
		if o.log[i].index > l.snapshotIndex {
			o.sim.fail("%s applies entry %d before entry %d", l, e.Index, o.log[i].index)
			return
		}
	}
	l.position = at + 1
	o.followsTime(l, e)
	if at < len(o.log) {
		known := &o.log[at]
		if known.index != e.Index || known.now != e.Now || !bytes.Equal(known.command, e.Command) {
			o.sim.fail("%s applies a different entry at index %d than the one that was committed there (%d)", l, e.Index, known.index)
		}
		return
	}
	o.commit(e)
}

// commit adds an entry to the log when the first machine applies it.
func (o *oracle) commit(e *raftnode.Entry) {
	command, users, size, quota := o.checkVersion(e), o.store.Auth(), o.store.Size(), o.store.Quota()
	result, err := o.store.Apply(e.Index, logtime.Time(e.Now), e.Command)
	if err != nil {
		o.sim.fail("entry %d: %v", e.Index, err)
		return
	}
	o.log = append(o.log, committed{index: e.Index, now: e.Now, command: e.Command, result: result})
	if n, ok := o.issued[string(e.Command)]; ok {
		o.applied[string(e.Command)]++
		if o.applied[string(e.Command)] > n {
			o.sim.fail("the command of entry %d is in the log more often than clients have sent it", e.Index)
		}
	}
	o.checkTime(e, result)
	o.checkUsers(users, command, result)
	o.checkQuota(size, quota, command, result)
	o.applyToKeys(command, size, quota, result)
	if result.Action == 0 {
		o.checkMembers(e)
	}
	if result.Published {
		o.events = append(o.events, result.Event)
	}
	for _, path := range o.paths {
		o.look(path)
	}
}

// checkMembers checks that after an entry about the cluster the members in the state are
// Raft's voters and learners, and that no two of them share a name or an address.
func (o *oracle) checkMembers(e *raftnode.Entry) {
	for _, change := range o.changes[e.Index] {
		if !bytes.HasSuffix(change.GetContext(), e.Command) {
			continue // of another leader, whose entry was overwritten
		}
		at, found := slices.BinarySearch(o.raft, change.GetNodeId())
		switch removes := change.GetType() == raftpb.ConfChangeRemoveNode; {
		case removes && found:
			o.raft = slices.Delete(o.raft, at, at+1)
		case !removes && !found:
			o.raft = slices.Insert(o.raft, at, change.GetNodeId())
		}
		break
	}
	var members []uint64
	has := make(map[string]uint64)
	for _, m := range o.store.Members() {
		members = append(members, m.ID)
		for _, what := range []string{m.Name, m.PeerURL, m.ClientURL} {
			if other, taken := has[what]; taken && what != "" { // it has not told it yet
				o.sim.fail("after entry %d both %x and %x have %s", e.Index, other, m.ID, what)
			}
			has[what] = m.ID
		}
	}
	if !slices.Equal(members, o.raft) {
		o.sim.fail("after entry %d Raft's voters and learners are %x, and the members are %x", e.Index, o.raft, members)
	}
}

// look records a new version of a path.
func (o *oracle) look(path string) {
	v := version{index: o.store.Index()}
	v.node, v.failure = o.store.Get(path)
	if v.node != nil && v.node.Dir {
		v.children = o.store.Children(path, "", math.MaxInt)
	}
	all := o.versions[path]
	if len(all) > 0 {
		last := all[len(all)-1]
		if last.node == v.node && reflect.DeepEqual(last.failure, v.failure) && slices.Equal(last.children, v.children) {
			return
		}
	}
	o.versions[path] = append(all, v)
}

// issue records that a client sends a command.
func (o *oracle) issue(command []byte) {
	if o.issued[string(command)]++; o.issued[string(command)] == 1 {
		o.times.sent[string(command)] = o.sim.now
	}
}

// refused records that a client was told that its command was not proposed.
func (o *oracle) refused(r *request) {
	key := string(r.command)
	if o.issued[key]--; o.applied[key] > o.issued[key] {
		o.sim.fail("%s refused a command that is in the log", r.life)
	}
}

// acknowledged checks the answer to a write.
func (o *oracle) acknowledged(r *request, result store.Result) {
	i, ok := o.find(result.Index)
	switch {
	case !ok || !bytes.Equal(o.log[i].command, r.command):
		o.sim.fail("%s acknowledges a write at index %d, which is another entry", r.life, result.Index)
	case !r.life.sameResult(result, o.log[i].result):
		o.sim.fail("%s answers the write at index %d with %+v, want %+v", r.life, result.Index, result, o.log[i].result)
	case result.Index <= r.floor:
		o.sim.fail("a write got index %d although a client had seen %d before it was sent", result.Index, r.floor)
	}
	o.told = max(o.told, result.Index)
}

// read checks the answer to a read: it is the state at its index, and, if the read was
// linearizable, not older than what any client had seen before.
func (o *oracle) read(r *request, reply *actors.ReadReply) {
	if !r.local {
		if reply.Index < r.floor {
			o.sim.fail("%s reads %s as of index %d although a client had seen %d before", r.life, r.path, reply.Index, r.floor)
		}
		o.told = max(o.told, reply.Index)
	}
	// A machine has to serve at least what its disk said is committed when it started.
	if i := sort.Search(len(o.log), func(i int) bool { return o.log[i].index > r.life.known }); i > 0 && reply.Index < o.log[i-1].index {
		o.sim.fail("%s reads %s as of index %d although its disk said that %d is committed", r.life, r.path, reply.Index, r.life.known)
	}
	want := o.version(r.path, reply.Index)
	same := reflect.DeepEqual(want.node, reply.Node) && (want.failure == nil) == (reply.Failure == nil)
	if reply.View == nil {
		same = same && sameChildren(want.children, reply.Children)
	}
	if !same {
		o.sim.fail("%s reads %s at index %d as %+v %v, want %+v %v", r.life, r.path, reply.Index,
			reply.Node, len(reply.Children), want.node, len(want.children))
	}
}

// listed checks what a client has read from the view that answered it: all children of the
// directory, as they were at the index of the answer.
func (o *oracle) listed(r *request, reply *actors.ReadReply, children []*tree.Node) {
	if want := o.version(r.path, reply.Index); !sameChildren(want.children, children) {
		o.sim.fail("%s lists %s from a view at index %d with %d children that are not the %d of then", r.life, r.path, reply.Index,
			len(children), len(want.children))
	}
}

// version returns what a path was at an index.
func (o *oracle) version(path string, index uint64) version {
	all := o.versions[path]
	return all[sort.Search(len(all), func(i int) bool { return all[i].index > index })-1]
}

func sameChildren(a, b []*tree.Node) bool {
	return slices.EqualFunc(a, b, func(a, b *tree.Node) bool { return reflect.DeepEqual(a, b) })
}

func (o *oracle) find(index uint64) (at int, ok bool) {
	at = sort.Search(len(o.log), func(i int) bool { return o.log[i].index >= index })
	return at, at < len(o.log) && o.log[at].index == index
}

// frozen checks that machines have the same state at the same applied index.
func (o *oracle) frozen(l *life, state *store.View) {
	h := sha256.New()
	if _, err := state.WriteTo(h); err != nil {
		o.sim.fail("%s: %v", l, err)
	}
	sum := [sha256.Size]byte(h.Sum(nil))
	if other, ok := o.hashes[state.Index()]; ok && other != sum {
		o.sim.fail("the state of %s at index %d differs from that of another machine", l, state.Index())
	}
	o.hashes[state.Index()] = sum
	o.compareKeys(l, state)
	o.sim.count("states compared")
}

// final checks that a machine has everything, and nothing else.
func (o *oracle) final(l *life, state *store.View) {
	last := uint64(0)
	if len(o.log) > 0 {
		last = o.log[len(o.log)-1].index
	}
	if state.Index() < o.told {
		o.sim.fail("%s ends at index %d although clients have seen %d", l, state.Index(), o.told)
	}
	if state.Index() == last {
		o.frozen(l, o.store.View())
	}
	o.frozen(l, state)
}

// members checks at the end that the voters and learners of a machine are exactly the
// members. Those that joined last may still be learners. Machines that disagree about the
// voters are recorded in disagreement, not failed: a promotion may be in flight.
func (o *oracle) members(l *life, status *actors.StatusReply) {
	if status == nil {
		o.sim.fail("%s does not answer with its voters at the end", l)
		return
	}
	var members []uint64
	for _, m := range o.store.Members() {
		members = append(members, m.ID)
	}
	counted := slices.Sorted(slices.Values(slices.Concat(status.Raft.Voters, status.Raft.Learners)))
	if !slices.Equal(counted, members) {
		o.sim.fail("%s has the voters and learners %x, of them the learners %x, want %x", l, counted, status.Raft.Learners, members)
	}
	if o.voters == nil {
		o.voters = status.Raft.Voters
	}
	if !slices.Equal(o.voters, status.Raft.Voters) {
		o.disagreement = fmt.Sprintf("the voters on %s are %x, on another machine %x", l, status.Raft.Voters, o.voters)
	}
}

func (o *oracle) valueOf(key string) string {
	if node, _ := o.store.Get(key); node != nil {
		return node.Value
	}
	return ""
}

// eventsUpTo is the position after the last event with at most this index.
func (o *oracle) eventsUpTo(index uint64) int {
	return sort.Search(len(o.events), func(i int) bool { return o.events[i].Index > index })
}

// eventsSince counts the events from an index on.
func (o *oracle) eventsSince(index uint64) int {
	return len(o.events) - sort.Search(len(o.events), func(i int) bool { return o.events[i].Index >= index })
}

func sameEvent(a, b *tree.Event) bool { return reflect.DeepEqual(a, b) }

func describe(e *tree.Event) string {
	return fmt.Sprintf("%s %+v (before: %+v)", e.Action, *e.Node, e.Prev)
}
