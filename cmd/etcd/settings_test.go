package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"etcd/server"
)

// settingTest is what a setting does with one good value and one bad one.
type settingTest struct {
	flag      string // any of its names, without dashes
	good, bad string // bad may be empty: there is none that can be seen without the others
	says      string // of the bad one, or why it is refused
}

// settingTests has every setting.
var settingTests = []settingTest{
	{"name", "a", "", ""},
	{"data-dir", "/tmp/a", "", ""},
	{"trust-data-dir", "true", "maybe", "want true or false"},
	{"i", "true", "2", "want true or false"},
	{"f", "true", "yes", "want true or false"},
	{"force-new-cluster", "true", "x", "want true or false"},
	{"c", "4005", "", ""},
	{"s", "7005", "", ""},
	{"h", "10.0.0.1", "", ""},
	{"listen-client-urls", "http://10.0.0.1:2379,http://127.0.0.1:2379", ",", "names nothing"},
	{"listen-client-http-urls", "http://10.0.0.1:2379", ",", "names nothing"},
	{"advertise-client-urls", "http://10.0.0.1:2379", ",", "names nothing"},
	{"listen-peer-urls", "http://10.0.0.1:2380", ",", "names nothing"},
	{"initial-advertise-peer-urls", "http://10.0.0.1:2380", ",", "names nothing"},
	{"initial-cluster", "a=http://10.0.0.1:2380,b=http://10.0.0.2:2380", "", ""},
	{"initial-cluster-token", "a-token", "", ""},
	{"initial-cluster-state", "existing", "old", "want new or existing"},
	{"discovery", "https://discovery.example/token", "", ""},
	{"discovery-proxy", "http://proxy.example:3128", "", ""},
	{"discovery-srv", "example.com", "", ""},
	{"discovery-srv-name", "one", "", ""},
	{"C", "10.0.0.1:7001", "", ""},
	{"CF", "machines", "", ""},
	{"r", "3", "x", "want a whole number"},
	{"maxsize", "5", "1e3", "want a whole number"},
	{"heartbeat-interval", "250", "soon", "want a time such as 100ms"},
	{"election-timeout", "2s", "1.5", "write 1.5ms or 1.5s"},
	{"cert-file", "crt", "", ""},
	{"key-file", "key", "", ""},
	{"trusted-ca-file", "ca", "", ""},
	{"client-crl-file", "crl", "", ""},
	{"peer-cert-file", "crt", "", ""},
	{"peer-key-file", "key", "", ""},
	{"peer-trusted-ca-file", "ca", "", ""},
	{"peer-crl-file", "crl", "", ""},
	{"peer-cert-allowed-cn", "a,b", ",", "names nothing"},
	{"peer-cert-allowed-hostname", "a.example", ",", "names nothing"},
	{"auto-tls", "true", "x", "want true or false"},
	{"peer-auto-tls", "true", "x", "want true or false"},
	{"self-signed-cert-validity", "3", "-1", "want a whole number from 0 on"},
	{"cipher-suites", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", ",", "names nothing"},
	{"tls-min-version", "TLS1.3", "", ""},
	{"tls-max-version", "TLS1.3", "", ""},
	{"m", "7", "many", "want a whole number from 0 on"},
	{"quota-backend-bytes", "8589934592", "8GiB", "want a whole number"},
	{"snapshot", "false", "maybe", "want true or false"},
	{"snapshot-count", "1000", "18446744073709551616", "up to 18446744073709551615"},
	{"skip-entry", "7,4711", ",", "names nothing"},
	{"reads", "local", "stale", "want linearizable or local"},
	{"request-timeout", "7s", "5", "write 5ms or 5s"},
	{"max-request-bytes", "1572864", "1MiB", "want a whole number"},
	{"max-listing", "2000", "x", "want a whole number"},
	{"max-answer-memory", "300000000", "x", "want a whole number"},
	{"max-body-memory", "300000000", "x", "want a whole number"},
	{"max-connections", "100", "x", "want a whole number"},
	{"max-requests-in-flight", "1000", "x", "want a whole number"},
	{"max-watchers", "5000", "x", "want a whole number"},
	{"max-connections-per-address", "100", "x", "want a whole number"},
	{"header-timeout", "7s", "5", "write 5ms or 5s"},
	{"body-timeout", "7s", "5", "write 5ms or 5s"},
	{"idle-timeout", "7s", "5", "write 5ms or 5s"},
	{"bcrypt-cost", "12", "3", "want a number from 4 to 31"},
	{"cors", "http://a.example", ",", "names nothing"},
	{"host-whitelist", "a.example,b.example", ",", "names nothing"},
	{"listen-metrics-urls", "http://127.0.0.1:2381", ",", "names nothing"},
	{"enable-pprof", "true", "x", "want true or false"},
	{"warning-unary-request-duration", "1s", "300", "write 300ms or 300s"},
	{"log-level", "warn", "", ""},
	{"log-format", "json", "xml", "want text, json or console"},
	{"log-outputs", "stderr,/tmp/log", ",", "names nothing"},
	{"debug", "true", "x", "want true or false"},
	{"vv", "true", "x", "want true or false"},
	{"config-file", "etcd.yml", "", ""},
	{"version", "true", "x", "want true or false"},

	{"max-learners", "2", "x", "want a whole number"},
	{"max-txn-ops", "129", "x", "want a whole number"},
	{"auth-token-ttl", "300", "5m", "from 0 on"},
	{"max-concurrent-streams", "100", "4294967296", "up to 4294967295"},
	{"grpc-keepalive-min-time", "7s", "5", "write 5ms or 5s"},
	{"grpc-keepalive-interval", "3h", "x", "want a time"},
	{"grpc-keepalive-timeout", "21s", "x", "want a time"},
	{"compaction-batch-limit", "1000", "x", "want a whole number"},
	{"compaction-sleep-interval", "10ms", "x", "want a time"},
	{"watch-progress-notify-interval", "10m", "x", "want a time"},
	{"compact-hash-check-time", "1m", "x", "want a time"},
	{"corrupt-check-time", "0s", "x", "want a time"},
	{"auto-compaction-mode", "revision", "hourly", "want periodic or revision"},
	{"auto-compaction-retention", "30m", "-1h", "want a number of hours or of revisions"},
	{"auth-token", "simple", "jwt,pub-key=a,sign-method=RS256", "write simple"},
	{"feature-gates", "CompactHashCheck=true,LeaseCheckpoint=false", "CompactHashCheck", "want NAME=true or NAME=false"},
	{"enable-grpc-gateway", "false", "x", "want true or false"},
	{"experimental-initial-corrupt-check", "true", "x", "want true or false"},
	{"experimental-compact-hash-check-enabled", "true", "x", "want true or false"},
	{"experimental-enable-lease-checkpoint", "true", "x", "want true or false"},
	{"experimental-enable-lease-checkpoint-persist", "true", "x", "want true or false"},
	{"experimental-txn-mode-write-with-shared-buffer", "true", "x", "want true or false"},
	{"experimental-stop-grpc-service-on-defrag", "true", "x", "want true or false"},
	{"downgrade-check-time", "5s", "x", "want a time"},
	{"backend-batch-interval", "100ms", "x", "want a time"},
	{"backend-batch-limit", "10000", "x", "want a whole number"},
	{"backend-bbolt-freelist-type", "map", "list", "want array or map"},
	{"bootstrap-defrag-threshold-megabytes", "100", "x", "want a whole number"},
	{"memory-mlock", "true", "x", "want true or false"},
	{"max-snapshots", "5", "x", "want a whole number"},
	{"max-wals", "5", "x", "want a whole number"},
	{"snapshot-catchup-entries", "5000", "x", "want a whole number"},
	{"unsafe-no-fsync", "true", "x", "want true or false"},
	{"pre-vote", "false", "x", "want true or false"},
	{"strict-reconfig-check", "false", "x", "want true or false"},
	{"initial-election-tick-advance", "false", "x", "want true or false"},
	{"raft-read-timeout", "5s", "x", "want a time"},
	{"raft-write-timeout", "5s", "x", "want a time"},
	{"socket-reuse-port", "true", "x", "want true or false"},
	{"socket-reuse-address", "true", "x", "want true or false"},
	{"experimental-wait-cluster-ready-timeout", "5s", "x", "want a time"},
	{"client-cert-auth", "true", "x", "want true or false"},
	{"peer-client-cert-auth", "true", "x", "want true or false"},
	{"client-cert-file", "crt", "", ""},
	{"client-key-file", "key", "", ""},
	{"peer-skip-client-san-verification", "false", "true", "say which they are with --peer-cert-allowed-hostname"},
	{"enable-v2", "true", "x", "want true or false"},
	{"v2-deprecation", "not-yet", "", ""},
	{"metrics", "extensive", "10.0.0.1:2381", "--listen-metrics-urls"},
	{"enable-distributed-tracing", "true", "x", "want true or false"},
	{"distributed-tracing-address", "localhost:4317", "", ""},
	{"distributed-tracing-service-name", "etcd", "", ""},
	{"distributed-tracing-instance-id", "a", "", ""},
	{"distributed-tracing-sampling-rate", "100", "x", "want a whole number"},
	{"warning-apply-duration", "100ms", "x", "want a time"},
	{"logger", "zap", "capnslog", "write zap"},
	{"log-package-levels", "etcdserver=DEBUG", "", ""},
	{"enable-log-rotation", "false", "true", "let logrotate do it"},
	{"log-rotation-config-json", `{"maxsize":100}`, "{", "want JSON"},
	{"discovery-fallback", "exit", "wait", "want exit or proxy"},
	{"proxy", "off", "readonly", "has no proxy"},
	{"proxy-failure-wait", "5000", "x", "want a whole number"},
	{"proxy-refresh-interval", "30000", "x", "want a whole number"},
	{"proxy-dial-timeout", "1000", "x", "want a whole number"},
	{"proxy-write-timeout", "5000", "x", "want a whole number"},
	{"proxy-read-timeout", "0", "x", "want a whole number"},
	{"cluster-active-size", "9", "", ""},
	{"cluster-remove-delay", "1800", "", ""},
	{"cluster-sync-interval", "5", "", ""},
	{"max-result-buffer", "1024", "", ""},
	{"max-retry-attempts", "3", "", ""},
	{"retry-interval", "10", "", ""},
	{"peer-heartbeat-interval", "50", "", ""},
	{"peer-election-timeout", "200", "", ""},

	{"wal-dir", "", "/fast", "put that on the fast disk (--data-dir)"},
	{"peer-client-cert-file", "", "crt", "have it signed for both"},
	{"peer-client-key-file", "", "key", "have it signed for both"},
	{"client-cert-allowed-hostname", "", "a", "a CA of their own"},
	{"discovery-token", "", "a", "--initial-cluster"},
	{"discovery-endpoints", "", "http://a:2379", "--initial-cluster"},
	{"discovery-dial-timeout", "", "2s", "--initial-cluster"},
	{"discovery-request-timeout", "", "5s", "--initial-cluster"},
	{"discovery-keepalive-time", "", "2s", "--initial-cluster"},
	{"discovery-keepalive-timeout", "", "6s", "--initial-cluster"},
	{"discovery-insecure-transport", "", "true", "--initial-cluster"},
	{"discovery-insecure-skip-tls-verify", "", "true", "--initial-cluster"},
	{"discovery-cert", "", "crt", "--initial-cluster"},
	{"discovery-key", "", "key", "--initial-cluster"},
	{"discovery-cacert", "", "ca", "--initial-cluster"},
	{"discovery-user", "", "a", "--initial-cluster"},
	{"discovery-password", "", "a", "--initial-cluster"},
	{"experimental-enable-v2v3", "", "/v2", "a store of its own"},
	{"addr", "", "127.0.0.1:4001", "write -c"},
	{"bind-addr", "", "127.0.0.1:4001", "write -cl"},
	{"peer-addr", "", "127.0.0.1:7001", "write -s"},
	{"peer-bind-addr", "", "127.0.0.1:7001", "write -sl"},
	{"peers", "", "127.0.0.1:7001", "write -C"},
	{"peers-file", "", "a", "write -CF"},
	{"max-cluster-size", "", "9", "write -maxsize"},
	{"config", "", "a", "write --config-file"},
	{"force", "", "true", "write -f"},
}

// ways are the ways in which a setting can be given: each of its names as a flag with one dash and
// with two, as a variable, and in a file.
func ways(s *setting) map[string]func(c *config, value string) error {
	all := make(map[string]func(c *config, value string) error)
	for _, name := range slices.Concat(s.spellings(), s.ours) {
		for _, dashes := range []string{"-", "--"} {
			all[dashes+name] = func(c *config, value string) error { return c.readCommandLine([]string{dashes + name, value}) }
			all[dashes+name+"="] = func(c *config, value string) error { return c.readCommandLine([]string{dashes + name + "=" + value}) }
		}
		if s.key() != "config-file" && s.key() != "version" {
			all[name+":"] = func(c *config, value string) error { return c.parseFile(fmt.Appendf(nil, "%s: %q", name, value)) }
		}
	}
	if isBool(s.value) && s.instead == "" { // a value would be the next argument
		for name := range all {
			if strings.HasPrefix(name, "-") && !strings.HasSuffix(name, "=") {
				delete(all, name)
			}
		}
	}
	for _, name := range s.variables() {
		all[name] = func(c *config, value string) error { return c.readEnvironment([]string{name + "=" + value}) }
	}
	return all
}

// said is the configuration of a machine without what the process provides to it.
func said(c *config) server.Config {
	m := c.machine
	m.Log, m.LogLevel, m.LostLogLines, m.Exit, m.Ready = nil, nil, nil, nil, nil
	return m
}

// TestEverySetting checks every setting by every name it has, in every way to give it: that a good value
// does the same in all of them, and that a bad one is refused with what to write instead.
func TestEverySetting(t *testing.T) {
	tests := make(map[string]settingTest)
	for _, test := range settingTests {
		tests[test.flag] = test
	}
	for i, s := range newConfig().settings {
		test, ok := tests[slices.Concat(s.today, s.ours)[0]]
		if !ok {
			t.Errorf("no test of %s", s.title())
			continue
		}
		delete(tests, test.flag)
		var first *config
		for way, give := range ways(s) {
			if test.bad != "" {
				if err := give(newConfig(), test.bad); err == nil || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), strings.Trim(way, "-=:")) {
					t.Errorf("%s %s: the error is %v, want one that names it and says %q", way, test.bad, err, test.says)
				}
			}
			if s.instead != "" {
				continue
			}
			c := newConfig()
			if err := give(c, test.good); err != nil {
				t.Errorf("%s %s: %v", way, test.good, err)
				continue
			}
			var log strings.Builder
			c.report(slog.New(slog.NewTextHandler(&log, nil)))
			if logged := strings.Contains(log.String(), "nothing follows"); logged != (s.because != "") || !strings.Contains(log.String(), s.because) {
				t.Errorf("%s %s: it logs %q", way, test.good, log.String())
			}
			if got, before := c.settings[i].value.String(), s.value.String(); got == before {
				t.Errorf("%s %s changes nothing", way, test.good)
			}
			if c.file = ""; s.key() == "config-file" {
				continue
			}
			if s.because != "" && !reflect.DeepEqual(said(c), said(newConfig())) {
				t.Errorf("%s changes the configuration of the machine", way)
			}
			if first == nil {
				first = c
			}
			if got, want := said(c), said(first); !reflect.DeepEqual(got, want) || c.settings[i].value.String() != first.settings[i].value.String() {
				t.Errorf("%s %s: %+v, want the same as by other names: %+v", way, test.good, got, want)
			}
		}
	}
	for flag := range tests {
		t.Errorf("%s is no setting", flag)
	}
}

