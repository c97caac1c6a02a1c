package actors

import (
	"log/slog"

	"github.com/asynkron/protoactor-go/actor"
	"go.etcd.io/raft/v3/raftpb"

	"etcd/raftnode"
	"etcd/store"
	"etcd/store/logtime"
	"etcd/store/tree"
	"etcd/wal"
	"etcd/watch"
)

// maxExpiredPerRound bounds how many keys one round of the reaper removes, so that
// a million keys with one deadline do not crowd out everything else.
const maxExpiredPerRound = 1000

// storeActor owns the state machine: it applies, answers, and tells the hub and
// the reaper what has changed.
type storeActor struct {
	store *store.Store
	// view is of the current state; nil until it is needed. All readers between two batches
	// share one, because the writes after it pay for it.
	view     *store.View
	counts   Counts
	kvCounts kvCounts
	log      *slog.Logger
	fatal    fatal
	// snapshots has those to be installed.
	snapshots *wal.Snapshots
	restored  restored // the last one received, until it is installed or obsolete
	audits    auditPoint
	early     startupQueue

	shared     *localState
	progress   *appliedState
	localReads int // since the state has changed
	logTime    func() logtime.Time
	metrics    *metrics

	to *pids

	deadline   logtime.Time // the last one sent to the reaper
	compaction compaction
}

func (s *storeActor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *raftnode.Apply:
		s.apply(ctx, m)
	case *release:
		s.recovered(ctx)
		now := s.logTime()
		for _, token := range m.tokens {
			switch request := token.(type) {
			case *Read:
				s.read(ctx, request, now)
			case *Query:
				s.query(ctx, request)
			case *Sync:
				reply(ctx, request, &Synced{ID: request.ID})
			}
		}
	case *Read:
		s.local(ctx, m)
	case *status:
		s.local(ctx, m)
	case *Query:
		s.local(ctx, m)
	case *AwaitFreed:
		s.compaction.await(ctx, m, s.store.Keys())
	case freeDue:
		s.progress.replaced.Add(s.compaction.free(ctx, s.store.Keys()))
	case *restored:
		s.restored = *m
	case *install:
		s.install(ctx, m)
	case *cleared:
		ctx.Send(s.to.hub, s.reconsider(m))
	case *Freeze:
		ctx.Send(m.ReplyTo, &Frozen{ID: m.ID, State: s.currentView()})
	case *takeSnapshot:
		ctx.Send(s.to.snapshotter, &writeSnapshot{meta: m.meta, body: s.currentView()})
	case *collectExpired:
		ctx.Send(m.replyTo, &expired{commands: s.store.Expired(m.now, maxExpiredPerRound)})
	case *actor.Stopping:
		s.compaction.stop()
	case *pids:
		s.to = m
	case begin:
		s.publishState()
		s.sendDeadline(ctx)
		s.sendMembers(ctx)
		if s.early.caughtUp(s.early.base) {
			s.recovered(ctx)
		}
	}
}

// currentView returns a view of the current state.
func (s *storeActor) currentView() *store.View {
	if s.view == nil {
		s.view = s.store.View()
	}
	return s.view
}

// local answers a request from local state, or holds it if it comes too early.
func (s *storeActor) local(ctx actor.Context, request Request) {
	if s.early.enqueue(ctx, request) {
		return
	}
	switch m := request.(type) {
	case *Read:
		s.read(ctx, m, 0)
		s.countLocalRead()
	case *Query:
		s.query(ctx, m)
		s.countLocalRead()
	case *status:
		answer := m.known
		answer.Members, answer.Removed = s.store.Members(), s.store.Removed()
		answer.HistoryLimit, answer.Quota = s.store.HistoryLimit(), s.store.Quota()
		answer.Version, answer.MaxMembers, answer.Counts = s.store.Version(), s.store.MaxMembers(), s.counts
		answer.Counts.GetsSuccess, answer.Counts.GetsFail = s.shared.found.Load(), s.shared.failed.Load()
		reply(ctx, m, &answer)
	}
}

func (s *storeActor) countLocalRead() {
	if s.localReads++; s.localReads == sharedAfter {
		s.shared.view.Store(s.currentView())
	}
}

// query answers a query, or gives its asker a view.
func (s *storeActor) query(ctx actor.Context, m *Query) {
	s.shared.queries.Add(1)
	answer := &Queried{ID: m.ID}
	if keys := s.store.Keys(); weight(keys, m) > s.shared.maxWeight {
		answer.View = s.currentView().Keys()
	} else {
		answer.Outcome = run(keys, m)
	}
	reply(ctx, m, answer)
}

// reconsider looks whether a watch needs the events that were cleared from the history.
func (s *storeActor) reconsider(m *cleared) *reconsidered {
	all := append([]watch.Watcher{m.watch.Watcher}, m.watch.Others...)
	for i := range all {
		var ok bool
		w := &all[i]
		if w.Since == 0 {
			continue
		}
		if w.Since, ok = s.store.FirstChange(w.Path, w.Recursive, w.Since); !ok {
			return &reconsidered{watch: m.watch, err: m.err}
		}
	}
	later := *m.watch
	later.Watcher, later.Others = all[0], all[1:]
	return &reconsidered{watch: &later}
}

// recovered answers the requests that came too early.
func (s *storeActor) recovered(ctx actor.Context) {
	for _, request := range s.early.drain() {
		s.local(ctx, request)
	}
}

