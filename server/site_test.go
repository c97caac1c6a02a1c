package server

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func strs(of []site) []string {
	all := make([]string, len(of))
	for i, at := range of {
		all[i] = at.String()
	}
	return all
}

// Where a machine listens, and with which schemes.
func TestSites(t *testing.T) {
	const first, today = "http://127.0.0.1:4001", "http://127.0.0.1:2379"
	certified := func(c *Config) { c.ClientTLS.Cert, c.PeerTLS.Cert = "c.crt", "p.crt" }
	for _, test := range []struct {
		name                    string
		set                     func(*Config)
		clients, peers, metrics []string
	}{
		{"nothing is said", func(*Config) {}, []string{first, today}, nil, nil},
		{"nothing is said, with certificates", certified, []string{"https://127.0.0.1:4001", "https://127.0.0.1:2379"}, []string{"https://127.0.0.1:7001"}, nil},
		{"a client address", func(c *Config) { c.ClientAddr = "4001" }, []string{first}, nil, nil},
		{"a host", func(c *Config) { c.Host = "0.0.0.0" }, []string{"http://0.0.0.0:4001"}, []string{"http://0.0.0.0:7001"}, nil},
		{"a listen address", func(c *Config) { c.ClientListen = []string{"4002"} }, []string{"http://127.0.0.1:4002"}, nil, nil},
		{"an advertised URL", func(c *Config) { c.ClientURLs = []string{"http://10.0.0.1:2379"} }, []string{"http://10.0.0.1:2379"}, nil, nil},
		{"a URL for a new machine", func(c *Config) { c.InitialPeerURLs = []string{"http://10.0.0.1:2380"} }, []string{first, today}, []string{"http://10.0.0.1:2380"}, nil},
		{"peers at today's port", func(c *Config) { c.PeerAddr = "2379" }, []string{first}, []string{"http://127.0.0.1:2379"}, nil},
		{"metrics at today's port", func(c *Config) { c.MetricsListen = []string{"2379"} }, []string{first}, nil, []string{today}},
		{
			"several of each", func(c *Config) {
				c.ClientListen = []string{"http://127.0.0.1:2379", "http://[::1]:2379", "unix:///run/etcd.sock", "http://127.0.0.1:2379"}
				c.PeerListen, c.MetricsListen = []string{"http://127.0.0.1:2380", "10.0.0.1:2380"}, []string{"http://127.0.0.1:2381", "2382"}
			},
			[]string{"http://127.0.0.1:2379", "http://[::1]:2379", "unix:///run/etcd.sock"},
			[]string{"http://127.0.0.1:2380", "http://10.0.0.1:2380"}, []string{"http://127.0.0.1:2381", "http://127.0.0.1:2382"},
		},
		{
			"schemes decide, with certificates", func(c *Config) {
				certified(c)
				c.ClientListen, c.MetricsListen = []string{"http://127.0.0.1:1", "https://127.0.0.1:2", "3"}, []string{"https://127.0.0.1:5", "6"}
				c.PeerListen = []string{"http://127.0.0.1:4"}
			},
			[]string{"http://127.0.0.1:1", "https://127.0.0.1:2", "https://127.0.0.1:3"}, []string{"http://127.0.0.1:4"}, []string{"https://127.0.0.1:5", "http://127.0.0.1:6"},
		},
		{"a certificate that is made", func(c *Config) { c.ClientListen, c.AutoTLS = []string{"https://127.0.0.1:1"}, true }, []string{"https://127.0.0.1:1"}, nil, nil},
		{"one for peers", func(c *Config) { c.PeerAutoTLS = true }, []string{first, today}, []string{"https://127.0.0.1:7001"}, nil},
		{"a zone", func(c *Config) { c.ClientListen = []string{"http://[fe80::1%25eth0]:1"} }, []string{"http://[fe80::1%25eth0]:1"}, nil, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := Defaults()
			test.set(&c)
			if err := c.Validate(); err != nil {
				t.Fatal(err)
			}
			at, err := c.withDefaults(stored{}).sites()
			if err != nil {
				t.Fatal(err)
			}
			if test.peers == nil {
				test.peers = []string{"http://127.0.0.1:7001"}
			}
			if !slices.Equal(strs(at.clients), test.clients) || !slices.Equal(strs(at.peers), test.peers) || !slices.Equal(strs(at.metrics), test.metrics) {
				t.Errorf("it listens at %q, %q and %q", strs(at.clients), strs(at.peers), strs(at.metrics))
			}
		})
	}
}

