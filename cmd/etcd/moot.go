package main

import (
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// Why nothing follows from a setting.
const (
	onlyV3       = "it concerns what this version does not have of the v3 API"
	onlyBackend  = "it concerns the database file of etcd 3, and this program has none: all data is in memory, in the log and in snapshots"
	onlyProxy    = "it concerns the proxy of etcd 2, which this program has not"
	onlyTracing  = "this program sends no traces; slow requests are logged with where their time went (--warning-unary-request-duration)"
	alwaysOn     = "it is always on"
	alwaysThere  = "what there is of the v2 API is always served"
	followsCA    = "certificates are demanded and verified as soon as there is a CA file, and only then"
	ownTimeouts  = "streams between machines have deadlines of their own"
	ofEtcd04     = "it is of etcd 0.4, and etcd 3 ignores it as well"
	noInnerCalls = "a machine never calls its own client port"
)

// mootSettings returns the settings that are accepted, and from which nothing follows: those of etcd 2
// and 3 about what this program does not have, or does anyway.
func mootSettings() []*setting {
	var all []*setting
	add := func(because string, value checked, names []string) {
		for _, name := range names {
			value := value
			all = append(all, &setting{today: []string{name}, group: groupMoot, value: &value, because: because})
		}
	}
	each := func(because string, check func(string) error, names ...string) {
		add(because, checked{check: check}, names)
	}
	times := func(because string, names ...string) { add(because, checked{check: isTime, time: true}, names) }
	bools := func(because string, names ...string) { add(because, checked{check: isTrueOrFalse, bare: true}, names) }
	never := func(because, instead, name string) {
		add(because, checked{check: isFalse(instead), bare: true}, []string{name})
	}

	each(onlyV3, isWhole, "max-learners", "compaction-batch-limit")
	each(onlyV3, isWholeFromZero, "auth-token-ttl")
	times(onlyV3, "compaction-sleep-interval", "watch-progress-notify-interval", "compact-hash-check-time", "corrupt-check-time")
	each(onlyV3, isOneOf("periodic", "revision"), "auto-compaction-mode")
	each(onlyV3, isRetention, "auto-compaction-retention")
	each(onlyV3, isAuthToken, "auth-token")
	each(onlyV3, isFeatureGates, "feature-gates")
	bools(onlyV3, "enable-grpc-gateway", "experimental-initial-corrupt-check", "experimental-compact-hash-check-enabled",
		"experimental-enable-lease-checkpoint", "experimental-enable-lease-checkpoint-persist",
		"experimental-txn-mode-write-with-shared-buffer", "experimental-stop-grpc-service-on-defrag")
	times("clusters agree on what their members can by themselves", "downgrade-check-time")

	times(onlyBackend, "backend-batch-interval")
	each(onlyBackend, isWhole, "backend-batch-limit")
	each(onlyBackend, isOneOf("array", "map"), "backend-bbolt-freelist-type")
	each(onlyBackend, isWholeFromZero, "bootstrap-defrag-threshold-megabytes")
	bools("memory is not locked: to keep it from being swapped, turn swapping off for this process (MemorySwapMax=0 of systemd)", "memory-mlock")

	each("files that are no longer needed are always deleted", isWholeFromZero, "max-snapshots", "max-wals")
	each("a member that lacks entries which the log has no more of gets a snapshot, however many they are", isWholeFromZero, "snapshot-catchup-entries")
	bools("every write is synced before it is acknowledged, always", "unsafe-no-fsync")

	bools(alwaysOn, "pre-vote", "strict-reconfig-check")
	bools("how soon a machine that starts may be elected cannot be set", "initial-election-tick-advance")
	times(ownTimeouts, "raft-read-timeout", "raft-write-timeout")
	bools("a port belongs to one process here", "socket-reuse-port")
	bools(alwaysOn, "socket-reuse-address")
	times("a machine says that it is ready when it is, however long that takes", "experimental-wait-cluster-ready-timeout")

	bools(followsCA, "client-cert-auth", "peer-client-cert-auth")
	each(noInnerCalls, isAnything, "client-cert-file", "client-key-file")
	never("the certificate of a machine names its host, or what --peer-cert-allowed-hostname or --peer-cert-allowed-cn says",
		"the names in certificates of machines are always verified: say which they are with --peer-cert-allowed-hostname or --peer-cert-allowed-cn",
		"peer-skip-client-san-verification")

	bools(alwaysThere, "enable-v2")
	each("there is no newer store to which the data of v2 could go", isAnything, "v2-deprecation")
	each("all metrics are always there", isMetrics, "metrics")
	bools(onlyTracing, "enable-distributed-tracing")
	each(onlyTracing, isAnything, "distributed-tracing-address", "distributed-tracing-service-name", "distributed-tracing-instance-id")
	each(onlyTracing, isWhole, "distributed-tracing-sampling-rate")
	times("batches of entries that take over 100 ms to apply are counted, in etcd_server_slow_apply_total of /metrics", "warning-apply-duration")

	each("lines are those of this program, in the format of -log-format", isLogger, "logger")
	each("there is one level for all, -log-level", isAnything, "log-package-levels")
	never("files of --log-outputs are not rotated",
		"this program does not rotate its log files: let logrotate do it, with copytruncate, or log to standard error", "enable-log-rotation")
	each("files of --log-outputs are not rotated", isJSON, "log-rotation-config-json")

	each("without discovery nothing falls back", isOneOf("exit", "proxy"), "discovery-fallback")
	each(onlyProxy, isProxyOff, "proxy")
	each(onlyProxy, isWholeFromZero, "proxy-failure-wait", "proxy-refresh-interval", "proxy-dial-timeout", "proxy-write-timeout", "proxy-read-timeout")
	each(ofEtcd04, isAnything, "cluster-active-size", "cluster-remove-delay", "cluster-sync-interval", "max-result-buffer",
		"max-retry-attempts", "retry-interval", "peer-heartbeat-interval", "peer-election-timeout")
	return all
}

// Checks of values from which nothing follows.

func isAnything(string) error { return nil }

func isTrueOrFalse(given string) error { return boolean{new(bool)}.Set(given) }

func isWhole(given string) error { return signed[int64]{new(int64)}.Set(given) }

func isWholeFromZero(given string) error { return unsigned[uint64]{new(uint64)}.Set(given) }

func isTime(given string) error { return duration{new(time.Duration)}.Set(given) }

func isOneOf(words ...string) func(string) error { return choice{new(string), words}.Set }

// isFalse refuses what cannot be turned on.
func isFalse(instead string) func(string) error {
	return func(given string) error {
		on := false
		if err := (boolean{&on}).Set(given); err != nil || !on {
			return err
		}
		return errors.New(instead)
	}
}

func isRetention(given string) error {
	if isWholeFromZero(given) == nil {
		return nil
	}
	if d, err := time.ParseDuration(given); err != nil || d < 0 {
		return errors.New("want a number of hours or of revisions, or a time such as 30m")
	}
	return nil
}

func isAuthToken(given string) error {
	if kind, _, _ := strings.Cut(given, ","); kind != "simple" {
		return errors.New("this version has no such tokens: write simple, or leave it out")
	}
	return nil
}

func isFeatureGates(given string) error {
	for _, gate := range splitList(given) {
		name, on, _ := strings.Cut(gate, "=")
		if name == "" || isTrueOrFalse(on) != nil {
			return errors.New("want NAME=true or NAME=false, comma separated")
		}
	}
	return nil
}

func isLogger(given string) error {
	if given != "zap" {
		return errors.New("write zap, or leave it out: there are no loggers to choose from, and -log-format says how lines look")
	}
	return nil
}

func isJSON(given string) error {
	if !json.Valid([]byte(given)) {
		return errors.New("want JSON")
	}
	return nil
}

func isProxyOff(given string) error {
	if given != "off" {
		return errors.New("this program has no proxy: name the machines of the cluster to clients, or put a load balancer before them")
	}
	return nil
}

func isMetrics(given string) error {
	if given != "basic" && given != "extensive" {
		return errors.New("want basic or extensive; where else metrics are served is said by --listen-metrics-urls")
	}
	return nil
}
