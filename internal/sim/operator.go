package sim

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/actors"
	"etcd/raftnode"
	"etcd/store"
	"etcd/wal"
	"etcd/wal/crashfs"
)

// maxMembers is the replicated limit of the cluster's size.
const maxMembers = 7

// errRemovedMeanwhile ends the start of a machine that was removed meanwhile.
var errRemovedMeanwhile = errors.New("the machine was removed before it has joined")

// operator restarts machines, adds and removes them, and replaces those that have lost
// their data: one at a time, as the documentation says.
type operator struct {
	sim  *Sim
	busy bool // changing the membership

	lacking map[string]time.Duration // by member ID: when a machine first logged that it has to be replaced
}

func newOperator(s *Sim) operator {
	return operator{sim: s, lacking: make(map[string]time.Duration)}
}

const lookEvery = 100 * time.Millisecond

// endsBySelf is how long the operator waits, on a healthy network, for a machine to end by
// itself that its peers say has to be replaced.
const endsBySelf = 20 * time.Second

// reads handles a line of a machine's log.
func (o *operator) reads(l *life, r slog.Record) {
	switch r.Message {
	case actors.LessThanAcknowledged:
		r.Attrs(func(a slog.Attr) bool {
			member, _, _ := strings.Cut(a.Value.String(), " ") // its name follows
			if _, known := o.lacking[member]; a.Key == "member" && !known {
				o.lacking[member] = o.sim.now
			}
			return true
		})
	case actors.RefusedFromElsewhere:
		l.unconvinced = true
	}
}

// mustReplace reports whether a machine is to be replaced at the word of its peers, although
// it goes on: its data was restored from before they moved, so it cannot tell that they are
// members.
func (o *operator) mustReplace(m *machine) bool {
	at, lacks := o.lacking[actors.MemberID(m.memberID)]
	return m.restored && m.life.unconvinced && lacks && o.sim.quiet && o.sim.now-at >= endsBySelf
}

// look checks every machine, every lookEvery.
func (o *operator) look() {
	o.sim.network.drop()
	for _, m := range o.sim.machines {
		if l := m.life; l != nil && l.machine != nil {
			select {
			case d := <-l.machine.Gone:
				o.gone(m, d)
			default:
				if m.restored && l.ready() {
					o.sim.fail("%s serves from a restored disk that lacks what it has acknowledged", m)
				}
				if o.mustReplace(m) {
					o.sim.count("restored machine replaced at the word of its peers")
					m.damaged = true
					m.kill()
				}
			}
			continue
		}
		switch {
		case m.life == nil && m.removed && !m.returned && m.memberID != 0 && m.wantDown == 0 && !m.damaged:
			m.returned = true
			m.start(o.sim.establish)
		case m.life != nil || m.wantDown > 0 || m.removed || !m.member:
		case m.damaged:
			o.replace(m)
		case o.sim.workload.IntN(4) == 0: // a supervisor backs off
			o.sim.count("machine restarted")
			m.start(o.sim.establish)
		}
	}
	o.sim.after(lookEvery, o.look)
}

// gone stops a machine that says that it was removed, or lacks what it has acknowledged.
func (o *operator) gone(m *machine, d actors.Departure) {
	switch {
	case o.refusedVersion(m, d):
		return
	case !d.Removed && (m.restored || m.disks.doubtful):
		if m.restored {
			o.sim.count("restored machine refused")
		}
		m.damaged = true
		m.kill()
		return
	case !d.Removed || !m.leaving && !m.damaged:
		o.sim.fail("%s stops, because %s; it was not removed, and has lost nothing", m, d.Reason)
	}
	o.sim.count("removed machine stops by itself")
	if m.leaving {
		m.member, m.removed = false, true
	}
	m.kill()
}

// add starts a new machine, which joins; finished is called when it serves.
func (o *operator) add(finished func()) *machine {
	m := o.sim.newMachine()
	m.member = true
	m.start(o.sim.establish)
	o.await(m, finished)
	return m
}

// retryJoin sends the join of a machine to another member while an earlier one may be in
// flight, as a machine does that retries after a timeout.
func (o *operator) retryJoin(m *machine) {
	l := o.sim.anyReady(o.sim.workload)
	if l == nil || m.memberID == 0 || m.removed {
		return
	}
	o.sim.count("join sent again")
	l.session.call(l.machine.Raft, func(id uint64, replyTo *actor.PID) any {
		return &actors.Join{ID: id, ReplyTo: replyTo, Member: m.asMember(), Commands: m.commands()}
	}, clientPatience, typed(func(reply *actors.Proposed) {
		if reply != nil && errors.Is(reply.Err, raftnode.ErrRemoved) {
			o.sim.count("join refused: removed")
		}
	}))
}

// await calls finished when the machine serves clients, was removed or is damaged.
func (o *operator) await(m *machine, finished func()) {
	o.sim.after(lookEvery, func() {
		if m.removed || m.damaged || m.life != nil && m.life.ready() {
			m.served = !m.removed && !m.damaged
			finished()
			return
		}
		o.await(m, finished)
	})
}

// remove removes a machine for good, unless the cluster needs it for its quorum.
func (o *operator) remove(m *machine, finished func()) {
	m.leaving = true
	o.leave(m.memberID, func(err error, sure bool) {
		switch {
		case err == nil:
			m.member, m.removed = false, true
			o.sim.count("member removed")
		case sure:
			m.leaving = false
		}
		finished()
	})
}

