package server

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"etcd/actors"
	"etcd/endpoint"
	"etcd/peerfront"
	"etcd/raftnode"
	"etcd/store"
	"etcd/store/logtime"
	"etcd/wal"
	"etcd/wal/vfs"
)

// Version is what -version and /version report.
const Version = "v1.0.0"

// APILevel is the version of etcd whose clients find here what they expect, as far as it is done: parts of
// the v2 API are served, and nothing of the v3 API is.
const APILevel = "2.3.8"

// snapshotBytes is how much the log grows before a snapshot is due, unless the last one was
// larger.
const snapshotBytes = 64 << 20

// auditInterval is how often the machines of a cluster compare their states.
const auditInterval = 5 * time.Minute

// stopTimeout bounds draining at a stop: requests that have not been answered by then are cut
// off. Stopping the actors gets actorStopTimeout on top.
const (
	stopTimeout      = 4 * time.Second
	transferTimeout  = time.Second
	actorStopTimeout = 5 * time.Second // a disk that is busy, and not dead, syncs the log within it
)

// Run runs a machine until ctx ends, and then stops it within a few seconds. It returns nil
// if the machine was stopped, or was removed from its cluster while it served, and else why
// it cannot run or go on. It ends the process if ctx ends while data is being read, and when
// what has to be durable no longer is.
func Run(ctx context.Context, cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	log := cfg.Log
	running, ended := context.WithCancel(context.Background())
	defer ended()
	memory := newMemory(os.DirFS("/"), log)
	go memory.bound(running)
	// Reading a directory can take long, and may end anywhere.
	reading := context.AfterFunc(ctx, func() {
		log.Info("stopped before it had read its data")
		cfg.Exit(0)
	})
	defer reading() // after an error there is nothing to be stopped any more

	dir := cfg.withDefaults(stored{}).directory()
	place, err := inspect(dir, cfg.TrustDataDir, cfg.StartOver)
	if err != nil {
		return fmt.Errorf("data directory %s: %w", dir, withOverride(err))
	}
	c, err := cfg.withStored(place)
	if err != nil {
		return err
	}
	ports, err := c.listenAll()
	if err != nil {
		return err
	}
	defer ports.close()
	lock, err := place.acquire()
	if err != nil {
		return fmt.Errorf("data directory %s: %w", dir, withOverride(err))
	}
	tls, err := c.security(place, log)
	if err != nil {
		place.discard()
		return errors.Join(err, lock.Close())
	}
	member := store.Member{
		Name:      c.machineName(),
		PeerURL:   endpoint.URL(scheme(tls.peers), c.advertisedAs(c.PeerAddr, ports.peers)),
		ClientURL: c.clientURL(ports.clients),
	}
	clock := newClock()
	founding := &peerfront.Founding{}
	fronts := startFronts(c, member, ports, tls, founding, clock)
	place.warn(log)
	disk, err := openDisk(c, place, lock, log)
	if err != nil {
		return errors.Join(fmt.Errorf("data directory %s: %w", dir, withOverride(err)), lock.Close())
	}
	log.Info("etcd is starting", "version", Version, "name", member.Name, "data", dir,
		"clients", member.ClientURL, "peers", member.PeerURL)
	if few := c.fileLimitWarning(openFiles()); few != "" {
		log.Warn(few)
	}
	logRecovery(log, disk)
	if err := disk.Skip(c.SkipEntries); err != nil {
		return errors.Join(fmt.Errorf("-skip-entry: %w", err), disk.Close())
	}
	warnUnspecified(log, member)
	warnPeerPortOpen(log, ports.peers, tls.peers != nil)
	if !reading() {
		select {} // the process ends
	}
	if c.ForceNewCluster {
		if err := forceNewCluster(ctx, place, disk, c.advertisedAs(c.PeerAddr, ports.peers), tls.dial, log); err != nil {
			place.discard()
			if errors.Is(err, context.Canceled) {
				log.Info("stopped before -force-new-cluster was carried out: nothing was changed")
				err = nil
			}
			return errors.Join(err, disk.Close())
		}
	}
	others, err := foundOrJoin(ctx, c, disk, place, member, tls, ports.peers, founding, log)
	if err != nil {
		if !mayBeMember(place, err) {
			place.discard()
		}
		if errors.Is(err, context.Canceled) {
			fronts.stop(log)
			log.Info("stopped before it was a member of a cluster")
			err = nil
		}
		return errors.Join(err, disk.Close())
	}
	host := actors.Process(tls.dial)
	host.Exit = c.Exit
	machine, err := actors.Start(actorsConfig(c, member, others, host, clock, log), disk)
	if err != nil {
		return errors.Join(err, disk.Close())
	}
	s := stored{
		Name: c.Name, ClientAddr: c.advertisedAs(c.ClientAddr, ports.clients), PeerAddr: c.advertisedAs(c.PeerAddr, ports.peers),
		MayForce: disk.Identity.FormerClusterID != 0 && !c.ForceNewCluster,
	}
	if len(others.founders.Members) > 0 {
		s.Founders, s.Token = others.founders.String(), others.founders.Token
	}
	if err := s.save(place.fsys); err != nil {
		return errors.Join(err, stopMachine(machine))
	}
	go tls.watch(running)
	memory.machine.Store(machine)
	fronts.attach(machine)
	return serve(ctx, place, machine, fronts, ports.clients[0].Addr(), c.Ready, log)
}

