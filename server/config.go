package server

import (
	"cmp"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"etcd/credentials"
	"etcd/discovery"
	"etcd/grpcfront"
	"etcd/passwords"
	"etcd/store"
)

// Config is the configuration of a machine. Defaults has a value for every field that needs
// one. An address is a port, :port or host:port; a port of 0 is chosen by the kernel. Where to
// listen may be a URL as well, http://host:port or https://host:port, and unix://path for clients.
// Errors name a field by its flag, which is in parentheses here: that is what operators know.
type Config struct {
	// Name, ClientAddr and PeerAddr default to what the data directory remembers from the
	// start before; the name of a new machine defaults to its peer address.
	Name       string // (-n) of this machine in the cluster
	ClientAddr string // (-c) advertised to clients, DefaultClientAddr if nothing is remembered
	PeerAddr   string // (-s) advertised to other machines, DefaultPeerAddr if nothing is remembered

	Host         string   // (-h) of addresses without a host
	ClientListen []string // (-cl, --listen-client-urls) where to listen for clients, if not at ClientAddr
	PeerListen   []string // (-sl, --listen-peer-urls) where to listen for other machines, if not at PeerAddr
	ClientURLs   []string // (--advertise-client-urls) instead of ClientAddr; members know of the first

	MetricsListen []string // (--listen-metrics-urls) where to serve metrics and probes as well; empty: nowhere else than to clients
	Pprof         bool     // (--enable-pprof) serve profiles there, or to clients if there is no such listener

	DataDir         string // (-d) empty: made from the name
	TrustDataDir    bool   // (-trust-data-dir) use it even if others can write in it
	IgnoreStored    bool   // (-i) ignore the configuration that the data directory remembers
	StartOver       bool   // (-f) delete all data first
	ForceNewCluster bool   // (-force-new-cluster) refound: go on alone with the data of a cluster that lost its quorum

	// How a cluster is founded by several machines at once, or joined by one that was added to it
	// before. They count only while the data directory is new.
	InitialCluster      string   // (-initial-cluster) NAME=URL, comma separated; empty: as -C says
	InitialClusterToken string   // (-initial-cluster-token) tells clusters with the same addresses apart
	InitialPeerURLs     []string // (-initial-advertise-peer-urls) of this machine, instead of PeerAddr
	JoinExisting        bool     // (-initial-cluster-state existing) the cluster exists, and this machine was added to it
	Discovery           string   // (-discovery) the URL of a token of a discovery service that has the list
	DiscoveryProxy      string   // (-discovery-proxy) the HTTP proxy to it
	DiscoverySRV        string   // (-discovery-srv) the domain whose SRV records are the list
	DiscoverySRVName    string   // (-discovery-srv-name) the suffix of their service names

	Join        []string      // (-C) machines of the cluster to join, as ParseSeed returns them; none: found one
	JoinRetries int           // (-r) how many rounds of asking all of them
	MaxMembers  int           // (-maxsize) of the cluster, at most
	Heartbeat   time.Duration // (-heartbeat) interval of the leader's heartbeats, 10 ms to 10 s
	Election    time.Duration // (-election) timeout without a leader before an election, 5 to 100 heartbeats

	History         uint     // (-m) events kept for watchers
	SetHistory      bool     // whether History replaces the limit that a cluster has already
	SetMaxMembers   bool     // the same for MaxMembers
	Quota           int64    // (-quota) bytes that the keys may have
	SetQuota        bool     // whether Quota replaces the one that a cluster has already
	NoSnapshots     bool     // (-snapshot=false) keep the whole log
	SnapshotEntries uint64   // (-snapshot-count) entries after which a snapshot is due whatever their size; 0: by size alone
	SkipEntries     []uint64 // (-skip-entry) indexes of entries that are applied as no-ops

	LocalReads     bool          // (-reads) serve reads from local state unless a request says otherwise
	RequestTimeout time.Duration // (-request-timeout) how long a request waits for the cluster, 1 s to 10 min
	BcryptCost     int           // (--bcrypt-cost) of the hashes of passwords
	Slow           time.Duration // (-slow) after which a request is logged; 0: none is
	MaxBody        int           // (-max-body) longest request body in bytes
	MaxBodyMemory  int64         // (-max-body-memory) bytes for the bodies of all requests in flight
	MaxListing     int           // (-max-listing) keys in one listing
	MaxRequest     int           // longest request of v3 in bytes, 0 for the default: MaxBody, if that was given
	MaxTxnOps      int           // (--max-txn-ops) operations in a list of a v3 transaction
	MaxStreams     uint32        // (--max-concurrent-streams) v3 calls of a connection
	PingEvery      time.Duration // (--grpc-keepalive-min-time) how often a gRPC client may ping
	PingAfter      time.Duration // (--grpc-keepalive-interval) silence after which one is pinged
	PingTimeout    time.Duration // (--grpc-keepalive-timeout) how long its answer may take
	MaxAnswers     int64         // (-max-answer-memory) bytes that answers keep until their clients have read them
	MaxConnections int           // (-max-connections) client connections; 0: what open files allow
	MaxInFlight    int           // (-max-requests-in-flight) requests that wait for this machine at a time
	MaxWatchers    int           // (-max-watchers) watches of all clients
	MaxPerAddress  int           // (-max-connections-per-address) of them from one address; 0: all but an eighth
	HeaderTimeout  time.Duration // (-header-timeout) until the first 16 KiB of a request have arrived, or what there is of them
	BodyTimeout    time.Duration // (-body-timeout) until the rest has, beyond a second for each 16 KiB
	IdleTimeout    time.Duration // (-idle-timeout) between two requests of a connection
	CORS           []string      // (-cors) origins whose pages may use the API, or *
	HostWhitelist  []string      // (-host-whitelist) further names by which clients may call this machine, or *

	ClientTLS       credentials.Files // (-clientCert and so on) for the client port
	PeerTLS         credentials.Files // (-serverCert and so on) for the peer port, both ways
	AutoTLS         bool              // (--auto-tls) make the certificate for clients in the data directory
	PeerAutoTLS     bool              // (--peer-auto-tls) the same for other machines, which do not verify it
	SelfSignedYears uint              // (--self-signed-cert-validity) of certificates that are made, in years; 0: one
	CipherSuites    []string          // (--cipher-suites) of TLS 1.2, by the names of crypto/tls; empty: those with forward secrecy
	TLSMinVersion   string            // (--tls-min-version) TLS1.2 or TLS1.3; empty: TLS1.2
	TLSMaxVersion   string            // (--tls-max-version) the same; empty: the newest
	AllowedCN       []string          // (-serverAllowedCN) common names, one of which a machine's certificate must have
	AllowedHostname []string          // (-serverAllowedHostname) host names, one of which a machine's certificate must have

	// What the process provides to the machine.
	Resolver     discovery.Resolver // of SRV records
	Log          *slog.Logger
	LogLevel     *slog.LevelVar // of Log, which can be changed at the metrics listener
	LostLogLines func() uint64  // log lines that could not be written since the start
	Exit         func(code int) // ends the process; does not return
	Ready        func()         // is told once, when the machine serves clients

	spare string // nobody says where to listen for clients, so it is here as well, if that is possible
}