// replace gives a machine that has lost its disk a new identity: its member is removed,
// then it joins with an empty disk.
func (o *operator) replace(m *machine) {
	if o.busy {
		return
	}
	o.busy = true
	m.keepDown()
	m.kill()
	m.disk, m.disks = crashfs.New(), diskFaults{}
	o.leaveForReplacement(m)
}

func (o *operator) leaveForReplacement(m *machine) {
	o.leave(m.memberID, func(err error, _ bool) {
		if err != nil && !errors.Is(err, raftnode.ErrUnknownMember) { // refused until its peers are back
			o.sim.after(500*time.Millisecond, func() { o.leaveForReplacement(m) })
			return
		}
		o.sim.count("machine replaced")
		m.memberID, m.founder, m.damaged, m.restored, m.served = 0, false, false, false, false
		m.allowUp()
		m.start(o.sim.establish)
		o.await(m, func() { o.busy = false })
	})
}

// leave removes a member by its ID, and retries until the outcome is known. It finishes with
// an error if the cluster needs the member for its quorum, or does not know it; sure means
// that no earlier attempt can still take effect.
func (o *operator) leave(id uint64, finished func(err error, sure bool)) {
	again := func(sure bool) {
		o.sim.after(500*time.Millisecond, func() {
			o.leave(id, func(err error, still bool) { finished(err, still && sure) })
		})
	}
	l := o.sim.anyReady(o.sim.workload)
	if id == 0 || l == nil {
		if id == 0 {
			finished(nil, true) // never was a member
			return
		}
		again(true)
		return
	}
	l.session.call(l.machine.Raft, func(call uint64, replyTo *actor.PID) any {
		return &actors.Leave{ID: call, ReplyTo: replyTo, Member: id}
	}, clientPatience, typed(func(reply *actors.Proposed) {
		switch {
		case reply == nil || errors.Is(reply.Err, raftnode.ErrUnknownOutcome):
			again(false)
		case errors.Is(reply.Err, raftnode.ErrLosesQuorum), errors.Is(reply.Err, raftnode.ErrLastVoter):
			o.sim.count("removal refused")
			finished(reply.Err, true)
		case errors.Is(reply.Err, raftnode.ErrUnknownMember):
			o.sim.count("removal of a machine that has not joined yet")
			finished(reply.Err, true)
		case errors.Is(reply.Err, raftnode.ErrRemoved): // by an earlier attempt
			finished(nil, true)
		case reply.Err != nil:
			again(true)
		default:
			finished(nil, true)
		}
	}))
}

// establish gives an empty disk its identity. The first machine founds the cluster;
// all others join it.
func (s *Sim) establish(l *life, disk *actors.Disk) ([]store.Member, error) {
	m := l.m
	if m.founder {
		return nil, s.found(l, disk)
	}
	if s.founded == 0 {
		identity := wal.Identity{ClusterID: s.identity.Uint64()>>1 | 1, MemberID: s.identity.Uint64()>>1 | 1}
		m.memberID = identity.MemberID
		return nil, disk.Create(identity)
	}
	if m.memberID == 0 {
		m.memberID = s.identity.Uint64()>>1 | 1 // a real process stores it before it asks to join
	}
	var status *actors.StatusReply
	for status == nil {
		if m.removed {
			return nil, errRemovedMeanwhile
		}
		status = s.join(l)
	}
	if !disk.New {
		return status.Members, nil
	}
	s.count("member joined")
	return status.Members, disk.CreateJoined(wal.Identity{ClusterID: s.founded, MemberID: m.memberID}, status.Raft.Term)
}

// join asks some member to let the machine join, as the HTTP front end of the member would
// on a request to its peer port. It returns nil if that failed.
func (s *Sim) join(l *life) (joined *actors.StatusReply) {
	task := s.current
	done := false
	give := func(status *actors.StatusReply) { joined, done = status, true }
	through := s.anyReady(s.workload)
	if through == nil {
		task.sleep(election)
		return nil
	}
	session, member := through.session, l.m.asMember()
	session.sync(clientPatience, func(synced *actors.Synced) {
		if synced == nil || synced.Err != nil || through.dead {
			give(nil)
			return
		}
		session.status(clientPatience, func(status *actors.StatusReply) {
			switch {
			case status == nil || through.dead:
				give(nil)
			case slices.Contains(status.Members, member):
				give(status)
			default:
				session.call(through.machine.Raft, func(id uint64, replyTo *actor.PID) any {
					return &actors.Join{ID: id, ReplyTo: replyTo, Member: member, Commands: l.m.commands()}
				}, clientPatience, typed(func(reply *actors.Proposed) {
					switch {
					case reply != nil && reply.Err == nil && !through.dead:
						session.status(clientPatience, give)
					case reply == nil || l.dead || !s.operator.refused(l.m, reply.Err, func() { give(nil) }):
						give(nil)
					}
				}))
			}
		})
	})
	for !done {
		task.sleep(5 * time.Millisecond)
	}
	if joined == nil {
		task.sleep(election)
	}
	return joined
}

// refused handles the refusal of a join and calls finished afterwards. It reports whether
// there was something to do; otherwise a retry is enough.
func (o *operator) refused(m *machine, err error, finished func()) bool {
	taken, ok := errors.AsType[*raftnode.TakenError](err)
	switch {
	case errors.Is(err, raftnode.ErrRemoved):
		o.sim.count("join refused: removed")
		m.leaving, m.removed = true, true
		finished()
		return true
	case errors.Is(err, raftnode.ErrVersion):
		m.life.endOutdated("its join")
		finished()
		return true
	case ok: // its earlier identity has joined after all
		o.sim.count("join refused: name or address taken")
		o.leave(taken.By, func(error, bool) { finished() })
		return true
	}
	return false
}
