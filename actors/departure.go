package actors

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/asynkron/protoactor-go/actor"
	"go.etcd.io/raft/v3/raftpb"

	"etcd/store"
)

// Statuses that refuse the handshake of a process that must not take part.
const (
	statusGone   = http.StatusGone      // it was removed from the cluster
	statusRival  = http.StatusConflict  // another process with its identity is connected
	statusBehind = http.StatusForbidden // it lacks what it has acked
)

// Departure is why a machine must not go on.
type Departure struct {
	// Reason says what has happened, and what to do if that was not intended.
	Reason string
	// Removed says that it was intended: the machine was removed from the cluster.
	// Otherwise this is a failure.
	Removed bool
	// Lost says that the data directory lacks what the machine has acked: it cannot be used
	// any more.
	Lost bool
}

// departure returns what a refusal by another member means for this machine; it is not final
// if a retry may succeed.
func departure(status int, message string) (d Departure, final bool) {
	switch status {
	case statusGone:
		return Departure{Reason: message, Removed: true}, true
	case statusBehind:
		return Departure{Reason: message, Lost: true}, true
	case statusVersion:
		return Departure{Reason: message}, true
	}
	return Departure{}, false
}

// rivalMessage returns the message about two processes that run as one member.
func rivalMessage(id uint64) string {
	return fmt.Sprintf("another process with the identity of this machine, member %s, is connected to the cluster: "+
		"was the data directory copied? A copy cannot run beside its original; for one more machine, start with an empty directory and -C", MemberID(id))
}

// lossMessage returns the message about a member that lacks what it has acked. advisor is another
// member that runs.
func lossMessage(id uint64, advisor store.Member) string {
	return fmt.Sprintf("the data directory of this machine, member %s, holds less than the machine had acknowledged to the others: "+
		"it was restored from a backup or a snapshot of the disk, or the disk lost writes. Going on with it could lose what clients "+
		"were told is safe. Nothing is lost now, the others have it. Replace the member: curl -X DELETE %s/v2/members/%s, "+
		"then start this machine as before with -f -C %s added once", MemberID(id), advisor.ClientURL, MemberID(id), withoutScheme(advisor.PeerURL))
}

// abandonedPatience is for how many election timeouts a machine has no leader until it
// considers its cluster abandoned, if another member was refounded (-force-new-cluster).
const abandonedPatience = 10

// abandonment decides whether the cluster of this machine was abandoned: a member was
// refounded, because a majority was lost for good. That it says so is no proof. As long as
// there is a leader the majority is alive, and the flag was a mistake: then that member is
// unreachable, and no more.
type abandonment struct {
	patience   int             // ticks without a leader
	leaderless int             // ticks
	refounded  map[uint64]bool // by member
}

func newAbandonment(patience int) abandonment {
	return abandonment{patience: patience, refounded: map[uint64]bool{}}
}

// note notes that a member was refounded, and reports whether that is new.
func (a *abandonment) note(member uint64) bool {
	known := a.refounded[member]
	a.refounded[member] = true
	return !known
}

// welcomed notes that a member belongs to this cluster after all: another process runs there.
func (a *abandonment) welcomed(member uint64) { delete(a.refounded, member) }

// tick advances time by one tick. It returns a refounded member when this machine has to
// leave, otherwise 0.
func (a *abandonment) tick(leader bool) uint64 {
	if leader {
		a.leaderless = 0
		return 0
	}
	if a.leaderless++; a.leaderless < a.patience || len(a.refounded) == 0 {
		return 0
	}
	return slices.Min(slices.Collect(maps.Keys(a.refounded)))
}

// abandonedMessage returns the message about an abandoned cluster. It does not advise -f, which would
// be refused: the directory has to be kept.
func abandonedMessage(member uint64, advisor store.Member) string {
	return fmt.Sprintf("there has been no leader for long, and member %s was made a cluster of its own without this machine (-force-new-cluster). "+
		"The data directory of this machine may hold writes that clients were told are safe and that the new cluster lacks: keep it. "+
		"If a majority of the machines of this cluster is left, start them together, and it goes on. If it is abandoned, move the data directory away, "+
		"start this machine as before with -C %s added once, and keep the old directory until it is sure that nothing of it is missed", MemberID(member), withoutScheme(advisor.PeerURL))
}

func withoutScheme(url string) string {
	_, addr, _ := strings.Cut(url, "://")
	return addr
}

// mute reports whether this machine drops all Raft messages, in and out: it is on probation
// after its start, or it must not take part any more.
func (r *raftActor) mute() bool {
	return r.out || !r.probation.Over(maps.Keys(r.peers.actors), r.applied >= r.committed)
}

// dropMessages drops messages. Raft waits for the outcome of a snapshot and treats the others as
// lost.
func (r *raftActor) dropMessages(ctx actor.Context, messages []*raftpb.Message) []*raftpb.Message {
	for _, m := range messages {
		if m.GetType() == raftpb.MsgSnap {
			ctx.Send(ctx.Self(), &snapshotSent{member: m.GetTo()})
		}
	}
	return nil
}

// leave ends the part of this machine in the cluster. One that was removed goes on voting
// until it stops: the members that are left may need its vote.
func (r *raftActor) leave(d Departure) {
	r.out = r.out || !d.Removed
	r.gone(d)
}
