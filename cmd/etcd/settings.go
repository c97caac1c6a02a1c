package main

import (
	"etcd/passwords"
	"etcd/server"
)

// groupTitles are the headings of the help text, in its order.
var groupTitles = map[group]string{
	groupMachine:   "This machine",
	groupAddresses: "Addresses (a port, :port, host:port, or for listening a URL as well)",
	groupBootstrap: "Founding a cluster of several machines at once (only while the data directory is new)",
	groupCluster:   "Cluster",
	groupTLS:       "TLS (files in PEM; they are read again when they change)",
	groupData:      "Data",
	groupRequests:  "Requests",
	groupWatching:  "Watching it",
	groupLogs:      "Logs and help",
}

// table returns all settings, in the order of the help text.
func (c *config) table() []*setting {
	var all []*setting
	for _, part := range [][]*setting{
		c.machineSettings(), c.addressSettings(), c.clusterSettings(), c.tlsSettings(), c.dataSettings(), c.requestSettings(), c.logSettings(),
		mootSettings(), refusedSettings(),
	} {
		all = append(all, part...)
	}
	return all
}

// names is a short way to write a list of them.
type names = []string

func (c *config) machineSettings() []*setting {
	m := &c.machine
	return []*setting{
		{today: names{"name"}, ours: names{"n"}, group: groupMachine, value: text{&m.Name}, usage: "`name` of this machine (default host:peerport)"},
		{today: names{"data-dir"}, ours: names{"d"}, group: groupMachine, value: text{&m.DataDir}, usage: "data `directory` (default ./<name>.etcd)"},
		{ours: names{"trust-data-dir"}, group: groupMachine, value: boolean{&m.TrustDataDir}, usage: "use the data directory although others can write in it, or own it: they are trusted with all data and with this machine"},
		{ours: names{"i"}, group: groupMachine, value: boolean{&m.IgnoreStored}, usage: "ignore the name and addresses stored in the data directory"},
		{ours: names{"f"}, group: groupMachine, value: boolean{&m.StartOver}, usage: "start over: DELETES all data in the data directory"},
		{today: names{"force-new-cluster"}, group: groupMachine, value: boolean{&m.ForceNewCluster}, usage: "a majority is lost for good: make this member, with its data, the only one of a new cluster; see docs/operations.md"},
		{today: names{"config-file"}, group: groupMachine, value: text{&c.file}, usage: "take all settings from this `file` (YAML or JSON, names of flags as keys), and none from the command line or the environment"},
	}
}

func (c *config) addressSettings() []*setting {
	m := &c.machine
	return []*setting{
		{ours: names{"c"}, group: groupAddresses, value: text{&c.clientAddr}, usage: "client `address`"},
		{ours: names{"s"}, group: groupAddresses, value: text{&c.peerAddr}, usage: "`address` for the other machines. Keep it on a trusted network, or use --peer-trusted-ca-file: see docs/security.md"},
		{ours: names{"h"}, group: groupAddresses, value: text{&m.Host}, usage: "`host` that bare ports bind and advertise; 0.0.0.0 for all interfaces"},
		{today: names{"listen-client-urls"}, ours: names{"cl"}, group: groupAddresses, value: list{&c.clientListen}, usage: "listen `addresses` for clients, comma separated, if they differ from -c"},
		{today: names{"listen-client-http-urls"}, group: groupAddresses, value: list{&c.clientListenHTTP}, usage: "more listen `addresses` for clients, comma separated"},
		{today: names{"advertise-client-urls"}, group: groupAddresses, value: list{&m.ClientURLs}, standsFor: "c", usage: "`URLs` at which clients reach this machine, comma separated, instead of -c"},
		{today: names{"listen-peer-urls"}, ours: names{"sl"}, group: groupAddresses, value: list{&m.PeerListen}, usage: "listen `addresses` for the other machines, comma separated, if they differ from -s; as for that, strangers must not reach it without TLS"},
		{today: names{"initial-advertise-peer-urls"}, group: groupAddresses, value: list{&m.InitialPeerURLs}, standsFor: "s", usage: "`URL` at which the other machines reach this one, instead of -s, while the data directory is new"},
	}
}

