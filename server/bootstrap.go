package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"

	"etcd/actors"
	"etcd/bootstrap"
	"etcd/discovery"
	"etcd/endpoint"
	"etcd/peerfront"
	"etcd/store"
	"etcd/wal"
)

// What a machine is and belongs to that is started with today's flags for a new cluster, as in etcd.
const (
	defaultName  = "default"
	defaultToken = "etcd-cluster"
)

// givesFounders reports whether the command line says who founds the cluster, in a way of today.
// Otherwise a machine with an empty directory founds one alone, or joins one by -C.
func (c *Config) givesFounders() bool {
	return c.InitialCluster != "" || c.InitialClusterToken != "" || len(c.InitialPeerURLs) > 0 || c.JoinExisting ||
		c.Discovery != "" || c.DiscoverySRV != ""
}

func (c *Config) token() string { return cmp.Or(c.InitialClusterToken, defaultToken) }

// initialURLs returns the peer URL of this machine by the command line, none if that does not say: the
// one with its name in the list, if no other is given.
func (c *Config) initialURLs(name string) []string {
	if len(c.InitialPeerURLs) > 0 {
		return c.InitialPeerURLs
	}
	list, err := bootstrap.Parse(c.InitialCluster, c.token())
	if err != nil {
		return nil // with an empty directory that is an error, see founders
	}
	own, found := list.Named(name)
	if !found {
		return nil
	}
	return []string{own.PeerURL}
}

// checkFounders refuses what cannot be meant, whatever the data directory holds.
func (c *Config) checkFounders() error {
	if c.Discovery != "" {
		if _, err := discovery.NewClient(c.Discovery, c.DiscoveryProxy, c.Log); err != nil {
			return err
		}
	}
	if c.DiscoverySRV != "" {
		if _, err := discovery.NewSRV(c.DiscoverySRV, c.DiscoverySRVName, c.Resolver, c.Log); err != nil {
			return err
		}
	}
	return nil
}

// checkNew refuses what cannot be meant for a new data directory. With data none of it counts.
func (c *Config) checkNew() error {
	switch {
	case len(c.Join) > 0 && c.givesFounders():
		return errors.New("-C joins a cluster, and --initial-cluster and the like say with whom to found one: they are mutually exclusive")
	case c.JoinExisting && c.InitialCluster == "" && c.Discovery == "" && c.DiscoverySRV == "":
		return errors.New("--initial-cluster-state existing needs --initial-cluster, the list of the members")
	}
	return nil
}

// founders returns the machines that found the cluster, or that are in it, by the command line. A
// discovery service is waited for until ctx ends.
func (c *Config) founders(ctx context.Context, member store.Member, log *slog.Logger) (bootstrap.Cluster, error) {
	flag, list, token, err := c.initialList(ctx, member, log)
	if err != nil {
		return bootstrap.Cluster{}, err
	}
	cluster, err := bootstrap.Parse(list, token)
	if err != nil {
		return cluster, fmt.Errorf("%s: %w", flag, err)
	}
	if n := len(cluster.Members); n > c.MaxMembers {
		return cluster, fmt.Errorf("%s names %d machines, and the cluster may have %d: raise -maxsize on all of them", flag, n, c.MaxMembers)
	}
	own, found := cluster.Named(member.Name)
	switch {
	case found && own.PeerURL != member.PeerURL && (c.DiscoverySRV == "" || endpoint.Scheme(own.PeerURL) != endpoint.Scheme(member.PeerURL)):
		return cluster, fmt.Errorf("%s has %s at %s, and this machine, which has that name, is at %s: give both the same URL (--initial-advertise-peer-urls, -s), "+
			"and certificates for peers if it is https", flag, own.Name, own.PeerURL, member.PeerURL)
	case found:
		return cluster, nil
	}
	if at, ok := cluster.At(member.PeerURL); ok {
		return cluster, fmt.Errorf("%s calls this machine, at %s, %s: start it with --name %[3]s", flag, member.PeerURL, at.Name)
	}
	return cluster, fmt.Errorf("%s has no %q, which is the name of this machine: give --name one of its names, or add the machine to it: %s", flag, member.Name, cluster)
}

