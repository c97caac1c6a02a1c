package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"etcd/actors"
	"etcd/bootstrap"
	"etcd/endpoint"
	"etcd/peerfront"
	"etcd/store"
	"etcd/wal"
)

// withoutScheme returns seeds as host:port each. This machine dials peers only by the given scheme.
func withoutScheme(flag string, seeds []string, scheme string) ([]string, error) {
	addrs := make([]string, len(seeds))
	for i, seed := range seeds {
		given, addr, ok := strings.Cut(seed, "://")
		if ok && given != scheme {
			return nil, fmt.Errorf("%s %s: this machine dials peers only by %s; -serverCert and -serverKey decide, and are the same for all machines of a cluster", flag, seed, scheme)
		}
		if !ok {
			addr = seed
		}
		addrs[i] = addr
	}
	return addrs, nil
}

// otherSeeds returns the machines to join without this one, which listens at own.
func (c *Config) otherSeeds(flag string, seeds []string, scheme string, own listeners, log *slog.Logger) ([]string, error) {
	addrs, err := withoutScheme(flag, seeds, scheme)
	if err != nil {
		return nil, err
	}
	advertised := c.advertisedAs(c.PeerAddr, own)
	others := slices.DeleteFunc(slices.Clone(addrs), func(addr string) bool {
		return addr == advertised || slices.ContainsFunc(own, func(l opened) bool { return l.reachedAt(addr) })
	})
	switch {
	case len(addrs) > 0 && len(others) == 0:
		return nil, fmt.Errorf("%s %s is this machine itself: name another machine of the cluster to join, or leave %[1]s out to found one", flag, strings.Join(addrs, ","))
	case len(others) < len(addrs) && !c.JoinExisting:
		log.Warn("-C names this machine itself, too; only the others are asked", "addrs", strings.Join(addrs, ","))
	}
	return others, nil
}

// reachedAt reports whether dialling an address, host:port, reaches a listener.
func (l opened) reachedAt(addr string) bool {
	at, ok := l.Addr().(*net.TCPAddr)
	host, port, err := net.SplitHostPort(addr)
	switch {
	case addr == l.Addr().String():
		return true
	case !ok || err != nil || port != strconv.Itoa(at.Port) || !endpoint.OnThisHost(host):
		return false
	}
	ip := net.ParseIP(host)
	return at.IP.IsUnspecified() || ip == nil && at.IP.IsLoopback() || ip.Equal(at.IP) || ip != nil && ip.IsUnspecified()
}

// knownPeers is what a start knows of the other members before it has contacted any.
type knownPeers struct {
	founders bootstrap.Cluster // with which this machine begins the log; none: alone, or it has one
	seeds    []store.Member    // as learnt when joining
	hints    []string          // where other members may be, host:port
}

// foundOrJoin gives an empty data directory its identity: that of a cluster that this machine founds,
// alone or with others, or of a machine that joins one. To one that is a member already, -C says
// where others may be, and the flags for a new cluster nothing.
func foundOrJoin(ctx context.Context, c *Config, disk *actors.Disk, p *dataDir, member store.Member, tls security, peers listeners,
	founding *peerfront.Founding, log *slog.Logger) (knownPeers, error) {
	begins := disk.New || disk.Joining()
	if disk.Founding() && !disk.New {
		founders, err := c.begunFounders(ctx, disk, p, member, log)
		return knownPeers{founders: founders}, err
	}
	if begins {
		if err := c.checkNew(); err != nil {
			return knownPeers{}, err
		}
	}
	if disk.New && c.givesFounders() && !c.JoinExisting {
		return c.found(ctx, disk, p, member, tls, founding, log)
	}
	flag, seeds := "-C", c.Join
	if begins && c.JoinExisting {
		cluster, err := c.founders(ctx, member, log)
		if err != nil {
			return knownPeers{}, err
		}
		flag, seeds = "--initial-cluster", cluster.PeerURLs()
	}
	addrs, err := c.otherSeeds(flag, seeds, scheme(tls.peers), peers, log)
	switch {
	case err != nil:
		return knownPeers{}, err
	case !begins:
		return hints(disk, p.path, addrs, log)
	case disk.Joining() && len(addrs) == 0:
		return knownPeers{}, errors.New("this machine has begun to join a cluster and has not received its data yet: start it with -C, " +
			"or with --initial-cluster and --initial-cluster-state existing")
	case len(addrs) == 0:
		return knownPeers{}, disk.Create(wal.Identity{ClusterID: randomID(), MemberID: randomID()})
	}
	if unspecified(member.PeerURL) {
		for _, addr := range addrs {
			if host, _, err := net.SplitHostPort(addr); err == nil && !endpoint.OnThisHost(host) {
				return knownPeers{}, fmt.Errorf("%s %s is on another host, and machines there cannot reach this one at %s: advertise an address with -h or -s, and listen on all with -sl",
					flag, addr, member.PeerURL)
			}
		}
	}
	return c.join(ctx, disk, p, member, addrs, tls.dial, log)
}

