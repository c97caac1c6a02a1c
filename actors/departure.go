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

// The answers to the handshake of a process that is not to take part.
const (
	statusGone   = http.StatusGone      // it was removed for ever
	statusRival  = http.StatusConflict  // another process with its identity is connected
	statusBehind = http.StatusForbidden // it lacks what it has acknowledged
)

// Departure is why a machine must not go on.
type Departure struct {
	// Reason says what has happened, and what to do if it is not meant to be so.
	Reason string
	// Removed says that somebody wanted it: the machine was removed from the cluster.
	// Otherwise it has failed.
	Removed bool
	// Lost says that the data directory lacks what the machine has acknowledged: it is of no
	// use any more.
	Lost bool
}

// departure is what the refusal of another member means for this machine; it is not final if
// that may change.
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

// rivalry says that two processes run as one member.
func rivalry(id uint64) string {
	return fmt.Sprintf("another process with the identity of this machine, member %s, is connected to the cluster: "+
		"was the data directory copied? A copy cannot run beside its original; for one more machine, start with an empty directory and -C", MemberID(id))
}

// lossOf says that a member lacks what it has acknowledged. advisor is another member, one
// that runs.
func lossOf(id uint64, advisor store.Member) string {
	return fmt.Sprintf("the data directory of this machine, member %s, holds less than the machine had acknowledged to the others: "+
		"it was restored from a backup or a snapshot of the disk, or the disk lost writes. Going on with it could lose what clients "+
		"were told is safe. Nothing is lost now, the others have it. Replace the member: curl -X DELETE %s/v2/members/%s, "+
		"then start this machine as before with -f -C %s added once", MemberID(id), advisor.ClientURL, MemberID(id), withoutScheme(advisor.PeerURL))
}

// givenUpPatience is for how many election timeouts a machine is without a leader before it
// takes its cluster for given up, if another member has left it by -force-new-cluster.
const givenUpPatience = 10

// givenUp judges whether the cluster of this machine was given up: a member has become a
// cluster of its own, because a majority was lost for good. That it says so is no proof. As
// long as there is a leader the majority lives, and the flag was a mistake: then that member
// is one that cannot be reached, and no more.
type givenUp struct {
	patience   int             // ticks without a leader
	leaderless int             // ticks
	left       map[uint64]bool // members that are a cluster of their own
}

func newGivenUp(patience int) givenUp { return givenUp{patience: patience, left: map[uint64]bool{}} }

// note notes that a member is a cluster of its own, and says whether that is new.
func (g *givenUp) note(member uint64) bool {
	known := g.left[member]
	g.left[member] = true
	return !known
}

// welcomed notes that a member belongs to this cluster after all: another process runs there.
func (g *givenUp) welcomed(member uint64) { delete(g.left, member) }

// tick lets one unit of time pass. It returns a member that has left when this machine is to
// end, otherwise 0.
func (g *givenUp) tick(leader bool) uint64 {
	if leader {
		g.leaderless = 0
		return 0
	}
	if g.leaderless++; g.leaderless < g.patience || len(g.left) == 0 {
		return 0
	}
	return slices.Min(slices.Collect(maps.Keys(g.left)))
}

// givenUpBy says that the cluster of this machine was given up. -f would be refused: the
// directory is to be kept.
func givenUpBy(left uint64, advisor store.Member) string {
	return fmt.Sprintf("there has been no leader for long, and member %s was made a cluster of its own without this machine (-force-new-cluster). "+
		"The data directory of this machine may hold writes that clients were told are safe and that the new cluster lacks: keep it. "+
		"If a majority of the machines of this cluster is left, start them together, and it goes on. If it is given up, move the data directory away, "+
		"start this machine as before with -C %s added once, and keep the old directory until it is sure that nothing of it is missed", MemberID(left), withoutScheme(advisor.PeerURL))
}

func withoutScheme(url string) string {
	_, addr, _ := strings.Cut(url, "://")
	return addr
}

// mute says that this machine neither hears nor says anything of Raft's: it has just started
// and it is not known yet whether it may take part, or it is known that it may not.
func (r *raftActor) mute() bool {
	return r.out || !r.probation.Over(maps.Keys(r.peers.actors), r.applied >= r.committed)
}

// withhold drops messages. Raft waits for the end of a snapshot and takes the others for
// lost.
func (r *raftActor) withhold(ctx actor.Context, messages []*raftpb.Message) []*raftpb.Message {
	for _, m := range messages {
		if m.GetType() == raftpb.MsgSnap {
			ctx.Send(ctx.Self(), &snapshotSent{member: m.GetTo()})
		}
	}
	return nil
}

// leave ends the part of this machine in the cluster. Having been removed it goes on to
// vote until it stops: who is left may need that.
func (r *raftActor) leave(d Departure) {
	r.out = r.out || !d.Removed
	r.gone(d)
}