// The addresses of a machine unless the configuration or the data directory has others.
const (
	DefaultClientAddr = "4001"
	DefaultPeerAddr   = "7001"

	defaultHost      = "127.0.0.1"
	todaysClientPort = "2379" // of later versions of etcd
)

// Bounds of the configuration. A limit of 0 connections stands for "as many as open files allow".
const (
	minHeartbeat      = 10 * time.Millisecond
	maxHeartbeat      = 10 * time.Second
	maxMembersLimit   = store.MaxMembers
	maxHistory        = store.MaxHistory
	maxBodyLimit      = store.MaxValue
	maxTxnOps         = 4096 // a nested transaction takes two levels of the 10,000 that the protobuf library decodes
	maxRequestTimeout = 10 * time.Minute
	minRequestTimeout = time.Second
	minClientTimeout  = time.Second
	maxClientTimeout  = 24 * time.Hour
	reservedFiles     = 256 // open files that are not client connections, at least
)

// The open files that connections with other machines need. A member has two streams and
// sometimes a snapshot in each direction, and may open one before the one that it supersedes
// has ended.
const (
	peerConnections      = 32 // at the peer port: joins and requests
	pendingPerMember     = 2  // all of them may dial at once
	connectionsPerMember = 4  // at that port
	filesPerMember       = 10 // in both directions, with a share of peerConnections
)