// join lets this machine join through one of the members at addrs.
func (c *Config) join(ctx context.Context, disk *actors.Disk, p *dataDir, member store.Member, addrs []string, dial dialer, log *slog.Logger) (knownPeers, error) {
	via := peerfront.Seeds{Addrs: addrs, Dial: dial, Rounds: c.JoinRetries, Timeout: c.RequestTimeout + time.Second, Log: log}
	id := disk.Identity.MemberID
	if disk.New {
		s, err := loadStored(p.fsys)
		if err != nil {
			return knownPeers{}, err
		}
		switch {
		case c.JoinExisting: // what an earlier start has stored may not be a member any more
			if s.Joining, err = via.Assigned(ctx, member.PeerURL, s.Joining); err != nil {
				return knownPeers{}, err
			}
		case s.Joining == 0:
			s.Joining = randomID()
		}
		id = s.Joining
		// Stored before any member learns of it, so that a crash in the middle does
		// not leave behind a member whose ID this machine has lost.
		via.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			conn, err := dial(ctx, addr)
			if err != nil {
				return nil, err
			}
			if err := s.save(p.fsys); err != nil {
				return nil, errors.Join(err, conn.Close())
			}
			return conn, nil
		}
	}
	answer, err := via.Join(ctx, peerfront.JoinRequest{
		MemberID: id, Name: member.Name, PeerURL: member.PeerURL, ClientURL: member.ClientURL,
		Understood: actors.Understood(),
	})
	if err != nil {
		return knownPeers{}, err
	}
	if !disk.New && answer.ClusterID != disk.Identity.ClusterID {
		return knownPeers{}, fmt.Errorf("this machine has begun to join cluster %016x, and %s is cluster %016x: start over with -f", disk.Identity.ClusterID, strings.Join(addrs, ","), answer.ClusterID)
	}
	if disk.New {
		err = disk.CreateJoined(wal.Identity{ClusterID: answer.ClusterID, MemberID: id}, answer.Term)
	}
	return knownPeers{seeds: answer.Members}, err
}

// hints is what -C means to a machine whose directory belongs to a cluster already.
func hints(disk *actors.Disk, dir string, addrs []string, log *slog.Logger) (knownPeers, error) {
	switch {
	case len(addrs) == 0:
	case disk.Founder():
		return knownPeers{}, fmt.Errorf("this machine has founded a cluster of its own, with the data in %s, and -C asks it to join another one. "+
			"To keep that data, start it without -C. To DELETE it and join, start this machine as before, -C included, with -f added once", dir)
	case disk.Alone():
		log.Warn("-C is ignored: this machine is the only member of its cluster; leave it out", "addrs", strings.Join(addrs, ","))
		addrs = nil
	}
	return knownPeers{hints: addrs}, nil
}

// unspecified reports whether a URL names no machine, such as http://0.0.0.0:7001.
func unspecified(memberURL string) bool {
	return endpoint.Unspecified(endpoint.HostOfURL(memberURL))
}

// mayBeMember reports whether a start that ended with err before this machine had joined may
// have made it a member all the same: then its ID must not be forgotten.
func mayBeMember(p *dataDir, err error) bool {
	s, readErr := loadStored(p.fsys)
	return (readErr != nil || s.Joining != 0) && !errors.Is(err, peerfront.ErrRefused) && !errors.Is(err, peerfront.ErrNoSeed)
}

// dialer connects to the peer port of a machine.
type dialer = func(ctx context.Context, addr string) (net.Conn, error)