func (c *config) clusterSettings() []*setting {
	m := &c.machine
	return []*setting{
		{today: names{"initial-cluster"}, group: groupBootstrap, value: text{&m.InitialCluster}, usage: "the `members`, NAME=URL of each, comma separated, the same on all of them"},
		{today: names{"initial-cluster-token"}, group: groupBootstrap, value: text{&m.InitialClusterToken}, usage: "`word` that tells clusters with the same addresses apart (default etcd-cluster)"},
		{today: names{"initial-cluster-state"}, group: groupBootstrap, value: choice{&c.clusterState, names{"new", "existing"}}, usage: "`state` of the cluster: new, or existing if this machine was added to it as a member"},
		{today: names{"discovery"}, group: groupBootstrap, value: text{&m.Discovery}, usage: "`URL` of a token of a discovery service, by which the members find each other"},
		{today: names{"discovery-proxy"}, group: groupBootstrap, value: text{&m.DiscoveryProxy}, usage: "`URL` of the HTTP proxy to that service"},
		{today: names{"discovery-srv"}, group: groupBootstrap, value: text{&m.DiscoverySRV}, usage: "`domain` whose SRV records are the members"},
		{today: names{"discovery-srv-name"}, group: groupBootstrap, value: text{&m.DiscoverySRVName}, usage: "`suffix` of the names of these records"},

		{ours: names{"C"}, group: groupCluster, value: text{&c.join}, usage: "join the cluster of these `machines` (host:peerport or https://host:peerport, comma separated); any member will do. A member looks for the others there, if they are not where it knows them"},
		{ours: names{"CF"}, group: groupCluster, value: text{&c.joinFile}, usage: "like -C, from a `file`"},
		{ours: names{"r"}, group: groupCluster, value: signed[int]{&m.JoinRetries}, usage: "how many `times` joining is tried"},
		{ours: names{"maxsize"}, group: groupCluster, value: signed[int]{&m.MaxMembers}, usage: "most `machines` the cluster may have"},
		{today: names{"heartbeat-interval"}, ours: names{"heartbeat"}, group: groupCluster, value: milliseconds{&m.Heartbeat}, usage: "`interval` between heartbeats of the leader; a bare number is one of milliseconds"},
		{today: names{"election-timeout"}, ours: names{"election"}, group: groupCluster, value: milliseconds{&m.Election}, usage: "`time` without heartbeats after which another leader is elected, 5 to 100 heartbeats; a bare number is one of milliseconds"},
	}
}

func (c *config) tlsSettings() []*setting {
	m := &c.machine
	return []*setting{
		{today: names{"cert-file"}, ours: names{"clientCert"}, group: groupTLS, value: text{&m.ClientTLS.Cert}, usage: "serve clients over TLS only, with the certificate in this `file`"},
		{today: names{"key-file"}, ours: names{"clientKey"}, group: groupTLS, value: text{&m.ClientTLS.Key}, usage: "its private key, a `file`"},
		{today: names{"trusted-ca-file", "ca-file"}, ours: names{"clientCAFile"}, group: groupTLS, value: text{&m.ClientTLS.CA}, usage: "serve only clients with a certificate signed by a CA in this `file`"},
		{today: names{"client-crl-file"}, ours: names{"clientCRLFile"}, group: groupTLS, value: text{&m.ClientTLS.CRL}, usage: "refuse clients whose certificate is revoked by a CRL in this `file`, in PEM or DER"},
		{today: names{"peer-cert-file"}, ours: names{"serverCert"}, group: groupTLS, value: text{&m.PeerTLS.Cert}, usage: "speak TLS with the other machines, with the certificate in this `file`; all machines or none"},
		{today: names{"peer-key-file"}, ours: names{"serverKey"}, group: groupTLS, value: text{&m.PeerTLS.Key}, usage: "its private key, a `file`"},
		{today: names{"peer-trusted-ca-file", "peer-ca-file"}, ours: names{"serverCAFile"}, group: groupTLS, value: text{&m.PeerTLS.CA}, usage: "speak only with machines that have a certificate signed by a CA in this `file`, and naming the host of their peer address in its subjectAltName"},
		{today: names{"peer-crl-file"}, ours: names{"serverCRLFile"}, group: groupTLS, value: text{&m.PeerTLS.CRL}, usage: "refuse machines whose certificate is revoked by a CRL in this `file`, in PEM or DER"},
		{today: names{"peer-cert-allowed-cn"}, ours: names{"serverAllowedCN"}, group: groupTLS, value: list{&m.AllowedCN}, usage: "the common `names`, comma separated, one of which the certificate of a machine must have; then it need not name the host of the machine"},
		{today: names{"peer-cert-allowed-hostname"}, ours: names{"serverAllowedHostname"}, group: groupTLS, value: list{&m.AllowedHostname}, usage: "the host `names` or addresses, comma separated, one of which the certificate of a machine must name; then it need not name the host of the machine"},
		{today: names{"auto-tls"}, group: groupTLS, value: boolean{&m.AutoTLS}, usage: "for development: like --cert-file, with a certificate that this machine makes in its data directory"},
		{today: names{"peer-auto-tls"}, group: groupTLS, value: boolean{&m.PeerAutoTLS}, usage: "for development: the same for other machines, none of which verifies it"},
		{today: names{"self-signed-cert-validity"}, group: groupTLS, value: unsigned[uint]{&m.SelfSignedYears}, usage: "how many `years` such a certificate is valid (default 1)"},
		{today: names{"cipher-suites"}, group: groupTLS, value: list{&m.CipherSuites}, usage: "the `suites` of TLS 1.2 that may be used, by the names of Go's crypto/tls, comma separated (default those with forward secrecy)"},
		{today: names{"tls-min-version"}, group: groupTLS, value: text{&m.TLSMinVersion}, usage: "the oldest `version` of TLS: TLS1.2 or TLS1.3 (default TLS1.2)"},
		{today: names{"tls-max-version"}, group: groupTLS, value: text{&m.TLSMaxVersion}, usage: "the newest `version` of TLS (default the newest there is)"},
	}
}

