package main

import (
	"errors"
	"flag"
	"fmt"
	"io"

	"etcd/server"
)

// config is the command line, completed by the environment.
type config struct {
	machine server.Config // set by flags directly, and completed by check

	// Flags that check has to parse for the machine's configuration.
	clientAddr, peerAddr       string
	clientListen, peerListen   string
	metricsListen              string
	join, joinFile             string
	snapshot                   bool
	skipEntry                  string
	reads                      string
	cors, hostWhitelist        string
	allowedCN, allowedHostname string

	verbose, veryVerbose bool
	logLevel, logFormat  string
	version              bool

	given   map[string]bool // flags set by the command line or the environment
	unknown []string        // environment variables with our prefix that set no flag
}

// flagGroup is a heading of the help text.
type flagGroup struct {
	title string
	flags []string
}

var flagGroups = []flagGroup{
	{"This machine", []string{"n", "d", "trust-data-dir", "i", "f", "force-new-cluster"}},
	{"Addresses (a port, :port, or host:port)", []string{"c", "s", "h", "cl", "sl"}},
	{"Cluster", []string{"C", "CF", "r", "maxsize", "heartbeat", "election"}},
	{"TLS (files in PEM; they are read again when they change)", []string{
		"clientCert", "clientKey", "clientCAFile", "clientCRLFile", "serverCert", "serverKey", "serverCAFile", "serverCRLFile",
		"serverAllowedCN", "serverAllowedHostname", "auto-tls",
	}},
	{"Data", []string{"m", "snapshot", "snapshot-count", "skip-entry"}},
	{"Requests", []string{"reads", "request-timeout", "max-body", "max-body-memory", "max-connections", "cors", "host-whitelist"}},
	{"Watching it", []string{"metrics", "pprof", "slow"}},
	{"Logs and help", []string{"log-level", "log-format", "v", "vv", "version", "help"}},
}

// errUsage is a command line that cannot be run.
type errUsage struct{ error }

// parseConfig reads the command line and the environment, as NAME=value each. It prints
// help to out if that is asked for, and returns flag.ErrHelp.
func parseConfig(args, environ []string, out io.Writer) (*config, error) {
	c := &config{machine: server.Defaults(), given: make(map[string]bool)}
	fs := c.flags()
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			printHelp(out, fs)
			return nil, err
		}
		return nil, errUsage{withHint(fs, err)}
	}
	if fs.NArg() > 0 {
		return nil, errUsage{fmt.Errorf("unexpected argument %q", fs.Arg(0))}
	}
	if c.version {
		return c, nil
	}
	fs.Visit(func(f *flag.Flag) { c.given[f.Name] = true })
	if err := c.readEnvironment(fs, environ); err != nil {
		return nil, err
	}
	return c, c.check()
}

