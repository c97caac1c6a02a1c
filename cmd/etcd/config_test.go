package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestRefusedFlags checks that an invalid command line is refused, with what to write
// instead.
func TestRefusedFlags(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte(" \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		args string
		env  string
		says []string
	}{
		{"-C foo", "", []string{"-C", "foo", "port", "foo:7001"}},
		{"-C foo:bar", "", []string{"-C", "foo:bar", "port"}},
		{"-C 127.0.0.1", "", []string{"-C", "127.0.0.1", "port"}},
		{"-C ftp://a:7001", "", []string{"-C", "ftp", "http"}},
		{"-C ,", "", []string{"-C names no machine", "leave it out"}},
		{"-C=", "", []string{"-C names no machine"}},
		{"-CF nosuch", "", []string{"-CF nosuch", "no such file", "host:peerport"}},
		{"-CF " + empty, "", []string{"-CF", "names no machine"}},
		{"", "ETCD_JOIN=foo", []string{"-C", "foo:7001"}},
		{"-heartbeat 100x", "", []string{"-heartbeat", "want a time", "100ms"}},
		{"-election 1.5", "", []string{"-election", "1.5ms"}},
		{"-request-timeout 5", "", []string{"-request-timeout", "5s"}},
		{"-request-timeout soon", "", []string{"-request-timeout", "want a time", "5s"}},
		{"", "ETCD_HEARTBEAT=soon", []string{"ETCD_HEARTBEAT", "100ms"}},
		{"-h [::1]", "", []string{"-h", "write ::1"}},
		{"-h 10.0.0.1:4001", "", []string{"-h", "without a port"}},
		{"-h http://a", "", []string{"-h", "scheme"}},
		{"-h=", "", []string{"-h", "0.0.0.0"}},
		{"-c ::1:4001", "", []string{"-c", "[::1:4001]:PORT"}},
		{"-c foo", "", []string{"-c", "foo", "host:port"}},
		{"-c=", "", []string{"-c", "host:port"}},
		{"-c 4001 -s 4001", "", []string{"-c", "-s", "127.0.0.1:4001", "different ports"}},
		{"-c 127.0.0.1:4001 -s :4001", "", []string{"-c", "-s", "different ports"}},
		{"-c 10.0.0.1:4001 -cl 0.0.0.0:4001 -s 10.0.0.2:4001", "", []string{"listen", "different ports"}},
		{"-cors http://x/", "", []string{"-cors", "write http://x"}},
		{"-cors https://X.example:443", "", []string{"-cors", "write https://x.example"}},
		{"-cors x.example", "", []string{"-cors", "http://example.com"}},
		{"-serverAllowedCN a", "", []string{"-serverCAFile"}},
		{"-serverAllowedCN a -serverAllowedHostname b -serverCAFile ca", "", []string{"mutually exclusive"}},
		{"-serverAllowedCN , -serverCAFile ca", "", []string{"-serverAllowedCN", "names nothing"}},
		{"-host-whitelist ,", "", []string{"-host-whitelist", "names nothing"}},
		{"-peer-cert-allowed-cn a", "", []string{"--peer-cert-allowed-cn", "give --peer-trusted-ca-file"}},
		{"-cors http://x:", "", []string{"-cors", "write http://x"}},
		{"-cors http://x:99999", "", []string{"-cors", "http://x:99999", "port"}},
		{"-cors http://me@x", "", []string{"-cors", "write http://x"}},
		{"-cors null", "", []string{"-cors", "http://example.com"}},
		{"-host-whitelist http://x", "", []string{"-host-whitelist", "scheme"}},
		{"-host-whitelist x,y:4001", "", []string{"-host-whitelist", "y:4001", "port"}},
		{"", "ETCD_HOST_WHITELIST=x/", []string{"-host-whitelist", "x/"}},
		{"-metrics 127.0.0.1:2381", "", []string{"--metrics", "basic or extensive", "--listen-metrics-urls"}},
		{"-listen-metrics-urls foo", "", []string{"--listen-metrics-urls", "host:port"}},
		{"-listen-metrics-urls 4001", "", []string{"--listen-metrics-urls 127.0.0.1:4001", "a port of its own"}},
		{"-listen-metrics-urls :7001", "", []string{"--listen-metrics-urls 127.0.0.1:7001", "a port of its own"}},
		{"-pprof", "", []string{"-pprof", "is it --enable-pprof?"}},
		{"-slow -1s", "", []string{"-slow", "0"}},
		{"-slow 200", "", []string{"-slow", "200ms"}},
		{"-log-level loud", "", []string{"-log-level", "loud", "debug, info, warn or error"}},
		{"-log-level warn -v", "", []string{"-v", "-log-level"}},
		{"-log-format xml", "", []string{"-log-format", "text, json or console"}},
		{"", "ETCD_LOG_FORMAT=xml", []string{"ETCD_LOG_FORMAT", "text, json or console"}},
		{"-data-dri /tmp/a", "", []string{"-data-dri", "is it --data-dir?"}},
		{"-nosuch", "", []string{"there is no flag -nosuch"}},
		{"-m many", "", []string{`"many"`, "-m", "whole number"}},
		{"-m -1", "", []string{"-m", "from 0 on"}},
		{"-snapshot=maybe", "", []string{"-snapshot", "true or false"}},
		{"", "ETCD_F=2", []string{"ETCD_F", "true or false"}},
		{"", "ETCD_R=x", []string{"ETCD_R", "a whole number"}},
		{"-skip-entry many", "", []string{"-skip-entry", "indexes", "comma"}},
		{"", "ETCD_SKIP_ENTRY=0", []string{"-skip-entry"}},
		{"-n a/b", "", []string{"-n", "slash"}},
		{"-n a,b", "", []string{"-n", "comma"}},
		{"-n a\x1b[2J", "", []string{"-n", `\x1b`, "cannot be seen"}},
		{"-n=", "", []string{"-n", "empty"}},
		{"", "ETCD_NAME=..", []string{"-n", ".."}},
		{"-n " + strings.Repeat("n", 256), "", []string{"-n", "255"}},
		{"-h " + strings.Repeat(strings.Repeat("a", 62)+".", 3) + strings.Repeat("a", 62), "", []string{"name", "255", "give it one with -n"}},
		{"-h a,b", "", []string{"-h", "neither an address nor a name"}},
		{"-h fe80::1%a,b", "", []string{"-h", "want an address or a name"}},
		{"-h a\x1b", "", []string{"-h", `\x1b`, "neither an address nor a name"}},
		{"-c evil:4001,127.0.0.1:14001", "", []string{"-c", "host:port"}},
		{"-c evil,127.0.0.1:4001", "", []string{"-c", "neither a DNS name nor an IP address"}},
		{"-s u@a:7001", "", []string{"-s", "neither"}},
		{"-s a/b:7001", "", []string{"-s", "neither"}},
		{"-cl a_%:7001", "", []string{"-cl", "neither"}},
		{"-sl [::1%a\x00]:7001", "", []string{"-sl", "neither"}},
		{"", "ETCD_S=-a:7001", []string{"-s", "neither"}},
		{"-C a:0", "", []string{"-C", "port from 1"}},
		{"-C http://a/b:7001", "", []string{"-C", "neither"}},
		{"-C a\x1b:7001", "", []string{"-C", `\x1b`, "neither"}},
		{"-cors http://a,b:1", "", []string{"-cors", "b:1"}},
		{"-cors http://a*b", "", []string{"-cors", "neither"}},
		{"", "ETCD_D=/a ETCD_DATA_DIR=/b", []string{"ETCD_D", "ETCD_DATA_DIR", "differ"}},
	}
	for _, test := range tests {
		c, err := parseConfig(strings.Fields(test.args), strings.Fields(test.env), io.Discard)
		if err == nil {
			t.Errorf("etcd %s is accepted: %+v", test.args, c)
			continue
		}
		for _, want := range test.says {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("etcd %s: %q does not say %q", test.args, err, want)
			}
		}
		if usage := !strings.HasPrefix(test.args, "-CF nosuch"); errors.As(err, new(errUsage)) != usage {
			t.Errorf("etcd %s: %q is a mistake of the command line: want %v", test.args, err, usage)
		}
	}
}