// What is remembered of the start before counts like what is said, unless it is the default.
func TestSitesRemembered(t *testing.T) {
	for _, test := range []struct {
		remembered string
		clients    []string
	}{
		{"127.0.0.1:4001", []string{"http://127.0.0.1:4001", "http://127.0.0.1:2379"}},
		{"127.0.0.1:4002", []string{"http://127.0.0.1:4002"}},
	} {
		c := Defaults()
		c.InitialPeerURLs = []string{"http://10.0.0.1:2380"} // is for new machines only
		with := c.withDefaults(stored{ClientAddr: test.remembered, PeerAddr: "127.0.0.1:7001"})
		at, err := with.sites()
		if err != nil || !slices.Equal(strs(at.clients), test.clients) || !slices.Equal(strs(at.peers), []string{"http://127.0.0.1:7001"}) {
			t.Errorf("with %s remembered it listens at %q and %q, %v", test.remembered, strs(at.clients), strs(at.peers), err)
		}
	}
}

// TestRefusedSites checks what a person is told about places at which a machine cannot listen.
func TestRefusedSites(t *testing.T) {
	clients := func(urls ...string) func(*Config) { return func(c *Config) { c.ClientListen = urls } }
	peers := func(urls ...string) func(*Config) { return func(c *Config) { c.PeerListen = urls } }
	metrics := func(urls ...string) func(*Config) { return func(c *Config) { c.MetricsListen = urls } }
	advertised := func(url string) func(*Config) { return func(c *Config) { c.ClientURLs = []string{url} } }
	initial := func(urls ...string) func(*Config) { return func(c *Config) { c.InitialPeerURLs = urls } }
	for _, test := range []struct {
		set  func(*Config)
		says []string
	}{
		{clients("https://127.0.0.1:2379"), []string{"--listen-client-urls https://127.0.0.1:2379", "--cert-file", "--auto-tls"}},
		{peers("https://127.0.0.1:2380"), []string{"--listen-peer-urls https://127.0.0.1:2380", "--peer-cert-file", "--peer-auto-tls"}},
		{metrics("https://127.0.0.1:2381"), []string{"--listen-metrics-urls", "--cert-file"}},
		{func(c *Config) {
			c.PeerTLS.Cert, c.PeerListen = "x", []string{"https://127.0.0.1:1", "http://127.0.0.1:2"}
		}, []string{"--listen-peer-urls", "same scheme"}},
		{func(c *Config) { c.PeerTLS.Cert, c.PeerListen = "x", []string{"1", "http://127.0.0.1:2"} }, []string{"--listen-peer-urls", "same scheme"}},
		{clients("foo"), []string{`-cl "foo"`, "host:port"}},
		{clients("ftp://127.0.0.1:1"), []string{"--listen-client-urls", "http:// or https:// or unix://"}},
		{peers("unix:///run/x"), []string{"--listen-peer-urls", "http:// or https://"}},
		{metrics("unix:///run/x"), []string{"--listen-metrics-urls", "http:// or https://"}},
		{clients("unix://"), []string{"path of the socket"}},
		{clients("unix:///" + strings.Repeat("x", 200)), []string{"at most 103 bytes"}},
		{clients("http://127.0.0.1"), []string{"port"}},
		{clients("http://127.0.0.1:2379/"), []string{"nothing behind its port", "http://host:port"}},
		{clients("http://u@127.0.0.1:2379"), []string{"nothing behind its port"}},
		{clients("http://:2379"), []string{"names no host", "http://0.0.0.0:2379"}},
		{clients("http://a b:2379"), []string{"neither a DNS name nor an IP address"}},
		{clients("http://127.0.0.1:99999"), []string{"port from 1 to 65535"}},
		{clients("http://127.0.0.1:2379", "https://127.0.0.1:2379"), []string{"cannot both", "leave one"}},
		{clients("http://0.0.0.0:2379", "http://127.0.0.1:2379"), []string{"http://0.0.0.0:2379", "cannot both"}},
		{clients("http://127.0.0.1:7001"), []string{"for clients", "different ports"}},
		{metrics("7001"), []string{"--listen-metrics-urls", "port of its own"}},
		{metrics("1", "1:x"), []string{"--listen-metrics-urls"}},
		{advertised("127.0.0.1:2379"), []string{"--advertise-client-urls", "want a URL"}},
		{advertised("http://127.0.0.1:2379/x"), []string{"--advertise-client-urls", "nothing behind its port"}},
		{advertised("unix:///run/x"), []string{"--advertise-client-urls", "want a URL"}},
		{func(c *Config) { c.ClientAddr, c.ClientURLs = "4001", []string{"http://127.0.0.1:4001"} }, []string{"-c", "--advertise-client-urls", "leave one"}},
		{initial("http://127.0.0.1:1", "http://127.0.0.1:2"), []string{"--initial-advertise-peer-urls", "2 URLs"}},
		{initial("a:1"), []string{"--initial-advertise-peer-urls", "want a URL"}},
		{initial("http://a:x"), []string{"--initial-advertise-peer-urls", "port"}},
		{func(c *Config) { c.PeerAutoTLS, c.PeerTLS.Cert = true, "x" }, []string{"--peer-auto-tls", "--peer-cert-file", "mutually exclusive"}},
		{func(c *Config) { c.SelfSignedYears = 1000 }, []string{"--self-signed-cert-validity 1000", "1 to 100"}},
	} {
		c := Defaults()
		test.set(&c)
		err := c.Validate()
		for _, part := range test.says {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("listening at %q, %q, %q: %v does not say %q", c.ClientListen, c.PeerListen, c.MetricsListen, err, part)
			}
		}
	}
}