// grpc returns the configuration of the v3 API.
func (c *Config) grpc() grpcfront.Config {
	return grpcfront.Config{
		RequestTimeout: c.RequestTimeout, MaxInFlight: c.MaxInFlight, HeaderTimeout: c.HeaderTimeout,
		MaxAnswerMemory: c.MaxAnswers, MaxRequest: cmp.Or(c.MaxRequest, grpcfront.DefaultMaxRequest), MaxTxnOps: c.MaxTxnOps,
		// 0 is no limit, and otherwise what it is if nothing is set.
		MaxStreams: cmp.Or(c.MaxStreams, grpcfront.DefaultMaxStreams), PingEvery: max(c.PingEvery, 1),
		PingAfter: cmp.Or(c.PingAfter, grpcfront.DefaultPingAfter), PingTimeout: cmp.Or(c.PingTimeout, grpcfront.DefaultPingTimeout),
		Log: c.Log,
	}
}

// Defaults returns the configuration of a cluster of one machine on this host.
func Defaults() Config {
	return Config{
		Host:           defaultHost,
		JoinRetries:    10,
		MaxMembers:     9,
		Heartbeat:      100 * time.Millisecond,
		Election:       time.Second,
		History:        100_000,
		Quota:          store.DefaultQuota,
		RequestTimeout: 5 * time.Second,
		BcryptCost:     passwords.DefaultCost,
		Slow:           200 * time.Millisecond,
		MaxBody:        10 << 20,
		MaxBodyMemory:  256 << 20,
		MaxInFlight:    4096,
		MaxWatchers:    1_000_000,
		MaxListing:     1_000_000,
		MaxTxnOps:      grpcfront.DefaultMaxTxnOps,
		MaxStreams:     grpcfront.DefaultMaxStreams,
		PingEvery:      grpcfront.DefaultPingEvery,
		PingAfter:      grpcfront.DefaultPingAfter,
		PingTimeout:    grpcfront.DefaultPingTimeout,
		MaxAnswers:     256 << 20,
		HeaderTimeout:  time.Minute,
		BodyTimeout:    time.Minute,
		IdleTimeout:    10 * time.Minute,
		ClientTLS:      credentials.Files{Flags: "-client"},
		PeerTLS:        credentials.Files{Flags: "-server"},
		Resolver:       net.DefaultResolver,
		Log:            slog.Default(),
		LogLevel:       &slog.LevelVar{},
		LostLogLines:   func() uint64 { return 0 },
		Exit:           os.Exit,
		Ready:          func() {},
	}
}

// withDefaults returns the configuration with the remembered values and the defaults for what
// was not given.
func (c *Config) withDefaults(s stored) *Config {
	with := *c
	if s.Founders != "" && c.InitialCluster == "" && c.Discovery == "" && c.DiscoverySRV == "" && !c.JoinExisting { // it has begun to found a cluster with them
		with.InitialCluster, with.InitialClusterToken = s.Founders, s.Token
	}
	if with.Name = cmp.Or(c.Name, s.Name); with.Name == "" && with.givesFounders() {
		with.Name = defaultName
	}
	with.ClientAddr = cmp.Or(c.ClientAddr, s.ClientAddr, DefaultClientAddr)
	with.PeerAddr = cmp.Or(c.PeerAddr, s.PeerAddr, DefaultPeerAddr)
	if len(c.ClientURLs) > 0 {
		with.ClientAddr, with.ClientListen = addressOf(c.ClientURLs, c.ClientListen)
	}
	if initial := with.initialURLs(with.Name); len(initial) > 0 && c.PeerAddr == "" && (s.PeerAddr == "" || s.Founders != "") { // this machine has never run
		with.PeerAddr, with.PeerListen = addressOf(initial, c.PeerListen)
	}
	standard := net.JoinHostPort(defaultHost, DefaultClientAddr)
	if c.ClientAddr == "" && len(with.ClientListen) == 0 && c.Host == defaultHost && (s.ClientAddr == "" || s.ClientAddr == standard) {
		with.spare = net.JoinHostPort(defaultHost, todaysClientPort)
	}
	return &with
}

// addressOf returns the address of the first URL, which is valid, and where to listen for those who
// are told it.
func addressOf(urls, listen []string) (addr string, at []string) {
	_, addr, err := splitURL(urls[0])
	if err != nil {
		panic(err)
	}
	if len(listen) == 0 {
		listen = urls[:1]
	}
	return addr, listen
}

// directory returns the path of the data directory, which may depend on the name.
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

// advertised returns an address in the form that others are told. The configuration is valid.
func (c *Config) advertised(addr string) string {
	full, err := hostPort(addr, c.Host)
	if err != nil {
		panic(err)
	}
	return full
}
