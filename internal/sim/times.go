package sim

import (
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"etcd/raftnode"
	"etcd/store"
	"etcd/store/logtime"
	"etcd/store/storepb"
	"etcd/store/tree"
)

// times is what the oracle knows about the true, simulated time.
type times struct {
	sent   map[string]time.Duration // when a command was first sent
	due    map[string]time.Duration // earliest time at which a key may expire
	latest uint64                   // latest time in the log
	own    logtime.Time             // time of the log when a leader last took it from its wall clock
	apart  map[*life]bool           // processes that may still know the time from before that
}

// checkTime checks that the time of the log does not run backwards, and that no key expires
// early: neither by the log nor by the true time, whatever wall clocks say.
func (o *oracle) checkTime(e *raftnode.Entry, result store.Result) {
	if e.Now < o.times.latest {
		o.sim.fail("entry %d has a time %v before that of an earlier one", e.Index, time.Duration(o.times.latest-e.Now))
	}
	o.times.latest = e.Now
	event := result.Event
	switch {
	case event == nil:
	case event.Action != tree.ActionExpire:
		delete(o.times.due, event.Node.Path)
		if ttl, ok := ttlOf(e.Command); ok && logtime.Time(e.Now) >= o.times.own && !o.timesApart() {
			o.times.due[event.Node.Path] = o.times.sent[string(e.Command)] + ttl
		}
	default:
		path, deadline := event.Node.Path, event.Prev.Deadline
		o.sim.count("key expired")
		if logtime.Time(e.Now) < deadline {
			o.sim.fail("entry %d expires %s %v before its deadline", e.Index, path, deadline.Sub(logtime.Time(e.Now)))
		}
		if due := o.times.due[path]; o.sim.now < due {
			o.sim.fail("entry %d expires %s %v early by the true time", e.Index, path, due-o.sim.now)
		}
	}
}

func ttlOf(command []byte) (ttl time.Duration, ok bool) {
	c := &storepb.Command{}
	if err := proto.Unmarshal(command, c); err != nil {
		return 0, false
	}
	switch {
	case c.GetSet() != nil && c.GetSet().TtlNs != nil:
		return time.Duration(c.GetSet().GetTtlNs()), true
	case c.GetCreate() != nil && c.GetCreate().TtlNs != nil:
		return time.Duration(c.GetCreate().GetTtlNs()), true
	}
	return 0, false
}

// ownClock handles a leader that has taken the time from its wall clock, because none of its
// voters knew the time of the log. From then on keys expire by that clock. It must not come
// to this while a majority of the voters have known the time of the log since their start.
// Which members are voters is not known here for certain, but at most one may be a learner.
func (o *oracle) ownClock(l *life) {
	o.sim.count("time taken from a wall clock")
	o.times.own = l.machine.LogTime() // entries already in its log may be committed later
	clear(o.times.due)
	clear(o.times.apart)
	ready, members := 0, o.store.Members()
	for _, m := range o.sim.machines {
		isMember := slices.ContainsFunc(members, func(member store.Member) bool { return member.ID == m.memberID })
		if isMember && m.life != nil && m.life != l && m.life.ready() {
			ready++
		}
		if m.life != nil && m.life != l {
			o.times.apart[m.life] = true
		}
	}
	if n := len(members); n > 2 && ready >= n-1 || 2*(ready-1) > n {
		o.sim.fail("%s takes the time from its wall clock, and %d of %d machines know that of the log", l, ready, n)
	}
}

// timesApart reports whether a process may still know the time of the log from before a leader
// took it from its wall clock. If all that have heard of the new one are restarted or gone, the
// next leader has only the old one to go on from, and keys that were set meanwhile expire early
// or late: docs/operations.md has that case.
func (o *oracle) timesApart() bool {
	maps.DeleteFunc(o.times.apart, func(l *life, _ bool) bool { return l.m.life != l })
	return len(o.times.apart) > 0
}

// starts implements [judge]: the process may hear the old time before the new one.
func (o *oracle) starts(l *life) {
	if o.timesApart() {
		o.times.apart[l] = true
	}
}

// followsTime handles an entry that a process applies. One that was stamped after a leader took
// the time from its wall clock, and was not known to be committed when the process started, has
// come with that time.
func (o *oracle) followsTime(l *life, e *raftnode.Entry) {
	if logtime.Time(e.Now) > o.times.own && e.Index > l.known {
		delete(o.times.apart, l)
	}
}

// stale reports whether a key is overdue by more than 5 s, by the time of the log.
func (o *oracle) stale() bool {
	due := o.store.NextDeadline()
	for _, m := range o.sim.machines {
		if l := m.life; due != 0 && l != nil && l.leads && l.ready() && l.machine.LogTime() > due.Add(5*time.Second) {
			return true
		}
	}
	return false
}