// TestAcceptedFlags checks the meaning of command lines that are close to refused ones.
func TestAcceptedFlags(t *testing.T) {
	parse := func(args string, env ...string) *config {
		t.Helper()
		c, err := parseConfig(strings.Fields(args), env, io.Discard)
		if err != nil {
			t.Fatalf("etcd %s: %v", args, err)
		}
		return c
	}
	parse("-h ::1 -c 0 -s 0")
	c := parse("-h 10.0.0.1 -C 7002,10.0.0.3:7001,https://a:7001/")
	if want := []string{"10.0.0.1:7002", "10.0.0.3:7001", "https://a:7001"}; !slices.Equal(c.machine.Join, want) {
		t.Errorf("the machines to join are %q, want %q", c.machine.Join, want)
	}
	if c := parse("-skip-entry 7,4711"); !slices.Equal(c.machine.SkipEntries, []uint64{7, 4711}) {
		t.Errorf("the entries to skip are %d", c.machine.SkipEntries)
	}
	parse("-cors http://x,https://y:8443,http://[::1]:8080,chrome-extension://abc,*")
	parse("", "ETCD_JOIN=")
	if c := parse("-host-whitelist a.example,10.0.0.1,* -cl b.example:4001"); !slices.Equal(c.machine.HostWhitelist, []string{"a.example", "10.0.0.1", "*"}) {
		t.Errorf("the machine is called %q", c.machine.HostWhitelist)
	}
	parse("-c 10.0.0.1:4001 -s 10.0.0.2:4001")
	parse("-h etcd_1.my_net -C etcd_2.my_net:7001 -n node-你好")
	if c := parse("-h fe80::1%eth0 -C https://[fe80::2%25eth0]:7001"); !slices.Equal(c.machine.Join, []string{"https://[fe80::2%eth0]:7001"}) {
		t.Errorf("the machines to join are %q", c.machine.Join)
	}
	if c := parse("-c 4001", "ETCD_NAME=a", "ETCD_DATA_DIR=/b", "ETCD_C=4002", "ETCD_N=a"); c.machine.Name != "a" || c.machine.DataDir != "/b" || c.machine.ClientAddr != "4001" {
		t.Errorf("the environment is read as %+v", c)
	}
}

// TestVersionOfAnything checks that -version works whatever else is invalid.
func TestVersionOfAnything(t *testing.T) {
	if c, err := parseConfig([]string{"-version", "-C", "foo"}, []string{"ETCD_M=x"}, io.Discard); err != nil || !c.version {
		t.Errorf("%+v, %v", c, err)
	}
}
