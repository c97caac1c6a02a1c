package main

// What to do instead of giving a flag that is refused.
const (
	noDiscoveryV3 = "this version finds no cluster through the v3 API of another one: give the list of members with --initial-cluster, or use --discovery or --discovery-srv"
	oneLog        = "the log is in the data directory: put that on the fast disk (--data-dir)"
	oneCert       = "a machine has one certificate for accepting and for dialing, that of --peer-cert-file: have it signed for both (extendedKeyUsage serverAuth and clientAuth)"
	anyCertOfCA   = "every client with a certificate of the CA is served: to let in some only, give them a CA of their own with --trusted-ca-file"
)

// refusedSettings returns the flags of other versions that would be missed if they were ignored.
func refusedSettings() []*setting {
	var all []*setting
	refuse := func(instead string, names ...string) {
		for _, name := range names {
			all = append(all, &setting{today: []string{name}, group: groupRefused, value: refusal{}, instead: instead})
		}
	}
	refuse(oneLog, "wal-dir")
	refuse(oneCert, "peer-client-cert-file", "peer-client-key-file")
	refuse(anyCertOfCA, "client-cert-allowed-hostname")
	refuse(noDiscoveryV3, "discovery-token", "discovery-endpoints", "discovery-dial-timeout", "discovery-request-timeout",
		"discovery-keepalive-time", "discovery-keepalive-timeout", "discovery-insecure-transport", "discovery-insecure-skip-tls-verify",
		"discovery-cert", "discovery-key", "discovery-cacert", "discovery-user", "discovery-password")
	refuse("this version does not serve the v2 API from the v3 store: leave it out, the v2 API has a store of its own", "experimental-enable-v2v3")

	// Of etcd 0.4, which etcd 2 still knew.
	refuse("write -c", "addr")
	refuse("write -cl", "bind-addr")
	refuse("write -s", "peer-addr")
	refuse("write -sl", "peer-bind-addr")
	refuse("write -C", "peers")
	refuse("write -CF", "peers-file")
	refuse("write -maxsize", "max-cluster-size")
	refuse("write --config-file; the names in the file are those of flags, see docs/flags.md", "config")
	refuse("write -f, which DELETES all data in the data directory", "force")
	return all
}

// refusal is the value of a flag that is refused, with a value or without one.
type refusal struct{}

func (refusal) String() string   { return "" }
func (refusal) Set(string) error { return nil }
func (refusal) IsBoolFlag() bool { return true }