func (c *config) dataSettings() []*setting {
	m := &c.machine
	return []*setting{
		{ours: names{"m"}, group: groupData, value: unsigned[uint]{&m.History}, usage: "how many `events` are kept for watchers that start in the past"},
		{today: names{"quota-backend-bytes"}, ours: names{"quota"}, group: groupData, value: signed[int64]{&m.Quota}, usage: "how many `bytes` all keys together may have, values included: over it, what makes them more is refused; 0 for the default, negative for the most there is, 1 PiB"},
		{ours: names{"snapshot"}, group: groupData, value: boolean{&c.snapshot}, usage: "write snapshots and drop the log before them"},
		{today: names{"snapshot-count"}, group: groupData, value: unsigned[uint64]{&m.SnapshotEntries}, usage: "write a snapshot after so many log `entries`, even if the log has not grown by 64 MiB and as much as the last one has"},
		{ours: names{"skip-entry"}, group: groupData, value: list{&c.skipEntry}, usage: "indexes of `entries` of the log that no version can apply, comma separated: on ALL machines they do nothing; see docs/operations.md"},
	}
}

func (c *config) requestSettings() []*setting {
	m := &c.machine
	return []*setting{
		{ours: names{"reads"}, group: groupRequests, value: choice{&c.reads, names{"linearizable", "local"}}, usage: "`mode` of reads that do not say theirs: linearizable or local"},
		{ours: names{"request-timeout"}, group: groupRequests, value: duration{&m.RequestTimeout}, usage: "`time` a request waits for the cluster, 1s to 10m"},
		{today: names{"max-request-bytes"}, ours: names{"max-body"}, group: groupRequests, value: signed[int]{&m.MaxBody}, usage: "longest request body in `bytes`; if it is not given, 1572864 for v3"},
		{ours: names{"max-body-memory"}, group: groupRequests, value: signed[int64]{&m.MaxBodyMemory}, usage: "most memory in `bytes` for the bodies of all requests in flight, beyond the first 4096 of each"},
		{ours: names{"max-listing"}, group: groupRequests, value: signed[int]{&m.MaxListing}, usage: "most `keys` in one listing"},
		{today: names{"max-txn-ops"}, group: groupRequests, value: signed[int]{&m.MaxTxnOps}, usage: "most `operations` in each list of a v3 transaction"},
		{today: names{"max-concurrent-streams"}, group: groupRequests, value: unsigned[uint32]{&m.MaxStreams}, usage: "most v3 `calls` of one connection at a time"},
		{today: names{"grpc-keepalive-min-time"}, group: groupRequests, value: duration{&m.PingEvery}, usage: "shortest `time` between two pings of a gRPC client"},
		{today: names{"grpc-keepalive-interval"}, group: groupRequests, value: duration{&m.PingAfter}, usage: "`time` after which a silent gRPC client is pinged"},
		{today: names{"grpc-keepalive-timeout"}, group: groupRequests, value: duration{&m.PingTimeout}, usage: "`time` until it has to answer"},
		{ours: names{"max-answer-memory"}, group: groupRequests, value: signed[int64]{&m.MaxAnswers}, usage: "most memory in `bytes` that answers keep until their clients have read them, but for small ones"},
		{ours: names{"max-connections"}, group: groupRequests, value: signed[int]{&m.MaxConnections}, usage: "most open client `connections`, watches included (default, and at most: what the limit of open files allows)"},
		{ours: names{"max-requests-in-flight"}, group: groupRequests, value: signed[int]{&m.MaxInFlight}, usage: "most client `requests` that wait for this machine at a time; watches that wait for an event do not count, and an eighth more may be deletes"},
		{ours: names{"max-watchers"}, group: groupRequests, value: signed[int]{&m.MaxWatchers}, usage: "most `watches` of all clients"},
		{ours: names{"max-connections-per-address"}, group: groupRequests, value: signed[int]{&m.MaxPerAddress}, usage: "most open client connections from one `address`, or IPv6 /64 (default all but an eighth)"},
		{ours: names{"header-timeout"}, group: groupRequests, value: duration{&m.HeaderTimeout}, usage: "`time` until the headers of a request have arrived, with what belongs to the first 16 KiB of it, 1s to 24h"},
		{ours: names{"body-timeout"}, group: groupRequests, value: duration{&m.BodyTimeout}, usage: "`time` until the rest of its body has, beyond a second for each 16 KiB, 1s to 24h"},
		{ours: names{"idle-timeout"}, group: groupRequests, value: duration{&m.IdleTimeout}, usage: "`time` between two requests of a connection, 1s to 24h"},
		{today: names{"bcrypt-cost"}, group: groupRequests, value: within{&m.BcryptCost, passwords.MinCost, passwords.MaxCost}, usage: "how dear it is to guess a password: the `cost` of hashes that are made from now on, 4 to 31; one more takes twice as long"},
		{today: names{"cors"}, group: groupRequests, value: list{&m.CORS}, usage: "`origins` whose web pages may use the API, such as http://example.com, comma separated; * for all"},
		{today: names{"host-whitelist"}, group: groupRequests, value: list{&m.HostWhitelist}, usage: "more `hosts` by which clients may call this machine than localhost, IP addresses and the advertised host, comma separated; * for all. Others are refused if this is given, or a port listens on a loopback address only"},

		{today: names{"listen-metrics-urls"}, group: groupWatching, value: list{&m.MetricsListen}, usage: "listen `addresses` for /metrics, /health, /livez, /readyz and /debug/log-level, in plain HTTP, comma separated; clients' port serves them as well, but for the last"},
		{today: names{"enable-pprof"}, group: groupWatching, value: boolean{&m.Pprof}, usage: "serve profiles of this process at /debug/pprof/ of --listen-metrics-urls, or of the client port without it"},
		{today: names{"warning-unary-request-duration"}, ours: names{"slow"}, group: groupWatching, value: duration{&m.Slow}, usage: "log requests that take this `time` or longer, with where it went; 0s for none"},
	}
}

