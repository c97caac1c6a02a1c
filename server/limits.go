package server

import (
	"fmt"

	"etcd/httpfront"
)

const (
	maxConnections = 1 << 20 // whatever the limit of open files allows
	// wantedConnections is how many client connections a machine should at least be able to
	// serve: those of a small cluster, each client with a few watches.
	wantedConnections = 500
	// maxPeerBody bounds the body of a request from another machine over HTTP, in bytes.
	// Entries and snapshots go over streams.
	maxPeerBody = 64 << 10
)

// connectionLimit reserves some of the open files for the machine itself: without them
// it could neither write its log nor reach its peers.
func (c *Config) connectionLimit(files uint64) int {
	most := maxConnections
	if files <= uint64(most) {
		most = max(1, int(files)-c.reservedOpenFiles())
	}
	if c.MaxConnections > 0 {
		return min(c.MaxConnections, most)
	}
	return most
}

// addressLimit bounds the connections of one address: of so many in all, by default it leaves some to
// others, and nearly all to a proxy that everybody comes through.
func (c *Config) addressLimit(connections int) int {
	if c.MaxPerAddress > 0 {
		return c.MaxPerAddress
	}
	return connections - connections/8
}

// reservedOpenFiles returns how many open files are reserved for what is not a client connection.
func (c *Config) reservedOpenFiles() int { return max(reservedFiles, filesPerMember*c.MaxMembers) }

// fileLimitWarning describes a limit of open files that is too low for the configured connections,
// or for wantedConnections if none are configured; "" if it is not.
func (c *Config) fileLimitWarning(files uint64) string {
	limit := c.connectionLimit(files)
	want := min(c.MaxConnections, maxConnections)
	if c.MaxConnections == 0 {
		want = wantedConnections
	}
	if limit >= want {
		return ""
	}
	asked := ""
	if c.MaxConnections > 0 {
		asked = fmt.Sprintf(", not the %d of -max-connections", c.MaxConnections)
	}
	return fmt.Sprintf("the limit of open files is low: %d leave room for %d client connections%s; raise it to %d or more (ulimit -n, LimitNOFILE of systemd)",
		files, limit, asked, want+c.reservedOpenFiles())
}

// peerConfig bounds the connections at the peer port by what these need, so
// that they and all clients together stay within the open files, and the size of their
// requests.
func (c *Config) peerConfig(cfg httpfront.Config) httpfront.Config {
	cfg.Peer, cfg.Slow = true, 0
	cfg.MaxInFlight = 0 // the connections bound them, and no client may hold up machines
	cfg.MaxPending = peerConnections + pendingPerMember*c.MaxMembers
	cfg.MaxConnections = cfg.MaxPending + connectionsPerMember*c.MaxMembers
	cfg.MaxBody, cfg.MaxPerAddress = maxPeerBody, 0
	return cfg
}

// maxMetricsConnections bounds the connections to the metrics listener.
const maxMetricsConnections = 32

// metricsConfig returns the configuration of the metrics listeners, which are for no web page. With TLS
// they have that of clients.
func (c *Config) metricsConfig(cfg httpfront.Config, at listeners, tls security) httpfront.Config {
	cfg.Port, cfg.Trusted, cfg.TLS, cfg.CORS, cfg.Slow = "metrics", true, at.tls(tls.clients.Server), nil, 0
	cfg.URL, cfg.Hosts = at[0].site.String(), c.allowedHosts(at)
	cfg.MaxConnections, cfg.MaxPerAddress, cfg.MaxInFlight, cfg.MaxBody = maxMetricsConnections, 0, 0, maxPeerBody
	return cfg
}
