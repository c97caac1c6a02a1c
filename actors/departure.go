package actors

import (
	"fmt"
	"maps"
	"net/http"

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
		"then start this machine as before with -f -C %s added once", MemberID(id), advisor.ClientURL, MemberID(id), peerAddr(advisor))
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
