package sim

import (
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"etcd/raftnode"
	"etcd/store"
	"etcd/store/logtime"
	"etcd/store/storepb"
	"etcd/store/tree"
)

// times is what the oracle knows of the true time.
type times struct {
	sent   map[string]time.Duration // when a command was sent first
	due    map[string]time.Duration // before when a key must not expire
	latest uint64                   // the latest time in the log
	own    logtime.Time             // when a leader took it from its wall clock last
}

// checkTime checks that the time of the log does not run backwards, and that no key goes
// before its time: by the log, and by the true time, whatever wall clocks say.
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
		if ttl, ok := ttlOf(e.Command); ok && logtime.Time(e.Now) >= o.times.own {
			o.times.due[event.Node.Path] = o.times.sent[string(e.Command)] + ttl
		}
	default:
		path, deadline := event.Node.Path, event.Prev.Deadline
		o.sim.count("key expired")
		if logtime.Time(e.Now) < deadline {
			o.sim.fail("entry %d expires %s %v before its deadline", e.Index, path, deadline.Sub(logtime.Time(e.Now)))
		}
		if due := o.times.due[path]; o.sim.now < due {
			o.sim.fail("entry %d expires %s %v too early by the true time", e.Index, path, due-o.sim.now)
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

// ownClock notes that a leader has taken the time from its wall clock, because nobody who
// voted for it knew that of the log. Then keys go when that clock says so. It must not come
// to this while more than half of the machines that vote have known it since their start;
// who votes is not known here for certain, but all but one may lack at most one vote.
func (o *oracle) ownClock(l *life) {
	o.sim.count("time taken from a wall clock")
	o.times.own = l.machine.LogTime() // what it finds in its log may be committed later
	clear(o.times.due)
	ready, members := 0, o.store.Members()
	for _, m := range o.sim.machines {
		isMember := slices.ContainsFunc(members, func(member store.Member) bool { return member.ID == m.memberID })
		if isMember && m.life != nil && m.life != l && m.life.ready() {
			ready++
		}
	}
	if n := len(members); n > 2 && ready >= n-1 || 2*(ready-1) > n {
		o.sim.fail("%s takes the time from its wall clock, and %d of %d machines know that of the log", l, ready, n)
	}
}

// stale says whether a key should have expired long ago by the time of the log.
func (o *oracle) stale() bool {
	due := o.store.NextDeadline()
	for _, m := range o.sim.machines {
		if l := m.life; due != 0 && l != nil && l.leads && l.ready() && l.machine.LogTime() > due.Add(5*time.Second) {
			return true
		}
	}
	return false
}