// flagsOfEtcd are those of etcd 3.7, of 3.4 that 3.7 has no more, and of the proxy of etcd 2.
const flagsOfEtcd = `name data-dir wal-dir snapshot-count heartbeat-interval election-timeout initial-election-tick-advance listen-peer-urls
listen-client-urls max-snapshots max-wals quota-backend-bytes backend-bbolt-freelist-type backend-batch-interval backend-batch-limit
max-txn-ops max-request-bytes max-concurrent-streams grpc-keepalive-min-time grpc-keepalive-interval grpc-keepalive-timeout
socket-reuse-port socket-reuse-address raft-read-timeout raft-write-timeout listen-client-http-urls listen-metrics-urls
initial-advertise-peer-urls advertise-client-urls initial-cluster initial-cluster-state initial-cluster-token discovery
discovery-token discovery-endpoints discovery-dial-timeout discovery-request-timeout discovery-keepalive-time
discovery-keepalive-timeout discovery-insecure-transport discovery-insecure-skip-tls-verify discovery-cert discovery-key
discovery-cacert discovery-user discovery-password discovery-fallback discovery-proxy discovery-srv discovery-srv-name
strict-reconfig-check pre-vote auto-compaction-mode auto-compaction-retention enable-v2 v2-deprecation cert-file key-file
client-cert-file client-key-file client-cert-auth client-crl-file client-cert-allowed-hostname trusted-ca-file auto-tls
peer-cert-file peer-key-file peer-client-cert-file peer-client-key-file peer-client-cert-auth peer-trusted-ca-file
peer-cert-allowed-cn peer-cert-allowed-hostname peer-auto-tls self-signed-cert-validity peer-crl-file cipher-suites
tls-min-version tls-max-version cors host-whitelist peer-skip-client-san-verification auth-token bcrypt-cost auth-token-ttl
enable-pprof metrics logger log-outputs log-level log-format enable-log-rotation log-rotation-config-json
enable-distributed-tracing distributed-tracing-address distributed-tracing-service-name distributed-tracing-instance-id
distributed-tracing-sampling-rate enable-grpc-gateway corrupt-check-time compact-hash-check-time compaction-batch-limit
compaction-sleep-interval watch-progress-notify-interval downgrade-check-time warning-apply-duration
warning-unary-request-duration memory-mlock bootstrap-defrag-threshold-megabytes max-learners snapshot-catchup-entries
unsafe-no-fsync force-new-cluster feature-gates config-file version debug log-package-levels proxy proxy-failure-wait
proxy-refresh-interval proxy-dial-timeout proxy-write-timeout proxy-read-timeout experimental-initial-corrupt-check
experimental-corrupt-check-time experimental-enable-v2v3 experimental-backend-bbolt-freelist-type
experimental-enable-lease-checkpoint experimental-enable-lease-checkpoint-persist experimental-compaction-batch-limit
experimental-peer-skip-client-san-verification experimental-watch-progress-notify-interval
experimental-warning-apply-duration experimental-warning-unary-request-duration experimental-compact-hash-check-enabled
experimental-compact-hash-check-time experimental-compaction-sleep-interval experimental-downgrade-check-time
experimental-distributed-tracing-sampling-rate experimental-enable-distributed-tracing experimental-max-learners
experimental-memory-mlock experimental-snapshot-catchup-entries experimental-stop-grpc-service-on-defrag
experimental-txn-mode-write-with-shared-buffer experimental-bootstrap-defrag-threshold-megabytes
experimental-wait-cluster-ready-timeout ca-file peer-ca-file`