// openDisk opens the data directory, after wiping it if the command line says so. The lock
// goes with the disk.
func openDisk(c *Config, p *dataDir, lock io.Closer, log *slog.Logger) (*actors.Disk, error) {
	if c.StartOver {
		if err := wipe(p.path, p.fsys, log); err != nil {
			return nil, err
		}
	}
	return actors.ReadDisk(p.fsys, lock, wal.Options{})
}

// withOverride adds to an error how to override it, if that is possible.
func withOverride(err error) error {
	if _, ok := errors.AsType[*vfs.UnsafeError](err); ok {
		return fmt.Errorf("%w. To use it as it is, and trust whoever can write there with all data and with this machine, add -trust-data-dir", err)
	}
	return err
}

// logRecovery logs what was found in the data directory.
func logRecovery(log *slog.Logger, disk *actors.Disk) {
	if disk.New {
		log.Info("the data directory is new")
		return
	}
	found := disk.Found
	for _, bad := range found.BadSnapshots {
		log.Warn("a snapshot file is damaged; an older one and the log take its place, nothing is lost", "error", bad)
	}
	if found.Torn != nil {
		log.Warn("the end of the log was cut off: the last write before the crash was not complete, and was never acknowledged",
			"file", found.Torn.File, "offset", found.Torn.Offset, "bytes", found.Torn.Bytes)
	}
	if disk.Forgotten != nil {
		log.Warn("the witness file cannot be used: this machine will not notice a member that was restored from a backup "+
			"until it has heard from it again", "error", disk.Forgotten)
	}
	logRefounded(log, disk)
	log.Info("recovered", "index", disk.LastIndex(), "snapshot", found.Snapshot.GetIndex(),
		"entries", disk.LastIndex()-found.Snapshot.GetIndex(), "term", found.HardState.GetTerm())
}

func actorsConfig(c *Config, member store.Member, others knownPeers, host actors.Host, clock func() raftnode.Reading, log *slog.Logger) actors.Config {
	bytes := uint64(snapshotBytes)
	if c.NoSnapshots {
		bytes = 0
	}
	return actors.Config{
		Member:          member,
		HistoryLimit:    uint32(c.History),
		SetHistoryLimit: c.SetHistory,
		SetMaxMembers:   c.SetMaxMembers,
		Quota:           uint64(c.Quota),
		SetQuota:        c.SetQuota,
		Tick:            c.Heartbeat,
		Host:            host,
		Founders:        others.founders.Members,
		Seeds:           others.seeds,
		Hints:           others.hints,
		AuditEvery:      auditInterval,
		Clock:           clock,
		Nonce:           randomID(),
		Secret:          randomSecret(),
		Log:             log,
		Raft: raftnode.Config{
			HeartbeatTicks:  1,
			ElectionTicks:   int(c.Election / c.Heartbeat),
			RequestTicks:    max(1, int(c.RequestTimeout/c.Heartbeat)),
			MaxMembers:      c.MaxMembers,
			SnapshotEntries: c.SnapshotEntries,
			SnapshotBytes:   bytes,
			FirstProposalID: randomID(),
			Log:             log,
		},
	}
}

// newClock reads the clocks of this machine. Mono begins at the wall time of the start.
func newClock() func() raftnode.Reading {
	start := time.Now()
	began := logtime.Of(start)
	return func() raftnode.Reading {
		now := time.Now()
		return raftnode.Reading{Mono: uint64(began.Add(now.Sub(start))), Wall: uint64(logtime.Of(now))}
	}
}

// randomSecret returns random bytes that nobody can guess.
func randomSecret() []byte {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return b
}

// randomID returns a random number other than 0 and those that Raft reserves.
func randomID() uint64 {
	var b [8]byte
	for {
		_, _ = rand.Read(b[:]) // never fails
		if n := binary.LittleEndian.Uint64(b[:]); n != 0 && n < 1<<63 {
			return n
		}
	}
}