// The peer URL of a new machine has the scheme that it speaks; for one that is not new it does not count.
func TestInitialPeerURLScheme(t *testing.T) {
	c := Defaults()
	c.InitialPeerURLs, c.PeerListen = []string{"https://10.0.0.1:2380"}, []string{"http://10.0.0.1:2380"}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.withStored(&dataDir{}); err == nil || !strings.Contains(err.Error(), "--initial-advertise-peer-urls https://10.0.0.1:2380: this machine speaks http") {
		t.Errorf("a new machine: %v", err)
	}
	dir := tempDataDir(t)
	lay(t, dir, map[string]string{storedFile: `{"name":"a","clientAddr":"127.0.0.1:4001","peerAddr":"10.0.0.1:2380"}`})
	p := &dataDir{path: dir}
	if err := p.open(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.withStored(p); err != nil {
		t.Errorf("one that has run before: %v", err)
	}
}

// FuzzSites: whatever is given as a place to listen is either refused or can be written as a URL that
// stands for the same place.
func FuzzSites(f *testing.F) {
	for _, text := range []string{"4001", ":1", "[::1]:0", "http://a:1", "https://[fe80::1%25eth0]:1", "unix://x", "http://:1", "http://a:0", "x://"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		at, err := clientSide.site(text, "127.0.0.1")
		if err != nil {
			if !strings.Contains(err.Error(), fmt.Sprintf("%q", text)) {
				t.Errorf("%v does not repeat %q", err, text)
			}
			return
		}
		if at.scheme == "" {
			at.scheme = "http"
		}
		again, err := clientSide.site(at.String(), "127.0.0.1")
		if err != nil || again.String() != at.String() || again.addr != at.addr {
			t.Errorf("%q is %+v, and that is %+v, %v", text, at, again, err)
		}
	})
}