func (c *config) logSettings() []*setting {
	return []*setting{
		{today: names{"log-level"}, group: groupLogs, value: text{&c.logLevel}, usage: "log what is at least at this `level`: debug, info, warn or error"},
		{today: names{"log-format"}, group: groupLogs, value: choice{&c.logFormat, names{"text", "json", "console"}}, usage: "`format` of log lines: text or json; console is text"},
		{today: names{"log-outputs"}, group: groupLogs, value: list{&c.logOutputs}, usage: "`outputs` of log lines: stderr, stdout, or files to append to, comma separated (default stderr)"},
		{today: names{"debug"}, ours: names{"v"}, group: groupLogs, value: boolean{&c.verbose}, usage: "log more: --log-level debug"},
		{ours: names{"vv"}, group: groupLogs, value: boolean{&c.veryVerbose}, usage: "log everything, with the place in the source"},
		{today: names{"version"}, group: groupLogs, value: boolean{&c.version}, usage: "print the version and exit"},
	}
}

// newConfig returns the configuration of a machine for which nothing was given.
func newConfig() *config {
	c := &config{
		machine:    server.Defaults(),
		clientAddr: server.DefaultClientAddr, peerAddr: server.DefaultPeerAddr,
		clusterState: "new", snapshot: true, reads: "linearizable",
		logLevel: "info", logFormat: "text",
	}
	c.settings = c.table()
	return c
}
