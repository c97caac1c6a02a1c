package endpoint_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode"

	"etcd/endpoint"
)

var (
	label63 = strings.Repeat("a", 63)
	name253 = strings.Repeat(label63+".", 3) + strings.Repeat("a", 61)
)

func TestURLs(t *testing.T) {
	for _, url := range []string{
		"http://127.0.0.1:7001", "https://0.0.0.0:1", "http://localhost:65535", "http://a.example:7001", "http://a.example.:7001",
		"http://etcd_1.my_net:7001", "http://_x:7001", "http://A-b.C:7001", "http://123456789012:7001", "http://1a.2b:7001",
		"http://[::1]:7001", "http://[::]:7001", "http://[2001:db8::1]:7001", "http://[::ffff:1.2.3.4]:7001",
		"http://[fe80::1%25eth0]:7001", "http://[fe80::1%25br-1_a.2]:7001", "http://" + name253 + ":7001", "https://" + name253 + ".:7001",
	} {
		if err := endpoint.CheckURL(url); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	for _, test := range []struct{ url, why string }{
		{"", "http"}, {"http", "http"}, {"127.0.0.1:7001", "http"}, {"//127.0.0.1:7001", "http"}, {"HTTP://a:1", "http"}, {" http://a:1", "http"},
		{"ftp://a:1", "http"}, {"unix:///a", "http"}, {"javascript://a:1", "http"}, {"http:/a:1", "http"}, {"http\x00://a:1", "http"},
		{"http://", "port"}, {"http://a", "port"}, {"http://a:", "port"}, {"http://a:0", "port"}, {"http://a:65536", "port"}, {"http://a:07", "port"},
		{"http://a:+7", "port"}, {"http://a:-7", "port"}, {"http://a:7 ", "port"}, {"http://a:0x7", "port"}, {"http://a:http", "port"},
		{"http://a:99999999999999999999", "port"}, {"http://[::1]", "port"}, {"http://a:7\r\nX: y", "port"}, {"http://a:７", "port"},
		{"http://:7001", "host"}, {"http://[]:7001", "bracket"}, {"http://.:1", "host"}, {"http://..:1", "host"}, {"http://a..b:1", "host"}, {"http://.a:1", "host"},
		{"http://-a:1", "host"}, {"http://a-:1", "host"}, {"http://a.-b:1", "host"}, {"http://a b:1", "host"}, {"http://a\tb:1", "host"}, {"http://a\r\nX: y:1", "bracket"},
		{"http://a\r\nX:1", "host"}, {"http://a\x00:1", "host"}, {"http://a\x7f:1", "host"}, {"http://a\x1b[2J:1", "port"}, {"http://bücher.example:1", "host"},
		{"http://evil:4001,127.0.0.1:14001", "bracket"}, {"http://evil,127.0.0.1:14001", "host"}, {"http://a*:1", "host"}, {"http://a%2fb:1", "host"},
		{"http://a%25b:1", "host"}, {"http://a\\b:1", "host"}, {"http://a;b:1", "host"}, {"http://a\"b:1", "host"}, {"http://a<b:1", "host"}, {"http://a&etcd=x:1", "host"},
		{"http://256.1.1.1:1", "host"}, {"http://1.2.3:1", "host"}, {"http://1.2.3.4.5:1", "host"}, {"http://a.7:1", "host"}, {"http://01.2.3.4:1", "host"},
		{"http://" + label63 + "a:1", "host"}, {"http://" + name253 + "a:1", "host"}, {"http://" + strings.Repeat("a.", 5<<20) + "a:1", "longer"},
		{"http://::1:7001", "bracket"}, {"http://[a]:7001", "bracket"}, {"http://[1.2.3.4]:7001", "bracket"}, {"http://[::1]7001", "port"}, {"http://[::1:7001", "port"},
		{"http://[:::1]:7001", "host"}, {"http://[::1]]:7001", "port"}, {"http://[::g]:7001", "host"},
		{"http://[fe80::1%eth0]:7001", "zone"}, {"http://[fe80::1%25]:7001", "host"}, {"http://[fe80::1%25a%0d%0aX]:7001", "host"}, {"http://[fe80::1%25a b]:7001", "host"},
		{"http://[fe80::1%25x\r\nX-Evil: y\r\nZ: ]:7001", "host"}, {"http://[fe80::1%25" + strings.Repeat("z", 65) + "]:7001", "host"},
		{"http://a:1/", "more"}, {"http://a:1/x", "more"}, {"http://a:1?x", "more"}, {"http://a:1#x", "more"}, {"http://u@a:1", "more"}, {"http://u:p@a:1", "more"},
		{"http://http://a:1", "more"},
	} {
		err := endpoint.CheckURL(test.url)
		if err == nil || !strings.Contains(err.Error(), test.why) {
			t.Errorf("%.80q: %v, want something about %q", test.url, err, test.why)
		}
		if _, err := endpoint.Address(test.url); err == nil && test.why != "zone" {
			t.Errorf("%.80q has an address", test.url)
		}
	}
}

// The address of a URL is what is dialled, and the URL can be made from the address again.
func TestAddressAndURL(t *testing.T) {
	for _, test := range []struct{ url, addr string }{
		{"http://127.0.0.1:7001", "127.0.0.1:7001"},
		{"https://a.example:1", "a.example:1"},
		{"http://[::1]:7001", "[::1]:7001"},
		{"http://[fe80::1%25eth0]:7001", "[fe80::1%eth0]:7001"},
	} {
		addr, err := endpoint.Address(test.url)
		scheme, _, _ := strings.Cut(test.url, "://")
		if addr != test.addr || err != nil || endpoint.CheckAddress(addr) != nil || endpoint.URL(scheme, addr) != test.url {
			t.Errorf("%s: %s, %v", test.url, addr, err)
		}
	}
	if addr, err := endpoint.Address("http://[fe80::1%eth0]:7001"); addr != "[fe80::1%eth0]:7001" || err != nil {
		t.Errorf("as earlier versions wrote it: %s, %v", addr, err)
	}
}

func TestNames(t *testing.T) {
	for _, name := range []string{
		"m1", "127.0.0.1:7001", "[::1]:7001", "node 2", "你好", "a\"b", "-", "...", "a=b&c", "é", strings.Repeat("n", 255),
	} {
		if err := endpoint.CheckName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, test := range []struct{ name, why string }{
		{"", "empty"}, {".", "."}, {"..", "."}, {"a/b", "slash"}, {"/", "slash"}, {"a,b", "comma"}, {strings.Repeat("n", 256), "longer"}, {strings.Repeat("n", 5<<20), "longer"},
		{"a\x00", "seen"}, {"a\nb", "seen"}, {"a\r", "seen"}, {"a\tb", "seen"}, {"\x1b[2J", "seen"}, {"\x7f", "seen"}, {"\u009b2J", "seen"}, {"\ufeffa", "seen"}, {"a\u2028b", "seen"},
		{"a\u202eb", "seen"}, {"a\u2066b", "seen"}, {"a\u200fb", "seen"}, {"a\u200bb", "seen"}, {"a\u00a0b", "seen"}, {"a\u061cb", "seen"}, {"a\xffb", "UTF-8"}, {"\xed\xa0\x80", "UTF-8"},
	} {
		if err := endpoint.CheckName(test.name); err == nil || !strings.Contains(err.Error(), test.why) {
			t.Errorf("%.80q: %v, want something about %q", test.name, err, test.why)
		}
	}
}

// Errors name the field and do not repeat its value.
func TestMembers(t *testing.T) {
	const good, evil = "http://a:1", "http://\x1b[2Jevil,\r\nX: y"
	for _, test := range []struct{ name, peers, clients, field string }{
		{"m", good, good, ""}, {"evil\n", good, good, "name: "}, {"m", evil, good, "peerUrl: "}, {"m", good, evil, "clientUrl: "},
	} {
		err := endpoint.CheckMember(test.name, test.peers, test.clients)
		switch {
		case (err == nil) != (test.field == ""):
			t.Errorf("%+v: %v", test, err)
		case err != nil && (!strings.HasPrefix(err.Error(), test.field) || strings.Contains(err.Error(), "evil")):
			t.Errorf("%+v: %q", test, err)
		}
	}
}

// Whatever is accepted can be used unescaped: in a request, a header, a list, a URL. No error
// repeats the value.
func FuzzMember(f *testing.F) {
	for _, seed := range []string{
		"http://127.0.0.1:7001", "https://[fe80::1%25eth0]:7001", "http://a_b.example.:1", "http://[::ffff:1.2.3.4]:65535", "http://evil:4001,127.0.0.1:14001",
		"http://[fe80::1%25x\r\nX-Evil: y]:1", "http://u:p@a:1/x?y#z", "http://a\x1b[2J:1", "http://[fe80::1%252525e]:1", "m1", "node 2", "a\u202eb", "..", "a\xff",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if endpoint.CheckName(s) == nil {
			if s == "" || strings.ContainsAny(s, "/,") || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) || strings.ToValidUTF8(s, "") != s {
				t.Errorf("%q is accepted as a name", s)
			}
		}
		err := endpoint.CheckURL(s)
		if err != nil {
			if len(s) > 12 && strings.Contains(err.Error(), s) {
				t.Errorf("%q is repeated: %v", s, err)
			}
			return
		}
		u, err := url.Parse(s)
		if err != nil || u.String() != s || u.Path != "" || u.RawQuery != "" || u.User != nil || u.Fragment != "" {
			t.Fatalf("%q is %#v, %v", s, u, err)
		}
		addr, err := endpoint.Address(s)
		if err != nil || u.Host != addr || endpoint.URL(u.Scheme, addr) != s {
			t.Errorf("%q is at %q, %v; its URL says %q", s, addr, err, u.Host)
		}
		host, port, err := net.SplitHostPort(addr)
		if err != nil || net.JoinHostPort(host, port) != addr || u.Hostname() != host || u.Port() != port || endpoint.CheckHost(host) != nil {
			t.Errorf("%q: %q, %q, %v", addr, host, port, err)
		}
		if list := strings.Split(strings.Join([]string{addr, addr}, ","), ","); len(list) != 2 {
			t.Errorf("%q twice are %q", addr, list)
		}
		raw := fmt.Sprintf("GET / HTTP/1.1\r\nHost: %s\r\nX-Address: %s\r\nX-Url: %s\r\n\r\n", addr, addr, s)
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
		if err != nil || r.Host != addr || len(r.Header) != 2 || r.Header.Get("X-Address") != addr || r.Header.Get("X-Url") != s {
			t.Errorf("a request with %q: %+v, %v", s, r, err)
		}
	})
}
