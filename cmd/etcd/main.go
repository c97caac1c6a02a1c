package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"etcd/actors"
	"etcd/httpfront"
	"etcd/raftnode"
	"etcd/store"
	"etcd/wal"
)

// programVersion is what -version and /version say.
const programVersion = "v1.0.0"

// Raft's time: a heartbeat every tick, an election after ten without one.
const (
	tick           = 100 * time.Millisecond
	heartbeatTicks = 1
	electionTicks  = 10
)

// Snapshots are due after so many bytes of commands, even if there were few
// entries; so many entries stay in memory behind one.
const (
	snapshotBytes  = 64 << 20
	catchUpEntries = 5000
)

// stopTime bounds an orderly stop. What has not been answered by then is cut off.
const stopTime = 4 * time.Second

func main() {
	c, err := parseConfig(os.Args[1:], environment, os.Stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case errors.As(err, new(errUsage)):
		fmt.Fprintf(os.Stderr, "etcd: %v (see etcd -help)\n", err)
		os.Exit(2)
	case err == nil && c.version:
		fmt.Println("etcd " + programVersion)
		return
	}
	if err == nil {
		err = run(c)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "etcd: %v\n", err)
		os.Exit(1)
	}
}

// run runs a machine until it is told to stop.
func run(c *config) error {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	log := newLog(c)

	dir := c.directory()
	if err := c.complete(dir); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.clientListenAddr())
	if err != nil {
		return fmt.Errorf("clients: %w", err)
	}
	defer listener.Close()
	member := store.Member{
		Name:      c.machineName(),
		PeerURL:   "http://" + c.advertised(c.peerAddr),
		ClientURL: "http://" + c.clientAdvertised(listener),
	}
	disk, err := openDisk(c, dir, log)
	if err != nil {
		return fmt.Errorf("data directory %s: %w", dir, err)
	}
	log.Info("etcd is starting", "version", programVersion, "name", member.Name, "data", dir,
		"clients", member.ClientURL, "peers", member.PeerURL)
	logFound(log, disk)
	clock := newClock()
	machine, err := actors.Start(machineConfig(c, member, clock, log), disk)
	if err != nil {
		return errors.Join(err, disk.Close())
	}
	s := stored{Name: c.name, ClientAddr: c.clientAdvertised(listener), PeerAddr: c.advertised(c.peerAddr)}
	if err := s.save(dir); err != nil {
		return errors.Join(err, machine.Stop())
	}
	select {
	case <-machine.Ready:
	case sig := <-signals:
		log.Info("stopped before the cluster was found", "signal", sig.String())
		return machine.Stop()
	}
	front := httpfront.New(httpfront.Config{
		Version:        programVersion,
		LocalReads:     c.reads == "local",
		CORS:           c.origins(),
		MaxConnections: c.connectionLimit(),
		MaxBody:        c.maxBody,
		Clock:          clock,
		Log:            log,
	}, machine)
	served := make(chan error, 1)
	go func() { served <- front.Serve(listener) }()
	log.Info("serving clients", "addr", listener.Addr().String())

	select {
	case sig := <-signals:
		log.Info("stopping: requests under way are answered first", "signal", sig.String())
		go func() {
			log.Warn("stopped at once by a second signal", "signal", (<-signals).String())
			os.Exit(1)
		}()
	case err := <-served:
		return errors.Join(fmt.Errorf("clients: %w", err), machine.Stop())
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	if err := front.Shutdown(ctx); err != nil {
		log.Warn("some clients were cut off", "error", err)
	}
	if err := machine.Stop(); err != nil {
		return err
	}
	log.Info("stopped")
	return nil
}

func newLog(c *config) *slog.Logger {
	opts := &slog.HandlerOptions{Level: slog.LevelInfo}
	if c.verbose || c.veryVerbose {
		opts.Level = slog.LevelDebug
		opts.AddSource = c.veryVerbose
	}
	return slog.New(slog.NewTextHandler(os.Stderr, opts))
}

// openDisk opens the data directory, empty if the command line says so.
func openDisk(c *config, dir string, log *slog.Logger) (*actors.Disk, error) {
	fsys, err := wal.DirFS(dir)
	if err != nil {
		return nil, err
	}
	if c.startOver {
		removed, err := wal.Wipe(fsys)
		if err != nil {
			return nil, err
		}
		log.Warn("starting over: the data in the data directory was deleted, as -f says", "data", dir, "files", removed)
	}
	return actors.OpenDisk(fsys, wal.Identity{ClusterID: random(), MemberID: random()}, wal.Options{})
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
	log.Info("recovered", "index", disk.LastIndex(), "snapshot", found.Snapshot.GetIndex(),
		"entries", len(found.Entries), "term", found.HardState.GetTerm())
}

func machineConfig(c *config, member store.Member, clock func() store.Time, log *slog.Logger) actors.Config {
	snapshotEntries := c.snapshotCount
	if !c.snapshot {
		snapshotEntries = 0
	}
	return actors.Config{
		Member:          member,
		HistoryLimit:    uint32(c.history),
		SetHistoryLimit: c.given["m"],
		Tick:            tick,
		Clock:           clock,
		Log:             log,
		Raft: raftnode.Config{
			HeartbeatTicks:  heartbeatTicks,
			ElectionTicks:   electionTicks,
			RequestTicks:    int(c.requestTimeout / tick),
			SnapshotEntries: snapshotEntries,
			SnapshotBytes:   snapshotBytes,
			CatchUpEntries:  catchUpEntries,
			FirstProposalID: random(),
			Log:             log,
		},
	}
}

// newClock takes the wall time once and goes on by the monotonic clock, so that a
// jump of the wall clock expires nothing early.
func newClock() func() store.Time {
	start := time.Now()
	wall := store.TimeOf(start)
	return func() store.Time { return wall.Add(time.Since(start)) }
}

// clientAdvertised is the client address as others are told it. A port of 0 was
// chosen by the kernel.
func (c *config) clientAdvertised(l net.Listener) string {
	host, port, err := net.SplitHostPort(c.advertised(c.clientAddr))
	if err == nil && port == "0" {
		if tcp, ok := l.Addr().(*net.TCPAddr); ok {
			return net.JoinHostPort(host, fmt.Sprint(tcp.Port))
		}
	}
	return c.advertised(c.clientAddr)
}

// connectionLimit leaves some of the open files to the machine itself.
func (c *config) connectionLimit() int {
	if c.maxConnections > 0 {
		return c.maxConnections
	}
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil || files.Cur > 1<<20 {
		return 1 << 20
	}
	return max(1, int(files.Cur)-reservedFiles)
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
