package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestFile checks what a file of settings says, and what is refused with which line.
func TestFile(t *testing.T) {
	accepted := []struct {
		name, text string
		want       func(c *config) bool
	}{
		{"nothing", "", func(c *config) bool { return len(c.given) == 0 }},
		{"comments", "# name: a\n---\n", func(c *config) bool { return len(c.given) == 0 }},
		{"YAML", "name: a\ndata-dir: '/tmp/a b'\nmaxsize: 3\nf: false\n", func(c *config) bool {
			return c.machine.Name == "a" && c.machine.DataDir == "/tmp/a b" && c.machine.MaxMembers == 3
		}},
		{"JSON", `{"name": "a", "max-wals": 5, "cors": ["http://a", "http://b"]}`, func(c *config) bool {
			return c.machine.Name == "a" && slices.Equal(c.machine.CORS, []string{"http://a", "http://b"})
		}},
		{"names of 2013", "n: a\nd: /tmp/a\nC: 10.0.0.1:7001\nc: 4005\n", func(c *config) bool {
			return c.machine.Name == "a" && c.join == "10.0.0.1:7001" && c.clientAddr == "4005"
		}},
		{"no value", "name: a\ndata-dir:\ncors: ''\ninitial-cluster: null\nclient-transport-security:\n", func(c *config) bool { return len(c.given) == 1 }},
		{"times", "heartbeat-interval: 50\nelection-timeout: 2s\nslow: 1000000000\nrequest-timeout: 7s\ngrpc-keepalive-min-time: 5000000000\nauto-compaction-retention: \"1\"\n", func(c *config) bool {
			m := c.machine
			return m.Heartbeat == 50*time.Millisecond && m.Election == 2*time.Second && m.Slow == time.Second && m.RequestTimeout == 7*time.Second
		}},
		{"TLS", "client-transport-security:\n  cert-file: a\n  key-file: b\n  auto-tls: false\npeer-transport-security:\n  cert-file: c\n  trusted-ca-file: d\n  client-cert-auth: true\n  allowed-cn: [x, y]\n", func(c *config) bool {
			m := c.machine
			return m.ClientTLS.Cert == "a" && m.ClientTLS.Key == "b" && m.PeerTLS.Cert == "c" && m.PeerTLS.CA == "d" && slices.Equal(m.AllowedCN, []string{"x", "y"})
		}},
		{"lists", "log-outputs: [stderr, /tmp/a]\nhost-whitelist: a,b\n", func(c *config) bool {
			return slices.Equal(c.logOutputs, []string{"stderr", "/tmp/a"}) && slices.Equal(c.machine.HostWhitelist, []string{"a", "b"})
		}},
		{"experimental", "experimental-max-learners: 3\nsocket-options: {reuse-port: true}\n", func(c *config) bool { return len(c.given) == 2 }},
	}
	for _, test := range accepted {
		c := newConfig()
		if err := c.parseFile([]byte(test.text)); err != nil || !test.want(c) {
			t.Errorf("%s: %+v, %v", test.name, c, err)
		}
	}
	refused := []struct{ text, says string }{
		{"name: a\nnmae: b\n", "line 2: there is no setting nmae; is it name?"},
		{"nothing-like-it-at-all: b\n", "there is no setting nothing-like-it-at-all"},
		{"config-file: a\n", "there is no setting config-file"},
		{"version: true\n", "there is no setting version"},
		{"client-transport-security:\n  peer-cert-file: a\n", "line 2: there is no setting client-transport-security: peer-cert-file"},
		{"client-transport-security: a\n", "client-transport-security: want names of settings"},
		{"peer-transport-security:\n  client-cert-file: a\n", "line 2: peer-transport-security: client-cert-file: a machine has one certificate"},
		{"discovery-config:\n  token: a\n", "--initial-cluster"},
		{"wal-dir: /fast\n", "line 1: wal-dir: the log is in the data directory"},
		{"name: a\nname: b\n", "line 2: name is there twice"},
		{"n: a\nname: b\n", "n and name are the same setting, and differ"},
		{"name: {a: b}\n", "name: want one value"},
		{"name: &a b\ndata-dir: *a\n", "data-dir: want one value"},
		{"cors: [[a]]\n", "cors: want a list of words"},
		{"maxsize: many\n", `line 1: maxsize "many": want a whole number`},
		{"- name\n", "want names of settings"},
		{"name\n", "want names of settings"},
		{"name: [a\n", "line 1"},
		{"name: a\n---\nname: b\n", "second document"},
		{"\x00", "control characters"},
	}
	for _, test := range refused {
		if err := newConfig().parseFile([]byte(test.text)); err == nil || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: the error is %v, want %q in one line", test.text, err, test.says)
		}
	}
}

// TestFilesThatCannotBeRead checks that the path is named, and the exit code that of a machine that cannot
// run, unless what the file says is wrong.
func TestFilesThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	large, wrong := filepath.Join(dir, "large"), filepath.Join(dir, "wrong")
	for path, data := range map[string][]byte{large: bytes.Repeat([]byte("#"), maxFile+1), wrong: []byte("x: y\n")} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		path, says string
		usage      bool
	}{
		{filepath.Join(dir, "nosuch"), "no such file", false}, {dir, "directory", false}, {large, "at most", false}, {wrong, "there is no setting x", true},
	} {
		_, err := parseConfig([]string{"--config-file", test.path}, nil, io.Discard)
		if err == nil || !strings.Contains(err.Error(), "--config-file "+test.path) || !strings.Contains(err.Error(), test.says) || errors.As(err, new(errUsage)) != test.usage {
			t.Errorf("%s: %v, want %q", test.path, err, test.says)
		}
	}
}

// FuzzFile checks that no file makes the program panic, or sets what it does not name.
func FuzzFile(f *testing.F) {
	for _, seed := range []string{
		"name: a\nheartbeat-interval: 100\n", `{"log-outputs": ["stderr"], "snapshot-count": 5}`, "peer-transport-security:\n  allowed-cn: [a]\n  client-cert-auth: true\n",
		"a: &a [*a]\n", "<<: {name: a}\n", "? [a]\n: b\n", "name: !!binary aGVsbG8=\n", "name: !x y\n", "\xef\xbb\xbfname: a\n", "slow: 9223372036854775807\n", "---\n...\n---\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c := newConfig()
		if err := c.parseFile(data); err != nil {
			if err.Error() == "" {
				t.Error("an error without words")
			}
			return
		}
		for _, g := range c.given {
			name := g.by[strings.LastIndex(g.by, " ")+1:]
			if !bytes.Contains(data, []byte(name)) && !bytes.ContainsAny(data, `\`) { // escapes may write it otherwise
				t.Errorf("%q sets %s", data, g.by)
			}
		}
		if c.joinFile == "" { // which is read
			_ = c.check() // must not panic
		}
	})
}
