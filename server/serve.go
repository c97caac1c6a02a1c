package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"etcd/actors"
	"etcd/grpcfront"
	"etcd/httpfront"
	"etcd/httpfront/ops"
	"etcd/httpfront/v1"
	"etcd/httpfront/v2"
	"etcd/passwords"
	"etcd/peerfront"
	"etcd/raftnode"
	"etcd/store"
	"etcd/store/logtime"
)

// fronts are the servers at the ports. They serve from the start of the process,
// and are given the machine once it runs.
type fronts struct {
	clients, peers *httpfront.Server
	grpc           *grpcfront.Server // of the client port, which hands it connections and shuts it down
	metrics        *httpfront.Server // nil without --listen-metrics-urls
	registry       *prometheus.Registry
	failed         chan error // a server has ended
}

func startFronts(c *Config, member store.Member, ports ports, tls security, founding *peerfront.Founding, clock func() raftnode.Reading) *fronts {
	connections := c.connectionLimit(openFiles())
	cfg := httpfront.Config{
		URL:             member.ClientURL,
		Hosts:           append(c.allowedHosts(ports.clients), c.furtherHosts()...),
		CheckHost:       len(c.HostWhitelist) > 0,
		CORS:            c.CORS,
		MaxConnections:  connections,
		MaxPerAddress:   c.addressLimit(connections),
		HeaderTimeout:   c.HeaderTimeout,
		BodyTimeout:     c.BodyTimeout,
		IdleTimeout:     c.IdleTimeout,
		MaxInFlight:     c.MaxInFlight,
		MaxWatchers:     c.MaxWatchers,
		MaxBody:         c.MaxBody,
		MaxBodyMemory:   c.MaxBodyMemory,
		MaxAnswerMemory: c.MaxAnswers,
		MaxListing:      c.MaxListing,
		RequestTimeout:  c.RequestTimeout,
		Slow:            c.Slow,
		Passwords:       passwords.New(c.BcryptCost),
		TLS:             ports.clients.tls(tls.clients.ServerWithHTTP2),
		Log:             c.Log,
	}
	f := &fronts{
		grpc:     grpcfront.New(c.grpc()),
		registry: c.newRegistry(tls), failed: make(chan error, 3),
	}
	monotone := func() logtime.Time { return logtime.Time(clock().Mono) }
	release := ops.Release{Version: Version, API: APILevel}
	operating := ops.Config{
		Release: release, Clock: monotone, LostLogLines: c.LostLogLines,
		Metrics: f.registry, Log: c.Log, LogLevel: c.LogLevel, Pprof: c.Pprof,
	}
	routes := slices.Concat(
		v1.Routes(v1.Config{LocalReads: c.LocalReads}),
		v2.Routes(v2.Config{LocalReads: c.LocalReads, NewID: randomID, Clock: monotone, Log: c.Log}),
		ops.Routes(operating), peerfront.Misdirected(),
	)
	if c.Pprof && len(ports.metrics) == 0 {
		routes = append(routes, ops.Profiles()...)
		c.Log.Warn("every client can read profiles of this process, and slow it down with them, at /debug/pprof/ of the client port; with --listen-metrics-urls they are served there instead")
	}
	clients := cfg
	clients.HTTP2 = f.grpc
	f.clients = httpfront.New(clients, routes)
	peers := cfg
	peers.TLS = ports.peers.tls(tls.peers.Server)
	peers.URL, peers.Hosts, peers.CheckHost = member.PeerURL, c.allowedHosts(ports.peers), false
	f.peers = httpfront.New(c.peerConfig(peers), slices.Concat(
		peerfront.Routes(peerfront.Config{Certified: tls.certified(), Founding: founding}, ops.Cluster()), ops.Version(release),
	))
	all := httpfront.Collector{f.clients, f.peers}
	if len(ports.metrics) > 0 {
		f.metrics = httpfront.New(c.metricsConfig(cfg, ports.metrics, tls), ops.Admin(operating))
		all = append(all, f.metrics)
		go func() { f.failed <- f.metrics.Serve(ports.metrics.served()...) }()
	}
	f.registry.MustRegister(all, f.grpc)
	ports.log(c)
	go func() { f.failed <- f.clients.Serve(ports.clients.served()...) }()
	go func() { f.failed <- f.peers.Serve(ports.peers.served()...) }()
	return f
}

