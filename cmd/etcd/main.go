package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"etcd/actors"
	"etcd/endpoint"
	"etcd/raftnode"
	"etcd/store"
	"etcd/store/logtime"
	"etcd/wal"
	"etcd/wal/vfs"
)

// programVersion is what -version and /version say.
const programVersion = "v1.0.0"

// snapshotBytes is how much the log grows before a snapshot is due, unless the last one was
// larger.
const snapshotBytes = 64 << 20

// auditEvery is how often the machines of a cluster compare their states.
const auditEvery = 5 * time.Minute

// stopTime bounds an orderly stop, up to the actors: what has not been answered by then is
// cut off. They get actorStopTime besides.
const (
	stopTime      = 4 * time.Second
	handOverTime  = time.Second
	actorStopTime = time.Second
)

func main() {
	outliveWriting()
	stderr := newLogWriter(os.Stderr, maxPendingLog)
	stderr.exit(start(os.Args[1:], stderr))
}

// start does what the command line says and returns the exit code.
func start(args []string, stderr *logWriter) int {
	c, err := parseConfig(args, os.Environ(), os.Stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, new(errUsage)):
		fmt.Fprintf(stderr, "etcd: %s (see etcd -help)\n", inOneLine(err))
		return 2
	case err == nil && c.version:
		fmt.Println("etcd " + programVersion)
		return 0
	}
	if err == nil {
		err = run(c, stderr)
	}
	if err != nil {
		fmt.Fprintf(stderr, "etcd: %s\n", inOneLine(err))
		return 1
	}
	return 0
}

// inOneLine words errors that were joined.
func inOneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// run runs a machine until it is told to stop.
func run(c *config, stderr *logWriter) error {
	log := newLog(c, stderr)
	stopping := stopSignals(log, stderr.exit)
	// Reading a directory can take long, and may end anywhere.
	reading := context.AfterFunc(stopping, func() {
		log.Info("stopped before it had read its data")
		stderr.exit(0)
	})

	dir := c.directory()
	place, err := inspect(dir, c.trustDataDir, c.startOver)
	if err != nil {
		return fmt.Errorf("data directory %s: %w", dir, insisting(err))
	}
	if err := c.complete(place); err != nil {
		return err
	}
	clients, err := listen("-c", "-cl", c.listenAddr(c.clientListen, c.clientAddr))
	if err != nil {
		return err
	}
	defer clients.Close()
	peers, err := listen("-s", "-sl", c.listenAddr(c.peerListen, c.peerAddr))
	if err != nil {
		return err
	}
	defer peers.Close()
	lock, err := place.take()
	if err != nil {
		return fmt.Errorf("data directory %s: %w", dir, insisting(err))
	}
	tls, err := c.security(place, log)
	if err != nil {
		place.discard()
		return err
	}
	member := store.Member{
		Name:      c.machineName(),
		PeerURL:   endpoint.URL(scheme(tls.peers), c.reached(c.peerAddr, peers)),
		ClientURL: endpoint.URL(scheme(tls.clients), c.reached(c.clientAddr, clients)),
	}
	clock := newClock()
	fronts := startFronts(c, member, clients, peers, tls, clock, stderr.lostLines, log)
	place.warn(log)
	disk, err := openDisk(c, place, lock, log)
	if err != nil {
		return fmt.Errorf("data directory %s: %w", dir, insisting(err))
	}
	log.Info("etcd is starting", "version", programVersion, "name", member.Name, "data", dir,
		"clients", member.ClientURL, "peers", member.PeerURL)
	if few := c.fewFiles(openFiles()); few != "" {
		log.Warn(few)
	}
	logFound(log, disk)
	if err := disk.Skip(c.skips); err != nil {
		return errors.Join(fmt.Errorf("-skip-entry: %w", err), disk.Close())
	}
	c.warnUnknown(log)
	warnUnspecified(log, member)
	warnOpen(log, peers, tls.peers != nil)
	if !reading() {
		select {} // the process ends
	}
	if c.forceNewCluster {
		if err := forceNewCluster(stopping, place, disk, c.reached(c.peerAddr, peers), tls.dial, log); err != nil {
			place.discard()
			if errors.Is(err, context.Canceled) {
				log.Info("stopped before -force-new-cluster was carried out: nothing was changed")
				err = nil
			}
			return errors.Join(err, disk.Close())
		}
	}
	others, err := establish(stopping, c, disk, place, member, tls, peers, log)
	if err != nil {
		if !mayBeMember(place, err) {
			place.discard()
		}
		if errors.Is(err, context.Canceled) {
			fronts.stop(log)
			log.Info("stopped before it had joined the cluster")
			err = nil
		}
		return errors.Join(err, disk.Close())
	}
	host := actors.Process(tls.dial)
	host.Exit = stderr.exit
	machine, err := actors.Start(machineConfig(c, member, others, host, clock, log), disk)
	if err != nil {
		return errors.Join(err, disk.Close())
	}
	s := stored{
		Name: c.name, ClientAddr: c.reached(c.clientAddr, clients), PeerAddr: c.reached(c.peerAddr, peers),
		MayForce: disk.Identity.FormerClusterID != 0 && !c.forceNewCluster,
	}
	if err := s.save(place.fsys); err != nil {
		return errors.Join(err, stopMachine(machine))
	}
	watching, enough := context.WithCancel(context.Background())
	defer enough()
	go tls.watch(watching)
	fronts.clients.Attach(machine)
	fronts.peers.Attach(machine)
	return serve(stopping, place, machine, fronts, clients.Addr(), log)
}

