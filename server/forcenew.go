package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"etcd/actors"
	"etcd/endpoint"
	"etcd/store"
	"etcd/transport"
)

// probeTimeout bounds how long -force-new-cluster waits for the other members, all of which are
// asked at once.
const probeTimeout = 3 * time.Second

// forceNewCluster carries out -force-new-cluster: it refounds the cluster with this machine
// as its only member and the data of the one before. A flag that stays on the command line
// does nothing at later starts, neither while the machine is alone nor once its cluster has grown.
func forceNewCluster(ctx context.Context, p *dataDir, disk *actors.Disk, addr string, dial dialer, log *slog.Logger) error {
	switch {
	case disk.New || disk.Joining() || disk.Founding():
		return errors.New("-force-new-cluster: there is no data here to continue with; start it where a member of the cluster has its data")
	case disk.Alone():
		log.Warn("-force-new-cluster changes nothing: this machine is the only member of its cluster already. Leave it out")
		return nil
	}
	s, err := loadStored(p.fsys)
	if err != nil {
		return err
	}
	if disk.Identity.FormerClusterID != 0 && !s.MayForce {
		log.Error("-force-new-cluster is ignored: it was carried out at an earlier start, and the cluster has grown since. Leave it out. "+
			"If the majority of this cluster is lost for good, too, start this machine once without it, and then with it", "members", len(disk.Members()))
		return nil
	}
	refounding, err := disk.PrepareRefounding()
	if errors.Is(err, actors.ErrRemovedMember) {
		return fmt.Errorf("-force-new-cluster: %w, and its ID cannot come back: use the data of another one", err)
	}
	if err != nil {
		return fmt.Errorf("-force-new-cluster: %w", err)
	}
	former, cluster := disk.Identity, randomID()
	present := reachableVoters(ctx, transport.Config{ClusterID: former.ClusterID, MemberID: former.MemberID, Addr: addr, Dial: dial, Dead: probeTimeout}, refounding)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	voting := len(present)
	if slices.Contains(refounding.Voters, former.MemberID) {
		voting++
	}
	if majority := len(refounding.Voters)/2 + 1; voting >= majority {
		return fmt.Errorf("-force-new-cluster is for a majority that is lost for good, and it is not: of %d voters these are running besides this machine: %s. Nothing was changed. "+
			"Start this machine without the flag. To give up the cluster of the others all the same, stop them first", len(refounding.Voters), describeMembers(present))
	}
	// Before the change, because there is no way back and a crash may follow it.
	log.Warn("-force-new-cluster: THIS MACHINE BECOMES A CLUSTER OF ITS OWN, with all data up to the last entry it has. "+
		"What only the others had is lost. They are no longer members and must not be started with their data again",
		"lastEntry", disk.LastIndex(), "without", describeMembers(refounding.Without),
		"cluster", actors.MemberID(cluster), "formerCluster", actors.MemberID(former.ClusterID))
	if err := refounding.CarryOut(cluster); err != nil {
		return fmt.Errorf("-force-new-cluster: %w", err)
	}
	log.Warn("-force-new-cluster is done. Leave it out from now on")
	return nil
}

// logRefounded logs that -force-new-cluster was carried out at an earlier start, which may
// have crashed before it logged that itself.
func logRefounded(log *slog.Logger, disk *actors.Disk) {
	if disk.Identity.FormerClusterID == 0 || !disk.Alone() {
		return
	}
	var without []string
	for _, id := range disk.Former() {
		without = append(without, actors.MemberID(id))
	}
	log.Warn("THIS MACHINE IS A CLUSTER OF ITS OWN since -force-new-cluster was carried out. The others are no longer members and must not be started with their data again",
		"without", strings.Join(without, ", "),
		"cluster", actors.MemberID(disk.Identity.ClusterID), "formerCluster", actors.MemberID(disk.Identity.FormerClusterID))
}

// reachableVoters returns the other voters that answer at the address in this machine's data.
func reachableVoters(ctx context.Context, self transport.Config, r *actors.Refounding) []store.Member {
	reachable := make([]bool, len(r.Without))
	var probes sync.WaitGroup
	for i, m := range r.Without {
		if slices.Contains(r.Voters, m.ID) {
			probes.Go(func() {
				addr, err := endpoint.Address(m.PeerURL)
				if err != nil {
					return // added by an earlier version; nobody has ever reached it there
				}
				p, err := transport.Ask(ctx, self, addr, "")
				refused, _ := errors.AsType[*transport.RefusedError](err)
				reachable[i] = err == nil && p.Member == m.ID ||
					refused != nil && refused.Status == transport.StatusUncertified // by a machine of this cluster
			})
		}
	}
	probes.Wait()
	var present []store.Member
	for i, m := range r.Without {
		if reachable[i] {
			present = append(present, m)
		}
	}
	return present
}

// describeMembers names members for people.
func describeMembers(members []store.Member) string {
	names := make([]string, len(members))
	for i, m := range members {
		names[i] = fmt.Sprintf("%s (%s, %s)", m.Name, actors.MemberID(m.ID), m.PeerURL)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
