package main

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"etcd/actors"
)

// forceNewCluster does what -force-new-cluster says: this machine becomes the only member
// of a new cluster with the data of the one before. A flag that is left on the command line
// does nothing more: not while the machine is alone, and not when its new cluster has grown.
func forceNewCluster(dir string, disk *actors.Disk, log *slog.Logger) error {
	members, self := disk.Members(), disk.Identity.MemberID
	switch {
	case disk.New || disk.Joining():
		return errors.New("-force-new-cluster: there is no data here to go on with; start it where a member of the cluster has its data")
	case len(members) == 1 && members[0] == self:
		log.Warn("-force-new-cluster changes nothing: this machine is the only member of its cluster already. Leave it out")
		return nil
	}
	s, err := load(dir)
	if err != nil {
		return err
	}
	if disk.Identity.FormerClusterID != 0 && !s.MayForce {
		log.Error("-force-new-cluster is ignored: it was carried out at an earlier start, and the cluster has grown since. Leave it out. "+
			"If the majority of this cluster is lost for good, too, start this machine once without it, and then with it", "members", len(members))
		return nil
	}
	former, last := disk.Identity.ClusterID, disk.LastIndex()
	without, err := disk.Refound(random())
	if errors.Is(err, actors.ErrRemovedMember) {
		return fmt.Errorf("-force-new-cluster: %w, and its ID cannot come back: use the data of another one", err)
	}
	if err != nil {
		return fmt.Errorf("-force-new-cluster: %w", err)
	}
	names := make([]string, len(without))
	for i, m := range without {
		names[i] = fmt.Sprintf("%s (%s, %s)", m.Name, actors.MemberID(m.ID), m.PeerURL)
	}
	slices.Sort(names)
	log.Warn("-force-new-cluster: THIS MACHINE IS A CLUSTER OF ITS OWN NOW, with all data up to the last entry it has. "+
		"What only the others had is lost. They are no members any more and must not be started with their data again. Leave -force-new-cluster out from now on",
		"lastEntry", last, "without", strings.Join(names, ", "),
		"cluster", actors.MemberID(disk.Identity.ClusterID), "formerCluster", actors.MemberID(former))
	return nil
}