func (c *config) flags() *flag.FlagSet {
	fs := flag.NewFlagSet("etcd", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // errors are returned and printed once
	fs.Usage = func() {}
	m := &c.machine
	fs.StringVar(&m.Name, "n", "", "`name` of this machine (default host:peerport)")
	fs.StringVar(&m.DataDir, "d", "", "data `directory` (default ./<name>.etcd)")
	fs.BoolVar(&m.TrustDataDir, "trust-data-dir", false, "use the data directory although others can write in it, or own it: they are trusted with all data and with this machine")
	fs.BoolVar(&m.IgnoreStored, "i", false, "ignore the name and addresses stored in the data directory")
	fs.BoolVar(&m.StartOver, "f", false, "start over: DELETES all data in the data directory")
	fs.BoolVar(&m.ForceNewCluster, "force-new-cluster", false, "a majority is lost for good: make this member, with its data, the only one of a new cluster; see docs/operations.md")

	fs.StringVar(&c.clientAddr, "c", server.DefaultClientAddr, "client `address`")
	fs.StringVar(&c.peerAddr, "s", server.DefaultPeerAddr, "`address` for the other machines. Keep it on a trusted network, or use -serverCAFile: see docs/security.md")
	fs.StringVar(&m.Host, "h", m.Host, "`host` that bare ports bind and advertise; 0.0.0.0 for all interfaces")
	fs.StringVar(&c.clientListen, "cl", "", "listen `addresses` for clients, comma separated, if they differ from -c")
	fs.StringVar(&c.peerListen, "sl", "", "listen `addresses` for the other machines, comma separated, if they differ from -s; as for that, strangers must not reach it without TLS")

	fs.StringVar(&c.join, "C", "", "join the cluster of these `machines` (host:peerport or https://host:peerport, comma separated); any member will do. A member looks for the others there, if they are not where it knows them")
	fs.StringVar(&c.joinFile, "CF", "", "like -C, from a `file`")
	fs.IntVar(&m.JoinRetries, "r", m.JoinRetries, "how many `times` joining is tried")
	fs.IntVar(&m.MaxMembers, "maxsize", m.MaxMembers, "most `machines` the cluster may have")
	durationVar(fs, &m.Heartbeat, "heartbeat", m.Heartbeat, "`interval` between heartbeats of the leader")
	durationVar(fs, &m.Election, "election", m.Election, "`time` without heartbeats after which another leader is elected; 5 to 100 heartbeats")

	fs.StringVar(&m.ClientTLS.Cert, "clientCert", "", "serve clients over TLS only, with the certificate in this `file`")
	fs.StringVar(&m.ClientTLS.Key, "clientKey", "", "its private key, a `file`")
	fs.StringVar(&m.ClientTLS.CA, "clientCAFile", "", "serve only clients with a certificate signed by a CA in this `file`")
	fs.StringVar(&m.ClientTLS.CRL, "clientCRLFile", "", "refuse clients whose certificate is revoked by a CRL in this `file`, in PEM or DER")
	fs.StringVar(&m.PeerTLS.Cert, "serverCert", "", "speak TLS with the other machines, with the certificate in this `file`; all machines or none")
	fs.StringVar(&m.PeerTLS.Key, "serverKey", "", "its private key, a `file`")
	fs.StringVar(&m.PeerTLS.CA, "serverCAFile", "", "speak only with machines that have a certificate signed by a CA in this `file`, and naming the host of their -s in its subjectAltName")
	fs.StringVar(&m.PeerTLS.CRL, "serverCRLFile", "", "refuse machines whose certificate is revoked by a CRL in this `file`, in PEM or DER")
	fs.StringVar(&c.allowedCN, "serverAllowedCN", "", "the common `names`, comma separated, one of which the certificate of a machine must have; then it need not name the host of the machine")
	fs.StringVar(&c.allowedHostname, "serverAllowedHostname", "", "the host `names` or addresses, comma separated, one of which the certificate of a machine must name; then it need not name the host of the machine")
	fs.BoolVar(&m.AutoTLS, "auto-tls", false, "for development: like -clientCert, with a certificate that this machine makes in its data directory")

	fs.UintVar(&m.History, "m", m.History, "how many `events` are kept for watchers that start in the past")
	fs.BoolVar(&c.snapshot, "snapshot", true, "write snapshots and drop the log before them")
	fs.Uint64Var(&m.SnapshotEntries, "snapshot-count", m.SnapshotEntries, "write a snapshot after so many log `entries`, even if the log has not grown by 64 MiB and as much as the last one has")
	fs.StringVar(&c.skipEntry, "skip-entry", "", "indexes of `entries` of the log that no version can apply, comma separated: on ALL machines they do nothing; see docs/operations.md")

	fs.StringVar(&c.reads, "reads", "linearizable", "how reads are served unless they say so: linearizable or local")
	durationVar(fs, &m.RequestTimeout, "request-timeout", m.RequestTimeout, "how long a request waits for the cluster, 1s to 10m")
	fs.IntVar(&m.MaxBody, "max-body", m.MaxBody, "longest request body in `bytes`")
	fs.Int64Var(&m.MaxBodyMemory, "max-body-memory", m.MaxBodyMemory, "most memory in `bytes` for the bodies of all requests in flight, beyond the first 4096 of each")
	fs.IntVar(&m.MaxConnections, "max-connections", m.MaxConnections, "most open client `connections`, watches included (default, and at most: what the limit of open files allows)")
	fs.StringVar(&c.cors, "cors", "", "`origins` whose web pages may use the API, such as http://example.com, comma separated; * for all")
	fs.StringVar(&c.hostWhitelist, "host-whitelist", "", "more `hosts` by which clients may call this machine than localhost, IP addresses and the host of -c, comma separated; * for all. Others are refused if this is given, or a port listens on a loopback address only")

	fs.StringVar(&c.metricsListen, "metrics", "", "listen `addresses`, comma separated, for /metrics, /health, /livez, /readyz and /debug/log-level, in plain HTTP; clients' port serves them as well, but for the last")
	fs.BoolVar(&m.Pprof, "pprof", false, "serve profiles of this process at /debug/pprof/ of -metrics")
	durationVar(fs, &m.Slow, "slow", m.Slow, "log requests that take this `time` or longer, with where it went; 0s for none")

	fs.StringVar(&c.logLevel, "log-level", "info", "log what is at least at this `level`: debug, info, warn or error")
	fs.StringVar(&c.logFormat, "log-format", "text", "`format` of log lines: text or json")
	fs.BoolVar(&c.verbose, "v", false, "log more: -log-level debug")
	fs.BoolVar(&c.veryVerbose, "vv", false, "log everything, with the place in the source")
	fs.BoolVar(&c.version, "version", false, "print the version and exit")
	return fs
}

func printHelp(out io.Writer, fs *flag.FlagSet) {
	fmt.Fprint(out, `etcd is a highly available key-value store for shared configuration and service
discovery. Without flags it starts a machine of its own on 127.0.0.1:4001:

  etcd
  curl http://127.0.0.1:4001/v1/keys/message -d value="Hello world"

Flags may have one or two dashes. Each may be given in the environment instead, as
ETCD_ and its name in capitals (ETCD_D, ETCD_REQUEST_TIMEOUT); -C and -CF are
ETCD_JOIN and ETCD_JOIN_FILE, and -n and -d are ETCD_NAME and ETCD_DATA_DIR as well.
`)
	for _, group := range flagGroups {
		fmt.Fprintf(out, "\n%s:\n", group.title)
		for _, name := range group.flags {
			if name == "help" {
				fmt.Fprintf(out, "  -help\n        print this text\n")
				continue
			}
			f := fs.Lookup(name)
			value, usage := flag.UnquoteUsage(f)
			fmt.Fprintf(out, "  -%s", name)
			if value != "" {
				fmt.Fprintf(out, " %s", value)
			}
			fmt.Fprintf(out, "\n        %s", usage)
			if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" {
				fmt.Fprintf(out, " (default %s)", f.DefValue)
			}
			fmt.Fprintln(out)
		}
	}
}