// openDisk opens the data directory, whose lock goes with it, empty if the command line says so.
func openDisk(c *config, p *place, lock io.Closer, log *slog.Logger) (*actors.Disk, error) {
	if c.startOver {
		if err := wipe(p.path, p.fsys, log); err != nil {
			return nil, err
		}
	}
	return actors.ReadDisk(p.fsys, lock, wal.Options{})
}

// insisting adds to an error how to start all the same, if that is possible.
func insisting(err error) error {
	if _, ok := errors.AsType[*vfs.UnsafeError](err); ok {
		return fmt.Errorf("%w. To use it as it is, and trust whoever can write there with all data and with this machine, add -trust-data-dir", err)
	}
	return err
}

// logFound says what was found in the data directory.
func logFound(log *slog.Logger, disk *actors.Disk) {
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
		log.Warn("what the other machines have on disk is not known: this one will not notice that one of them was restored from a backup, "+
			"until it has heard of them again", "error", disk.Forgotten)
	}
	sayRefounded(log, disk)
	log.Info("recovered", "index", disk.LastIndex(), "snapshot", found.Snapshot.GetIndex(),
		"entries", disk.LastIndex()-found.Snapshot.GetIndex(), "term", found.HardState.GetTerm())
}

func machineConfig(c *config, member store.Member, others known, host actors.Host, clock func() raftnode.Reading, log *slog.Logger) actors.Config {
	bytes := uint64(snapshotBytes)
	if !c.snapshot {
		bytes = 0
	}
	return actors.Config{
		Member:          member,
		HistoryLimit:    uint32(c.history),
		SetHistoryLimit: c.given["m"],
		Tick:            c.heartbeat,
		Host:            host,
		Seeds:           others.seeds,
		Hints:           others.hints,
		AuditEvery:      auditEvery,
		Clock:           clock,
		Nonce:           random(),
		Secret:          secret(),
		Log:             log,
		Raft: raftnode.Config{
			HeartbeatTicks:  1,
			ElectionTicks:   int(c.electionAfter / c.heartbeat),
			RequestTicks:    max(1, int(c.requestTimeout/c.heartbeat)),
			MaxMembers:      c.maxMembers,
			SnapshotEntries: c.snapshotCount,
			SnapshotBytes:   bytes,
			FirstProposalID: random(),
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

// secret returns what nobody can guess.
func secret() []byte {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return b
}

// random returns a random number other than 0 and those that Raft reserves.
func random() uint64 {
	var b [8]byte
	for {
		_, _ = rand.Read(b[:]) // never fails
		if n := binary.LittleEndian.Uint64(b[:]); n != 0 && n < 1<<63 {
			return n
		}
	}
}