// served returns the listeners as the servers take them.
func (all listeners) served() []httpfront.Listener {
	served := make([]httpfront.Listener, len(all))
	for i, l := range all {
		served[i] = httpfront.Listener{Listener: l.Listener, Plain: l.scheme != "https", CheckHost: onLoopback(l)}
	}
	return served
}

// attach gives all servers the machine.
func (f *fronts) attach(machine *actors.Machine) {
	f.registry.MustRegister(machine)
	f.clients.Attach(machine)
	f.grpc.Attach(machine)
	f.peers.Attach(machine)
	if f.metrics != nil {
		f.metrics.Attach(machine)
	}
}

func (f *fronts) stopClients(ctx context.Context, log *slog.Logger) {
	if err := f.clients.Shutdown(ctx); err != nil {
		log.Warn("some client connections were cut off", "error", err)
	}
}

// stopPeers stops what is not for clients: they are gone by then.
func (f *fronts) stopPeers(ctx context.Context, log *slog.Logger) {
	if err := f.peers.Shutdown(ctx); err != nil {
		log.Warn("some peer connections were cut off", "error", err)
	}
	if f.metrics == nil {
		return
	}
	if err := f.metrics.Shutdown(ctx); err != nil {
		log.Warn("some connections to the metrics listener were cut off", "error", err)
	}
}

// stop stops all servers while there is no machine yet.
func (f *fronts) stop(log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	f.stopClients(ctx, log)
	f.stopPeers(ctx, log)
}

// serve runs the machine of a data directory until stopping ends, or until it no longer
// belongs to its cluster. tell is told when it serves clients.
func serve(stopping context.Context, p *dataDir, machine *actors.Machine, f *fronts, addr net.Addr, tell func(), log *slog.Logger) error {
	ready := machine.Ready
	for {
		select {
		case <-ready:
			ready = nil
			if err := forgetFounders(p); err != nil {
				return errors.Join(err, stopServing(machine, f, log))
			}
			log.Info("ready to serve client requests", "addr", addr.String())
			tell()
		case <-stopping.Done():
			return stopServing(machine, f, log)
		case gone := <-machine.Gone:
			return stopDeparted(gone, machine, p, f, log)
		case err := <-f.failed:
			return errors.Join(fmt.Errorf("serving: %w", err), stopMachine(machine))
		}
	}
}

// stopDeparted stops a machine that must not go on. That is a failure unless it was intended:
// unless the machine was removed while it served.
func stopDeparted(gone actors.Departure, machine *actors.Machine, p *dataDir, f *fronts, log *slog.Logger) error {
	wasReady := machine.IsReady()
	err := stopServing(machine, f, log)
	if gone.Removed || gone.Lost {
		err = errors.Join(err, markUseless(p.fsys))
	}
	switch {
	case !gone.Removed:
		return errors.Join(errors.New(gone.Reason), err)
	case !wasReady:
		return errors.Join(fmt.Errorf("%s; to use it again, wipe its data directory (-f) and let it join again (-C)", gone.Reason), err)
	}
	log.Warn("stopped: " + gone.Reason)
	return err
}

// stopServing stops in the order that clients notice least: leadership is transferred
// first, then the requests in flight are drained.
func stopServing(machine *actors.Machine, f *fronts, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	handOver, done := context.WithTimeout(ctx, transferTimeout)
	machine.HandOver(handOver)
	done()
	f.stopClients(ctx, log)
	machine.Disconnect()
	f.stopPeers(ctx, log)
	if err := stopMachine(machine); err != nil {
		return err
	}
	log.Info("stopped")
	return nil
}

// stopMachine stops the actors. That is bounded as well: with a disk that hangs they would
// never stop.
func stopMachine(machine *actors.Machine) error {
	ctx, cancel := context.WithTimeout(context.Background(), actorStopTimeout)
	defer cancel()
	if err := machine.Stop(ctx); err != nil {
		return fmt.Errorf("stopping: %w", err)
	}
	return nil
}