// TestFlagsOfEtcd checks that no flag of etcd is unknown.
func TestFlagsOfEtcd(t *testing.T) {
	known := make(map[string]bool)
	for _, s := range newConfig().settings {
		for _, name := range s.spellings() {
			known[name] = true
		}
	}
	for name := range strings.FieldsSeq(flagsOfEtcd) {
		if !known[name] {
			t.Errorf("--%s is not known", name)
		}
	}
}

// TestVariablesAreUnique checks that no variable sets two settings.
func TestVariablesAreUnique(t *testing.T) {
	sets := make(map[string]*setting)
	for _, s := range newConfig().settings {
		for _, name := range s.variables() {
			if other := sets[name]; other != nil {
				t.Errorf("%s sets %s and %s", name, other.title(), s.title())
			}
			sets[name] = s
		}
	}
}

// TestPageOfFlags checks that docs/flags.md has every name of every setting, its variable, and why
// nothing follows from it or what to do instead; and that it has no flag that does not exist.
func TestPageOfFlags(t *testing.T) {
	data, err := os.ReadFile("../../docs/flags.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := make(map[string]string) // by their first cell
	for line := range strings.Lines(string(data)) {
		if cells := strings.SplitN(line, "|", 3); len(cells) == 3 {
			for _, name := range regexp.MustCompile("`(-[^`]*)`").FindAllStringSubmatch(cells[1], -1) {
				rows[name[1]] += strings.ReplaceAll(cells[2], "`", "")
			}
		}
	}
	for _, s := range newConfig().settings {
		for _, name := range s.names() {
			row, ok := rows[name]
			delete(rows, name)
			want := s.because + strings.ReplaceAll(s.instead, "see docs/flags.md", "see above")
			if !ok || !strings.Contains(row, want) {
				t.Errorf("%s has no row, or one that does not say %q", name, want)
			}
			if variables := s.variables(); ok && s.group < groupMoot && len(variables) > 0 && !strings.Contains(row, variables[0]) {
				t.Errorf("the row of %s does not say %s", name, variables[0])
			}
		}
	}
	for name := range rows {
		t.Errorf("there is no flag %s", name)
	}
}

// TestFileOfThePage checks that the example of a file in docs/flags.md is one.
func TestFileOfThePage(t *testing.T) {
	data, err := os.ReadFile("../../docs/flags.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), "```yaml\n")
	example, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("there is none")
	}
	path := filepath.Join(t.TempDir(), "etcd.yml")
	if err := os.WriteFile(path, []byte(example), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := parseConfig([]string{"--config-file", path}, nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if m := c.machine; m.Name != "one" || m.PeerTLS.CA != "/etc/etcd/ca.crt" || len(m.ClientListen) != 2 || m.RequestTimeout != server.Defaults().RequestTimeout {
		t.Errorf("it is read as %+v", m)
	}
}
