package server

import (
	"fmt"

	"etcd/httpfront"
)

const (
	mostConnections = 1 << 20 // whatever the limit of open files allows
	// fewConnections is how many a machine should be able to serve: the clients of a
	// small cluster, each with a few watches.
	fewConnections = 500
	// maxPeerBody bounds what one machine may ask of another over HTTP, in bytes.
	// Entries and snapshots go over streams.
	maxPeerBody = 64 << 10
)

// connectionLimit leaves some of the open files to the machine itself: without them
// it could neither go on with its log nor reach the others.
func (c *Config) connectionLimit(files uint64) int {
	most := mostConnections
	if files <= uint64(most) {
		most = max(1, int(files)-c.ownFiles())
	}
	if c.MaxConnections > 0 {
		return min(c.MaxConnections, most)
	}
	return most
}

// ownFiles is how many open files are kept for what is not a client.
func (c *Config) ownFiles() int { return max(reservedFiles, filesPerMember*c.MaxMembers) }

// fewFiles says that the limit of open files is too low for what was asked for, or for
// a machine that serves; "" if it is not.
func (c *Config) fewFiles(files uint64) string {
	limit := c.connectionLimit(files)
	want := min(c.MaxConnections, mostConnections)
	if c.MaxConnections == 0 {
		want = fewConnections
	}
	if limit >= want {
		return ""
	}
	asked := ""
	if c.MaxConnections > 0 {
		asked = fmt.Sprintf(", not the %d of -max-connections", c.MaxConnections)
	}
	return fmt.Sprintf("the limit of open files is low: %d leave room for %d client connections%s; raise it to %d or more (ulimit -n, LimitNOFILE of systemd)",
		files, limit, asked, want+c.ownFiles())
}

// forPeers bounds the connections at the port for the other machines by what they
// need, so that they and all clients together stay within the open files, and what
// comes over them.
func (c *Config) forPeers(cfg httpfront.Config) httpfront.Config {
	cfg.Machines = true
	cfg.MaxNewcomers = peerConnections + newcomersPerMember*c.MaxMembers
	cfg.MaxConnections = cfg.MaxNewcomers + connectionsPerMember*c.MaxMembers
	cfg.MaxBody = maxPeerBody
	return cfg
}
