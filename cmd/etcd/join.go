package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"time"

	"etcd/actors"
	"etcd/httpfront"
	"etcd/store"
	"etcd/wal"
)

// joinPause is between two rounds of asking all machines of -C.
const joinPause = time.Second

// machines are those of -C or -CF, host:port each, which this machine reaches by scheme.
func (c *config) machines(scheme string) ([]string, error) {
	addrs := make([]string, len(c.seeds))
	for i, seed := range c.seeds {
		given, addr, ok := strings.Cut(seed, "://")
		if ok && given != scheme {
			return nil, fmt.Errorf("-C %s: this machine reaches others only by %s; -serverCert and -serverKey decide, and are the same for all machines of a cluster", seed, scheme)
		}
		if !ok {
			addr = seed
		}
		addrs[i] = addr
	}
	return addrs, nil
}

// establish gives an empty data directory its identity: that of a cluster of its own,
// or of a machine that joins. It returns the other members as far as they had to be
// asked for.
func establish(ctx context.Context, c *config, disk *actors.Disk, dir string, member store.Member, tls security, log *slog.Logger) ([]store.Member, error) {
	addrs, err := c.machines(scheme(tls.peers))
	switch {
	case err != nil:
		return nil, err
	case !disk.New && !disk.Joining():
		return nil, nil // it knows its cluster, whatever -C says
	case disk.Joining() && len(addrs) == 0:
		return nil, errors.New("this machine has begun to join a cluster and has not got its data yet: start it with -C")
	case len(addrs) == 0:
		return nil, disk.Create(wal.Identity{ClusterID: random(), MemberID: random()})
	}
	if unspecified(member.PeerURL) {
		for _, addr := range addrs {
			if host, _, err := net.SplitHostPort(addr); err == nil && !httpfront.OnThisHost(host) {
				return nil, fmt.Errorf("-C %s is on another host, and machines there cannot reach this one at %s: advertise an address with -h or -s, and listen at all with -sl",
					addr, member.PeerURL)
			}
		}
	}
	id, dial := disk.Identity.MemberID, tls.dial
	if disk.New {
		s, err := load(dir)
		if err != nil {
			return nil, err
		}
		if s.Joining == 0 {
			s.Joining = random()
		}
		id = s.Joining
		// Remembered before anybody hears of it, so that a crash in the middle does
		// not leave a member behind whose place this machine could not take any more.
		dial = func(ctx context.Context, addr string) (net.Conn, error) {
			conn, err := tls.dial(ctx, addr)
			if err == nil {
				err = s.save(dir)
			}
			return conn, err
		}
	}
	answer, err := askToJoin(ctx, c, dial, addrs, httpfront.JoinRequest{
		MemberID: id, Name: member.Name, PeerURL: member.PeerURL, ClientURL: member.ClientURL,
	}, log)
	if err != nil {
		return nil, err
	}
	if !disk.New && answer.ClusterID != disk.Identity.ClusterID {
		return nil, fmt.Errorf("this machine has begun to join cluster %016x, and %s is cluster %016x: start over with -f", disk.Identity.ClusterID, strings.Join(addrs, ","), answer.ClusterID)
	}
	if disk.New {
		err = disk.CreateJoined(wal.Identity{ClusterID: answer.ClusterID, MemberID: id}, answer.Term)
	}
	return answer.Members, err
}

// unspecified says whether a URL names no machine, such as http://0.0.0.0:7001.
func unspecified(memberURL string) bool {
	u, err := url.Parse(memberURL)
	return err != nil || unspecifiedHost(u.Hostname())
}

// mayBeMember says whether a start that ended with err before this machine had joined may
// have made it a member all the same: then its ID must not be forgotten.
func mayBeMember(dir string, err error) bool {
	s, readErr := load(dir)
	return (readErr != nil || s.Joining != 0) && !errors.Is(err, httpfront.ErrRefused)
}

// dialer connects to the peer port of a machine.
type dialer = func(ctx context.Context, addr string) (net.Conn, error)

func askToJoin(ctx context.Context, c *config, dial dialer, addrs []string, ask httpfront.JoinRequest, log *slog.Logger) (*httpfront.JoinAnswer, error) {
	var err error
	for try := range c.joinRetries {
		if try > 0 {
			select {
			case <-time.After(joinPause):
			case <-ctx.Done():
			}
		}
		for _, addr := range addrs {
			attempt, cancel := context.WithTimeout(ctx, c.requestTimeout+time.Second)
			var answer *httpfront.JoinAnswer
			answer, err = httpfront.Join(attempt, dial, addr, ask)
			cancel()
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err == nil {
				log.Info("joining the cluster", "through", addr, "members", len(answer.Members))
				return answer, nil
			}
			if errors.Is(err, httpfront.ErrRefused) || errors.Is(err, errPlainPeer) {
				return nil, err
			}
			log.Warn("cannot join yet", "try", try+1, "of", c.joinRetries, "error", err)
		}
	}
	return nil, fmt.Errorf("no machine of %s lets this one join: %w", strings.Join(addrs, ","), err)
}
