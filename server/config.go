package server

import (
	"cmp"
	"log/slog"
	"os"
	"strings"
	"time"

	"etcd/credentials"
	"etcd/store"
)

// Config is what a machine is to be and how it runs. Defaults has a value for everything
// that needs one. An address is a port, :port or host:port; a port of 0 is chosen by the
// kernel. What is wrong with a field is told under the name of its flag, which is in
// parentheses here: that is what operators know.
type Config struct {
	// Name, ClientAddr and PeerAddr are, if they are empty, what the data directory
	// remembers from the start before; a new machine is called as its peer address then.
	Name       string // (-n) how the cluster calls this machine
	ClientAddr string // (-c) where clients are told to go, DefaultClientAddr if nothing is remembered
	PeerAddr   string // (-s) where other machines are told to go, DefaultPeerAddr if nothing is remembered

	Host         string // (-h) host of addresses that have none
	ClientListen string // (-cl) where to listen for clients, if not at ClientAddr
	PeerListen   string // (-sl) where to listen for other machines, if not at PeerAddr

	DataDir         string // (-d) empty: made from the name
	TrustDataDir    bool   // (-trust-data-dir) use it even if others can write in it
	IgnoreStored    bool   // (-i) do not go by what the data directory remembers
	StartOver       bool   // (-f) delete all data first
	ForceNewCluster bool   // (-force-new-cluster) go on alone with the data of a cluster whose majority is lost

	Join        []string      // (-C) machines of the cluster to join, as ParseSeed returns them; none: found one
	JoinRetries int           // (-r) how many times all of them are asked
	MaxMembers  int           // (-maxsize) most machines of the cluster
	Heartbeat   time.Duration // (-heartbeat) between heartbeats of the leader, 10 ms to 10 s
	Election    time.Duration // (-election) silence after which another leader is elected, 5 to 100 heartbeats

	History         uint     // (-m) events that are kept for watchers
	SetHistory      bool     // whether that holds for a cluster that has another limit already
	SetMaxMembers   bool     // the same of MaxMembers
	NoSnapshots     bool     // (-snapshot=false) keep the whole log
	SnapshotEntries uint64   // (-snapshot-count) entries after which a snapshot is due however small they are; 0: it is due by size alone
	SkipEntries     []uint64 // (-skip-entry) indexes of entries that are to do nothing

	LocalReads     bool          // (-reads) serve reads from local state unless they say otherwise
	RequestTimeout time.Duration // (-request-timeout) how long a request waits for the cluster, 1 s to 10 min
	MaxBody        int           // (-max-body) longest request body in bytes
	MaxBodyMemory  int64         // (-max-body-memory) bytes for all bodies under way
	MaxConnections int           // (-max-connections) client connections; 0: what open files allow
	CORS           []string      // (-cors) origins whose pages may use the API, or *
	HostWhitelist  []string      // (-host-whitelist) further names by which clients may call this machine, or *

	ClientTLS       credentials.Files // (-clientCert and so on) for the port for clients
	PeerTLS         credentials.Files // (-serverCert and so on) for the port for other machines, both ways
	AutoTLS         bool              // (-auto-tls) make the certificate for clients in the data directory
	AllowedCN       []string          // (-serverAllowedCN) common names, one of which a machine has to show
	AllowedHostname []string          // (-serverAllowedHostname) host names, one of which a machine has to show

	// What the process lends to the machine.
	Log          *slog.Logger
	LostLogLines func() uint64  // log lines that could not be written since the start
	Exit         func(code int) // ends the process; does not return
}

// What a machine is told to be at when nobody says otherwise.
const (
	DefaultClientAddr = "4001"
	DefaultPeerAddr   = "7001"
)

// Bounds of the configuration. A limit of 0 connections stands for "as many as open files allow".
const (
	minHeartbeat    = 10 * time.Millisecond
	maxHeartbeat    = 10 * time.Second
	maxMembersLimit = 99
	maxHistory      = store.MaxHistory
	maxBodyLimit    = store.MaxValue
	maxRequestTime  = 10 * time.Minute
	minRequestTime  = time.Second
	reservedFiles   = 256 // open files that are not client connections, at least
)

// What the other machines need of the open files. A member has two streams and now and
// then a snapshot in each direction, and may open one before the one it replaces has
// ended.
const (
	peerConnections      = 32 // at the port for machines: who joins or asks
	newcomersPerMember   = 2  // all of them may dial at once
	connectionsPerMember = 4  // at that port
	filesPerMember       = 10 // in both directions, with a share of peerConnections
)

// Defaults is the configuration of a machine of its own on this host.
func Defaults() Config {
	return Config{
		Host:           "127.0.0.1",
		JoinRetries:    10,
		MaxMembers:     9,
		Heartbeat:      100 * time.Millisecond,
		Election:       time.Second,
		History:        100_000,
		RequestTimeout: 5 * time.Second,
		MaxBody:        10 << 20,
		MaxBodyMemory:  256 << 20,
		ClientTLS:      credentials.Files{Flags: "-client"},
		PeerTLS:        credentials.Files{Flags: "-server"},
		Log:            slog.Default(),
		LostLogLines:   func() uint64 { return 0 },
		Exit:           os.Exit,
	}
}

// completed is the configuration with what is remembered, and defaults, where nothing else
// was said.
func (c *Config) completed(s stored) *Config {
	with := *c
	with.Name = cmp.Or(c.Name, s.Name)
	with.ClientAddr = cmp.Or(c.ClientAddr, s.ClientAddr, DefaultClientAddr)
	with.PeerAddr = cmp.Or(c.PeerAddr, s.PeerAddr, DefaultPeerAddr)
	return &with
}

// directory is the data directory, which may depend on the name.
func (c *Config) directory() string {
	if c.DataDir != "" {
		return c.DataDir
	}
	return strings.NewReplacer(":", "_", "/", "_").Replace(c.machineName()) + ".etcd"
}

func (c *Config) machineName() string {
	if c.Name != "" {
		return c.Name
	}
	return c.advertised(c.PeerAddr)
}

// advertised is an address as others are told it. The configuration is valid.
func (c *Config) advertised(addr string) string {
	full, err := hostPort(addr, c.Host)
	if err != nil {
		panic(err)
	}
	return full
}

// listenAddr is where to listen for those who are told addr.
func (c *Config) listenAddr(listen, addr string) string {
	if listen != "" {
		return c.advertised(listen)
	}
	return c.advertised(addr)
}
