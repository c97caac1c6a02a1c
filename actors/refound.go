package actors

import (
	"errors"
	"fmt"
	"io"

	"go.etcd.io/raft/v3/raftpb"

	"etcd/store"
	"etcd/store/logtime"
	"etcd/store/storepb"
	"etcd/wal"
)

// ErrRemovedMember refuses a machine that cannot go on because its cluster has removed it.
var ErrRemovedMember = errors.New("this machine was removed from its cluster")

// Refounding is what makes a machine the only member of a cluster with another ID, which
// goes on with the data of the one before. It is for a majority that is lost for good.
type Refounding struct {
	// Without are the members that the new cluster does not have. They count as removed:
	// their IDs never come back.
	Without []store.Member
	// Voters are the IDs of the voters of the old cluster, this machine included if it is one.
	Voters []uint64

	disk *Disk
	time logtime.Time // of the last entry
}

// PrepareRefounding finds out what a Refounding means, and changes nothing on disk. After it
// the Disk is good only for CarryOut or Close.
//
// Every entry of the log counts, those included that this machine did not know to be
// committed: any of them may have been acked to a client, because the commit index on disk
// lags.
func (d *Disk) PrepareRefounding() (*Refounding, error) {
	r := &Refounding{disk: d, Voters: d.membership().voters}
	err := d.entries(func(entries []*raftpb.Entry) error {
		commands, err := d.skip.Decode(entries)
		if err != nil {
			return err
		}
		for _, c := range commands {
			r.time = max(r.time, logtime.Time(c.Now))
			if _, err := d.store.Apply(c.Index, logtime.Time(c.Now), c.Command); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	found := false
	for _, m := range d.store.Members() {
		if m.ID == d.Identity.MemberID {
			found = true
		} else {
			r.Without = append(r.Without, m)
		}
	}
	if !found {
		return nil, ErrRemovedMember
	}
	return r, nil
}

// CarryOut makes the machine the only member of a cluster with the given ID. A crash leaves
// either cluster, never anything between.
func (r *Refounding) CarryOut(cluster uint64) error {
	d := r.disk
	self, last := d.Identity.MemberID, d.LastIndex()
	for _, m := range r.Without {
		last++
		if _, err := d.store.Apply(last, r.time, store.Encode(&storepb.Command{
			Kind: &storepb.Command_RemoveMember{RemoveMember: &storepb.RemoveMember{Id: m.ID}},
		})); err != nil {
			return err
		}
	}
	term := d.Found.HardState.GetTerm()
	meta := &raftpb.SnapshotMetadata{Index: &last, Term: &term, ConfState: &raftpb.ConfState{Voters: []uint64{self}}}
	identity := wal.Identity{ClusterID: cluster, MemberID: self, FormerClusterID: d.Identity.ClusterID}
	state := d.store.View()
	if err := d.log.Close(); err != nil {
		return err
	}
	if err := wal.Refound(d.fsys, identity, term, meta, func(w io.Writer) error {
		_, err := state.WriteTo(w)
		return err
	}, d.opts); err != nil {
		return err
	}
	if err := d.read(); err != nil {
		return fmt.Errorf("cannot read back what was written for the new cluster: %w", err)
	}
	return nil
}
