package main

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMixing checks what counts if a setting is given in more than one way: by flags of both families,
// in every order, by variables of both, and in a file.
func TestMixing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "etcd.yml")
	if err := os.WriteFile(file, []byte("name: of-the-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const refused = ""
	tests := []struct {
		flags, env []string
		name       string // or refused, with both words
		words      []string
	}{
		{[]string{"-n=a"}, nil, "a", nil},
		{[]string{"--name=a"}, nil, "a", nil},
		{[]string{"-n=a", "--name=a"}, nil, "a", nil},
		{[]string{"-n=a", "--name=b"}, nil, refused, []string{"-n", "--name"}},
		{nil, []string{"ETCD_N=a"}, "a", nil},
		{nil, []string{"ETCD_NAME=a"}, "a", nil},
		{nil, []string{"ETCD_EXPERIMENTAL_NAME=a"}, "a", nil},
		{nil, []string{"ETCD_N=a", "ETCD_NAME=a"}, "a", nil},
		{nil, []string{"ETCD_N=a", "ETCD_NAME=b"}, refused, []string{"ETCD_N", "ETCD_NAME"}},
		{[]string{"-n=a"}, []string{"ETCD_N=b"}, "a", nil},
		{[]string{"-n=a"}, []string{"ETCD_NAME=b"}, "a", nil},
		{[]string{"-n=a"}, []string{"ETCD_NAME=/"}, "a", nil},
		{[]string{"--name=a"}, []string{"ETCD_N=b"}, refused, []string{"--name", "ETCD_N", "unset"}},
		{[]string{"--name=a"}, []string{"ETCD_NAME=b"}, refused, []string{"--name", "ETCD_NAME", "unset"}},
		{[]string{"--name=a"}, []string{"ETCD_NAME=a"}, refused, []string{"--name", "ETCD_NAME", "unset"}},
		{[]string{"-n=a", "--name=a"}, []string{"ETCD_NAME=b"}, refused, []string{"--name", "ETCD_NAME"}},
		{[]string{"--name=a"}, []string{"ETCD_NAME="}, "a", nil},
		{[]string{"--experimental-name=a"}, []string{"ETCD_NAME=a"}, refused, []string{"--experimental-name", "ETCD_NAME"}},

		{[]string{"--config-file=" + file}, nil, "of-the-file", nil},
		{[]string{"--config-file=" + file, "-n=a"}, nil, "of-the-file", []string{"-n"}},
		{[]string{"--config-file=" + file, "-n=a", "--name=b"}, nil, refused, []string{"-n", "--name"}},
		{[]string{"--config-file=" + file}, []string{"ETCD_NAME=a", "ETCD_N=b"}, "of-the-file", []string{"ETCD_NAME", "ETCD_N"}},
		{[]string{"--config-file=" + file, "--name=a"}, []string{"ETCD_NAME=a"}, "of-the-file", []string{"--name", "ETCD_NAME"}},
		{nil, []string{"ETCD_CONFIG_FILE=" + file}, "of-the-file", nil},
		{[]string{"--name=a"}, []string{"ETCD_CONFIG_FILE=" + file, "ETCD_N=b"}, "of-the-file", []string{"--name", "ETCD_N"}},
		{[]string{"--config-file=" + file}, []string{"ETCD_CONFIG_FILE=nosuch"}, "of-the-file", []string{"ETCD_CONFIG_FILE"}},
	}
	for _, test := range tests {
		for _, order := range permutations(test.flags) {
			for _, env := range permutations(test.env) {
				checkMixing(t, order, env, test.name, test.words)
			}
		}
	}
}

func checkMixing(t *testing.T, args, env []string, name string, words []string) {
	t.Helper()
	c, err := parseConfig(args, env, io.Discard)
	said := ""
	switch {
	case err != nil && name != "":
		t.Errorf("%q %q: %v", args, env, err)
		return
	case err != nil:
		said = err.Error()
		if !errors.As(err, new(errUsage)) {
			t.Errorf("%q %q: %v is no mistake of the command line", args, env, err)
		}
	case c.machine.Name != name:
		t.Errorf("%q %q: the name is %q, want %q", args, env, c.machine.Name, name)
		return
	default:
		var log bytes.Buffer
		c.report(slog.New(slog.NewTextHandler(&log, nil)))
		if said = log.String(); (len(words) > 0) != strings.Contains(said, "ignored=") {
			t.Errorf("%q %q: it logs %q", args, env, said)
		}
	}
	for _, word := range words {
		if !strings.Contains(said, word) {
			t.Errorf("%q %q: it says %q, and not %q", args, env, said, word)
		}
	}
}

// permutations returns all orders of a few words.
func permutations(words []string) [][]string {
	if len(words) < 2 {
		return [][]string{words}
	}
	var all [][]string
	for i := range words {
		rest := slices.Delete(slices.Clone(words), i, i+1)
		for _, order := range permutations(rest) {
			all = append(all, append([]string{words[i]}, order...))
		}
	}
	return all
}

// TestLastOneCounts checks that a flag may be given twice.
func TestLastOneCounts(t *testing.T) {
	c, err := parseConfig([]string{"--initial-cluster-token", "a", "--name", "a", "-initial-cluster-token=b", "--name", "b", "-n", "b"}, nil, io.Discard)
	if err != nil || c.machine.Name != "b" || c.machine.InitialClusterToken != "b" {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestHelpAndHost checks that -h alone asks for help, and with a value is the host.
func TestHelpAndHost(t *testing.T) {
	for _, args := range []string{"-h", "--h", "--help", "-help", "--name a -h"} {
		var out bytes.Buffer
		if _, err := parseConfig(strings.Fields(args), []string{"ETCD_M=x"}, &out); !errors.Is(err, flag.ErrHelp) {
			t.Errorf("etcd %s: %v, want help", args, err)
		}
		for _, s := range newConfig().settings {
			if n := strings.Count(out.String(), "\n  "+s.title()+"\n") + strings.Count(out.String(), "\n  "+s.title()+" ") + strings.Count(out.String(), "\n  "+s.title()+","); n != 1 && s.instead == "" {
				t.Errorf("etcd %s: %s is there %d times", args, s.title(), n)
			}
			if s.group >= groupMoot {
				continue
			}
			for _, name := range append(s.names(), s.variables()[:min(1, len(s.variables()))]...) {
				if !strings.Contains(out.String(), name) {
					t.Errorf("etcd %s does not show %s", args, name)
				}
			}
		}
	}
	for _, args := range []string{"-h 10.0.0.1", "--h=10.0.0.1"} {
		if c, err := parseConfig(strings.Fields(args), nil, io.Discard); err != nil || c.machine.Host != "10.0.0.1" {
			t.Errorf("etcd %s: %+v, %v", args, c, err)
		}
	}
}

// TestCollisions checks the flags in which the families differ.
func TestCollisions(t *testing.T) {
	accepted := []struct {
		args string
		want func(c *config) bool
	}{
		{"-heartbeat 200 --election-timeout 2s", func(c *config) bool {
			return c.machine.Heartbeat == 200*time.Millisecond && c.machine.Election == 2*time.Second
		}},
		{"-heartbeat 200ms --heartbeat-interval 200", func(c *config) bool { return c.machine.Heartbeat == 200*time.Millisecond }},
		{"-snapshot=false --snapshot-count 7", func(c *config) bool { return c.machine.NoSnapshots && c.machine.SnapshotEntries == 7 }},
		{"--quota-backend-bytes 8589934592", func(c *config) bool { return c.machine.Quota == 8<<30 && c.machine.SetQuota }},
		{"--quota-backend-bytes 0", func(c *config) bool { return c.machine.Quota == 2<<30 && !c.machine.SetQuota }},
		{"-quota -1", func(c *config) bool { return c.machine.Quota == 1<<50 && c.machine.SetQuota }},
		{"-max-body 7 --max-request-bytes 7", func(c *config) bool { return c.machine.MaxBody == 7 }},
		{"-slow 1s --experimental-warning-unary-request-duration 1000ms", func(c *config) bool { return c.machine.Slow == time.Second }},
		{"-cl 4005", func(c *config) bool { return slices.Equal(c.machine.ClientListen, []string{"4005"}) }},
		{"-c 4006 --listen-client-urls 4005 --listen-client-http-urls 4007", func(c *config) bool {
			return c.machine.ClientAddr == "4006" && slices.Equal(c.machine.ClientListen, []string{"4005", "4007"})
		}},
		{"--cors= --host-whitelist=", func(c *config) bool { return c.machine.CORS == nil && c.machine.HostWhitelist == nil }},
		{"", func(c *config) bool {
			return c.machine.CORS == nil && c.machine.HostWhitelist == nil && !c.machine.JoinExisting
		}},
		{"--initial-cluster-state existing --name a --initial-cluster a=http://127.0.0.1:7001", func(c *config) bool { return c.machine.JoinExisting }},
		{"-v", func(c *config) bool { return c.machine.LogLevel.Level() == slog.LevelDebug }},
		{"--debug", func(c *config) bool { return c.machine.LogLevel.Level() == slog.LevelDebug }},
		{"--log-level fatal", func(c *config) bool { return c.machine.LogLevel.Level() == slog.LevelError }},
		{"--cert-file crt -clientKey key --ca-file ca --client-cert-auth", func(c *config) bool {
			return c.machine.ClientTLS.Cert == "crt" && c.machine.ClientTLS.Key == "key" && c.machine.ClientTLS.CA == "ca"
		}},
		{"--client-cert-auth=false --discovery-fallback proxy", func(c *config) bool { return c.machine.ClientTLS.CA == "" }},
		{"--pre-vote --strict-reconfig-check --enable-v2=true --metrics basic", func(c *config) bool { return len(c.given) == 4 }},
	}
	for _, test := range accepted {
		if c, err := parseConfig(strings.Fields(test.args), nil, io.Discard); err != nil || !test.want(c) {
			t.Errorf("etcd %s: %+v, %v", test.args, c, err)
		}
	}
	refused := []struct{ args, says string }{
		{"--listen-client-urls 4005", "--listen-client-urls needs --advertise-client-urls"},
		{"-c 4005 --advertise-client-urls http://a:4005", "--advertise-client-urls and -c both say where"},
		{"-s 7005 --initial-advertise-peer-urls http://a:7005", "--initial-advertise-peer-urls and -s both say where"},
		{"-heartbeat 200ms --heartbeat-interval 300", "are the same setting, and differ"},
		{"-data-dir a -d b", "--data-dir and -d are the same setting"},
		{"--heartbeat-interval 500 --election-timeout 1000", "--election-timeout 1s"},
		{"-heartbeat 500 -election 1000", "-election 1s"},
		{"--client-cert-auth", "--client-cert-auth needs the CA whose certificates are accepted: give --trusted-ca-file"},
		{"--peer-client-cert-auth", "give --peer-trusted-ca-file"},
		{"--initial-cluster a=http://a:7001 --discovery https://a/b", "--initial-cluster and --discovery are mutually exclusive"},
		{"--initial-cluster a=http://a:7001 -C b:7001", "--initial-cluster and -C are mutually exclusive"},
		{"--discovery https://a/b --discovery-srv a", "mutually exclusive"},
		{"--discovery https://a/b --discovery-fallback proxy", "no proxy to fall back to"},
		{"--name a/b", `--name "a/b"`},
		{"--max-request-bytes 0", "--max-request-bytes 0"},
		{"--log-level loud", "--log-level"},
		{"--pre-vote false", "write --pre-vote=false"},
		{"gateway start", "this program has no proxy"},
		{"grpc-proxy start", "this program has no proxy"},
		{"--wal-dir", "--wal-dir: the log is in the data directory"},
		{"--name", "-name needs a value"},
		{"---name a", "---name"},
		{"--initial-clutser a", "is it --initial-cluster?"},
		{"--nothing-like-it-at-all a", "there is no flag -nothing-like-it-at-all"},
	}
	for _, test := range refused {
		if _, err := parseConfig(strings.Fields(test.args), nil, io.Discard); !errors.As(err, new(errUsage)) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("etcd %s: the error is %v, want %q", test.args, err, test.says)
		}
	}
}

// TestUnknownVariables checks that unknown variables with our prefix are reported, each once,
// and are no error; and that those of test frameworks are not.
func TestUnknownVariables(t *testing.T) {
	c, err := parseConfig(nil, []string{
		"ETCD_PORT=tcp://10.0.0.1:4001", "ETCD_VERSION=v3.5.0", "ETCD_VERIFY=all", "ETCD_UNSUPPORTED_ARCH=amd64", "ETCDCTL_API=3", "ETCD_M=7",
	}, io.Discard)
	if err != nil || c.version || c.machine.History != 7 || !c.machine.SetHistory {
		t.Fatalf("%+v, %v", c, err)
	}
	var log bytes.Buffer
	c.report(slog.New(slog.NewTextHandler(&log, nil)))
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	for i, want := range []string{"variable=ETCD_PORT", "variable=ETCD_VERSION"} {
		if len(lines) != 2 || !strings.HasSuffix(lines[i], want) {
			t.Fatalf("want %q at the end of line %d of\n%s", want, i, log.String())
		}
	}
}