// initialList returns the list of founders, the flag that has led to it, and the token of the cluster.
func (c *Config) initialList(ctx context.Context, member store.Member, log *slog.Logger) (flag, list, token string, err error) {
	switch token = c.token(); {
	case c.Discovery != "":
		service, err := discovery.NewClient(c.Discovery, c.DiscoveryProxy, log)
		if err != nil {
			return "", "", "", err
		}
		token = service.Token()
		list, err := service.Cluster(ctx, discovery.Member{ID: bootstrap.MemberID(member.PeerURL, token), Name: member.Name, PeerURL: member.PeerURL})
		return "-discovery", list, token, err
	case c.DiscoverySRV != "":
		records, err := discovery.NewSRV(c.DiscoverySRV, c.DiscoverySRVName, c.Resolver, log)
		if err != nil {
			return "", "", "", err
		}
		// The names in it differ from machine to machine, and the URLs do not.
		list, err := records.Cluster(ctx, discovery.Member{Name: member.Name, PeerURL: member.PeerURL})
		return "-discovery-srv", list, token, err
	case c.InitialCluster != "":
		return "--initial-cluster", c.InitialCluster, token, nil
	}
	return "--initial-cluster", bootstrap.Format([]store.Member{member}), token, nil
}

// found gives an empty data directory its identity in a cluster that this machine founds with others.
func (c *Config) found(ctx context.Context, disk *actors.Disk, p *dataDir, member store.Member, tls security, founding *peerfront.Founding, log *slog.Logger) (knownPeers, error) {
	cluster, err := c.founders(ctx, member, log)
	if err != nil {
		return knownPeers{}, err
	}
	self, _ := cluster.Named(member.Name)
	founding.Begin(cluster, self.ID)
	others := peerfront.Founders{Cluster: cluster, Self: self, Dial: tls.dial, Log: log}
	if err := others.Agree(ctx); err != nil {
		return knownPeers{}, err
	}
	address, err := endpoint.Address(member.PeerURL)
	if err != nil {
		return knownPeers{}, err
	}
	// Stored before the log is there, so that a crash before its first entries are durable does not
	// leave a machine that does not know with whom it founds a cluster.
	s := stored{Name: self.Name, PeerAddr: address, Founders: cluster.String(), Token: cluster.Token}
	if err := s.save(p.fsys); err != nil {
		return knownPeers{}, err
	}
	log.Info("founding a cluster", "cluster", actors.MemberID(cluster.ID), "member", actors.MemberID(self.ID), "members", cluster.String())
	return knownPeers{founders: cluster}, disk.Create(wal.Identity{ClusterID: cluster.ID, MemberID: self.ID})
}

// begunFounders returns the founders of a machine that has created its log and ended before its first
// entries were durable; none if it founds the cluster alone. With an ID that follows from a list, which
// others have as well, it must not.
func (c *Config) begunFounders(ctx context.Context, disk *actors.Disk, p *dataDir, member store.Member, log *slog.Logger) (bootstrap.Cluster, error) {
	s, err := loadStored(p.fsys)
	switch {
	case err != nil:
		return bootstrap.Cluster{}, err
	case s.Founders == "" && !c.givesFounders():
		return bootstrap.Cluster{}, nil
	}
	cluster, err := bootstrap.Parse(s.Founders, s.Token)
	if s.Founders == "" {
		cluster, err = c.founders(ctx, member, log)
	}
	if err != nil {
		return cluster, err
	}
	if cluster.ID != disk.Identity.ClusterID {
		return cluster, fmt.Errorf("this machine has begun to found cluster %s, and the list of its founders (%s) is of cluster %s. Nothing was changed: give the list and the token "+
			"with which it was started first, or start over with -f", actors.MemberID(disk.Identity.ClusterID), cluster, actors.MemberID(cluster.ID))
	}
	return cluster, nil
}

// forgetFounders notes that the first entries are durable: from now on the log says who is a member,
// and a directory without one is that of a machine which has lost it.
func forgetFounders(p *dataDir) error {
	s, err := loadStored(p.fsys)
	if err != nil || s.Founders == "" {
		return err
	}
	s.Founders, s.Token = "", ""
	return s.save(p.fsys)
}
