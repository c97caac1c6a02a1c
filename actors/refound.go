package actors

import (
	"errors"
	"fmt"
	"io"

	"go.etcd.io/raft/v3/raftpb"

	"etcd/raftnode"
	"etcd/store"
	"etcd/store/storepb"
	"etcd/wal"
)

// ErrRemovedMember says that a machine cannot go on because its cluster has removed it.
var ErrRemovedMember = errors.New("this machine was removed from its cluster")

// Refound makes this machine the only member of a cluster with another ID, which goes on
// with the data of the one before, and returns the members that it was without. It is for a
// majority that is lost for good. They count as removed: their IDs never come back.
//
// Every entry of the log counts, those included that this machine did not know to be
// committed: any of them may have been acknowledged to a client, because what is on disk
// of the commit index lags. A crash leaves either cluster, never anything between.
func (d *Disk) Refound(cluster uint64) (without []store.Member, err error) {
	self := d.Identity.MemberID
	commands, err := raftnode.Decode(d.Found.Entries)
	if err != nil {
		return nil, err
	}
	var now store.Time
	for _, c := range commands {
		now = max(now, store.Time(c.Now))
		if _, err := d.store.Apply(c.Index, store.Time(c.Now), c.Command); err != nil {
			return nil, err
		}
	}
	last, found := d.LastIndex(), false
	for _, m := range d.store.Members() {
		if m.ID == self {
			found = true
		} else {
			without = append(without, m)
		}
	}
	if !found {
		return nil, ErrRemovedMember
	}
	for _, m := range without {
		last++
		if _, err := d.store.Apply(last, now, store.Encode(&storepb.Command{
			Kind: &storepb.Command_RemoveMember{RemoveMember: &storepb.RemoveMember{Id: m.ID}},
		})); err != nil {
			return nil, err
		}
	}
	term := d.Found.HardState.GetTerm()
	meta := &raftpb.SnapshotMetadata{Index: &last, Term: &term, ConfState: &raftpb.ConfState{Voters: []uint64{self}}}
	identity := wal.Identity{ClusterID: cluster, MemberID: self, FormerClusterID: d.Identity.ClusterID}
	state := d.store.Snapshot()
	if err := d.log.Close(); err != nil {
		return nil, err
	}
	if err := wal.Refound(d.fsys, identity, term, meta, func(w io.Writer) error {
		_, err := state.WriteTo(w)
		return err
	}, d.opts); err != nil {
		return nil, err
	}
	if err := d.read(); err != nil {
		return nil, fmt.Errorf("what was written for the new cluster cannot be read back: %w", err)
	}
	return without, nil
}