// apply applies a batch of entries. The hub gets the events before any caller is
// answered: a watch that starts after an answer must not see that answer's event.
func (s *storeActor) apply(ctx actor.Context, m *raftnode.Apply) {
	began := s.logTime()
	s.changes()
	results := make([]store.Result, len(m.Entries))
	var events []*tree.Event
	members := false
	replaced := int64(0)
	for i, e := range m.Entries {
		if s.audits.before(logtime.Time(e.Now)) && len(s.store.Members()) > 1 {
			ctx.Send(s.to.auditor, &audit{state: s.store.View()})
		}
		before := s.store.Totals().Size()
		apply := s.store.Apply
		if e.Token == nil {
			apply = s.store.ApplyUnasked
		}
		result, err := apply(e.Index, logtime.Time(e.Now), e.Command)
		if err != nil {
			unappliable(s.fatal, &raftnode.Unappliable{Index: e.Index, Term: e.Term, Data: e.Command, Why: err})
		}
		s.counts.count(result)
		members = members || result.Action == 0 && result.KV == nil
		if result.KV != nil {
			s.kvCounts.count(result.KV)
			replaced += pathCost * int64(result.KV.Puts+result.KV.Deletions) // the values stay until they are compacted
		}
		if result.Event != nil {
			replaced += replacedBy(result.Event) + max(0, before-s.store.Totals().Size()) // of a directory, all that was in it
		}
		if result.Published {
			events = append(events, result.Event)
		}
		results[i] = result
	}
	s.progress.replaced.Add(replaced)
	s.progress.auth.Store(s.store.Auth())
	if len(events) > 0 {
		ctx.Send(s.to.hub, &published{events: events, history: s.store.History()})
	}
	answered := s.logTime()
	s.metrics.applied(began, answered)
	s.publishState()
	s.publishApplied(m.Last, m.Term)
	for i, e := range m.Entries {
		replyApplied(ctx, e.Token, results[i], Times{Logged: logtime.Time(e.Now), Applying: began, Answered: answered})
	}
	if members {
		s.sendMembers(ctx)
	}
	s.compaction.begin(ctx, s.store.Keys())
	if m.Last >= s.restored.meta.GetIndex() {
		s.restored = restored{}
	}
	ctx.Send(s.to.raft, &applied{apply: m})
	s.sendDeadline(ctx)
	if s.early.caughtUp(m.Last) {
		s.recovered(ctx)
	}
}

// install replaces the state by that of a snapshot which the leader has sent, and
// which is on disk already.
func (s *storeActor) install(ctx actor.Context, m *install) {
	state, err := s.stateOf(m.meta)
	if err != nil {
		s.fatal("a snapshot of the leader cannot be read back from the disk: the process ends. "+
			"Look at the disk, then start it again; if that fails, wipe the data directory and let the machine join again",
			"index", m.meta.GetIndex(), "error", err)
	}
	s.changes()
	s.store = state
	s.compaction.begin(ctx, state.Keys())
	s.progress.auth.Store(state.Auth())
	s.publishState()
	s.publishApplied(m.meta.GetIndex(), m.meta.GetTerm())
	s.log.Info("installed a snapshot of the leader", "index", m.meta.GetIndex())
	ctx.Send(s.to.snapshotter, &snapshotInstalled{index: m.meta.GetIndex()})
	ctx.Send(s.to.hub, &replaced{history: state.History()})
	ctx.Send(s.to.raft, &reached{time: state.Time()})
	s.sendMembers(ctx)
	s.sendDeadline(ctx)
	if s.early.caughtUp(m.meta.GetIndex()) {
		s.recovered(ctx)
	}
}

// stateOf returns the state of a received snapshot, which is read from the disk only if
// another one has come meanwhile.
func (s *storeActor) stateOf(meta *raftpb.SnapshotMetadata) (*store.Store, error) {
	kept := s.restored
	if kept.meta.GetIndex() <= meta.GetIndex() {
		s.restored = restored{}
	}
	if kept.state != nil && kept.meta.GetIndex() == meta.GetIndex() && kept.meta.GetTerm() == meta.GetTerm() {
		return kept.state, nil
	}
	return restore(s.snapshots, meta)
}

// sendMembers sends the members of the cluster to the raft actor and the witness. A machine that
// is still empty does not know them.
func (s *storeActor) sendMembers(ctx actor.Context) {
	if members := s.store.Members(); len(members) > 0 {
		m := &membership{members: members, removed: s.store.Removed(), version: s.store.Version(), maxMembers: s.store.MaxMembers()}
		ctx.Send(s.to.raft, m)
		ctx.Send(s.to.witness, m)
	}
}

func (s *storeActor) sendDeadline(ctx actor.Context) {
	if next := s.store.NextDeadline(); next != s.deadline {
		s.deadline = next
		ctx.Send(s.to.reaper, &nextDeadline{at: next})
	}
}

// changes takes back the views of the state, which is about to change.
func (s *storeActor) changes() {
	s.view = nil
	if s.localReads > 0 {
		s.localReads = 0
		s.shared.view.Store(nil)
	}
}

// publishState publishes what metrics say of the state.
func (s *storeActor) publishState() {
	keys := s.store.Keys()
	s.metrics.state.set(stateTotals{
		Totals: s.store.Totals(), counts: s.counts, history: s.store.History().Len(), historyLimit: s.store.HistoryLimit(),
		historyBytes: s.store.HistoryBytes(), quota: s.store.Quota(), version: s.store.Version(), size: s.store.Size(),
		kv: keyspaceTotals{keys: keys.Len(), bytes: keys.Size(), revision: keys.Revision(), compacted: keys.Compacted(), counts: s.kvCounts},
	})
}

// publishApplied publishes how far the state has come.
func (s *storeActor) publishApplied(last, term uint64) {
	s.progress.publish(appliedOf(s.store, last, term))
}

func (s *storeActor) read(ctx actor.Context, m *Read, now logtime.Time) {
	answer := s.shared.read(s.store, m, s.currentView)
	answer.ID, answer.Answered = m.ID, now
	reply(ctx, m, answer)
}
