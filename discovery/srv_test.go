package discovery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// names is what DNS knows: records by the name that is asked for, and addresses by host.
type names struct {
	records map[string][]string
	hosts   map[string][]string
	fault   func() error // answers instead, unless it returns nil
}

func (d *names) LookupSRV(_ context.Context, service, proto, name string) (string, []*net.SRV, error) {
	if d.fault != nil {
		if err := d.fault(); err != nil {
			return "", nil, err
		}
	}
	query := "_" + service + "._" + proto + "." + name
	var found []*net.SRV
	for _, addr := range d.records[query] {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			panic(err)
		}
		record := &net.SRV{Target: host}
		fmt.Sscan(port, &record.Port)
		found = append(found, record)
	}
	if len(found) == 0 {
		return "", nil, &net.DNSError{Err: "no such host", Name: query, IsNotFound: true}
	}
	return query, found, nil
}

func (d *names) LookupIPAddr(_ context.Context, host string) ([]net.IPAddr, error) {
	if ip := net.ParseIP(host); ip != nil {
		return []net.IPAddr{{IP: ip}}, nil
	}
	if host == "broken" {
		return nil, &net.DNSError{Err: "invalid name", Name: host}
	}
	var found []net.IPAddr
	for _, ip := range d.hosts[strings.TrimSuffix(host, ".")] {
		found = append(found, net.IPAddr{IP: net.ParseIP(ip)})
	}
	if len(found) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return found, nil
}

func TestSRV(t *testing.T) {
	const plain, secure = "_etcd-server._tcp.example.com", "_etcd-server-ssl._tcp.example.com"
	three := []string{"c.example.com.:2380", "a.example.com.:2380", "b.example.com.:2380"} // as DNS shuffles them
	hosts := map[string][]string{
		"a.example.com": {"2001:db8::1", "10.0.0.1"}, "b.example.com": {"10.0.0.2"}, "c.example.com": {"10.0.0.3", "192.168.0.3"},
		"alias.example.com": {"10.0.0.2"},
	}
	for what, test := range map[string]struct {
		records map[string][]string
		name    string // of the cluster
		self    string // its URL
		called  string // the name of this machine, "me" unless it is given
		want    string
		says    []string
	}{
		"http": {
			records: map[string][]string{plain: three}, self: "http://b.example.com:2380",
			want: "0=http://a.example.com:2380,me=http://b.example.com:2380,2=http://c.example.com:2380",
		},
		"https": {
			records: map[string][]string{secure: three}, self: "https://C.Example.com:2380",
			want: "0=https://a.example.com:2380,1=https://b.example.com:2380,me=https://c.example.com:2380",
		},
		"named cluster": {
			records: map[string][]string{"_etcd-server-ssl-east-1._tcp.example.com": three, plain: {"x.example.com.:1"}}, name: "east-1", self: "https://a.example.com:2380",
			want: "me=https://a.example.com:2380,1=https://b.example.com:2380,2=https://c.example.com:2380",
		},
		"advertised by address": {
			records: map[string][]string{plain: three}, self: "http://10.0.0.3:2380",
			want: "0=http://a.example.com:2380,1=http://b.example.com:2380,me=http://c.example.com:2380",
		},
		"advertised by IPv6 address": {
			records: map[string][]string{plain: three}, self: "http://[2001:db8::1]:2380",
			want: "me=http://a.example.com:2380,1=http://b.example.com:2380,2=http://c.example.com:2380",
		},
		"advertised by another name": {
			records: map[string][]string{plain: three}, self: "http://alias.example.com:2380",
			want: "0=http://a.example.com:2380,me=http://b.example.com:2380,2=http://c.example.com:2380",
		},
		"one host": {
			records: map[string][]string{plain: {"localhost:12380", "localhost:22380", "localhost:22380"}}, self: "http://localhost:22380",
			want: "0=http://localhost:12380,me=http://localhost:22380",
		},
		"one machine": {
			records: map[string][]string{plain: {"10.0.0.7:2380"}}, self: "http://10.0.0.7:2380",
			want: "me=http://10.0.0.7:2380",
		},
		"called like a place": {
			records: map[string][]string{plain: three}, self: "http://b.example.com:2380", called: "0",
			want: "3=http://a.example.com:2380,0=http://b.example.com:2380,2=http://c.example.com:2380",
		},
		"others have no address yet": {
			records: map[string][]string{plain: {"a.example.com.:2380", "new.example.com.:2380"}}, self: "http://a.example.com:2380",
			want: "me=http://a.example.com:2380,1=http://new.example.com:2380",
		},
		"no records": {
			self: "http://a.example.com:2380", says: []string{"-discovery-srv example.com", plain, secure, "add one"},
		},
		"both": {
			records: map[string][]string{plain: three, secure: three}, self: "https://a.example.com:2380",
			says: []string{plain, secure, "either by https or by http", "remove"},
		},
		"another scheme": {
			records: map[string][]string{secure: three}, self: "http://a.example.com:2380",
			says: []string{"by https", "advertises http://a.example.com:2380", "-initial-advertise-peer-urls"},
		},
		"another port": {
			records: map[string][]string{plain: three}, self: "http://a.example.com:7001",
			says: []string{"a.example.com:2380, b.example.com:2380, c.example.com:2380", "advertises, a.example.com:7001", "add a record"},
		},
		"names without addresses": {
			records: map[string][]string{plain: {"x.example.com.:2380", "a.example.com.:2380"}}, self: "http://10.0.0.9:2380",
			says: []string{"x.example.com:2380", "10.0.0.9:2380", "no address: x.example.com:"},
		},
		"own name without an address": {
			records: map[string][]string{plain: three}, self: "http://nobody.example.com:2380",
			says: []string{"advertises, nobody.example.com:2380", "no address: nobody.example.com:"},
		},
		"an address cannot be looked up": {
			records: map[string][]string{plain: {"a.example.com.:2380", "broken.:2380"}}, self: "http://10.0.0.9:2380",
			says: []string{"cannot look up broken: ", "invalid name"},
		},
		"twice": {
			records: map[string][]string{plain: {"alias.example.com.:2380", "b.example.com.:2380"}}, self: "http://10.0.0.2:2380",
			says: []string{"more than once", "alias.example.com:2380, b.example.com:2380", "one record"},
		},
		"not available, as RFC 2782 says it": {
			records: map[string][]string{plain: {".:0"}}, self: "http://a.example.com:2380", says: []string{"not valid"},
		},
		"strange target": {
			records: map[string][]string{plain: {"a\x1bm.:2380"}}, self: "http://a.example.com:2380", says: []string{`"a\x1bm`, "not valid"},
		},
		"too many": {
			records: map[string][]string{plain: make100()}, self: "http://a.example.com:2380", says: []string{"100 records", "at most 99"},
		},
		"own name with an equals": {
			records: map[string][]string{plain: three}, self: "http://a.example.com:2380", called: "a=b", says: []string{"equals sign"},
		},
	} {
		t.Run(what, func(t *testing.T) {
			s, err := NewSRV("example.com", test.name, &names{records: test.records, hosts: hosts}, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			self := Member{Name: "me", PeerURL: test.self}
			if test.called != "" {
				self.Name = test.called
			}
			list, err := s.Cluster(t.Context(), self)
			if test.says != nil {
				wantError(t, err, test.says...)
			} else if err != nil || list != test.want {
				t.Errorf("%q, %v; want %q", list, err, test.want)
			}
		})
	}
}

func make100() []string {
	all := make([]string, 100)
	for i := range all {
		all[i] = fmt.Sprintf("m%d.example.com.:2380", i)
	}
	return all
}

// A DNS server that does not answer is asked again for some time. One that refuses is not.
func TestDNSOutOfReach(t *testing.T) {
	timeout := &net.DNSError{Err: "i/o timeout", Name: "example.com", IsTimeout: true}
	trouble := &net.DNSError{Err: "server misbehaving", Name: "example.com", IsTemporary: true}
	refused := &net.DNSError{Err: "invalid name", Name: "example.com"}
	for what, test := range map[string]struct {
		err      error
		lasts    time.Duration
		says     string
		at, till time.Duration // when there is an answer
	}{
		"for a while":    {trouble, time.Minute, "", time.Minute, time.Minute + longestPause},
		"for ever":       {timeout, time.Hour, "DNS could not be reached for 4m", patience - longestPause, patience},
		"refuses":        {refused, time.Hour, "invalid name", 0, 0},
		"something else": {errors.New("no resolver"), time.Hour, "no resolver", 0, 0},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				dns := &names{records: map[string][]string{"_etcd-server._tcp.example.com": {"a:1"}}}
				dns.fault = func() error {
					if time.Since(began) < test.lasts {
						return test.err
					}
					return nil
				}
				log := &bytes.Buffer{}
				s, err := NewSRV("example.com.", "", dns, slog.New(slog.NewTextHandler(log, nil)))
				if err != nil {
					t.Fatal(err)
				}
				list, err := s.Cluster(t.Context(), Member{Name: "me", PeerURL: "http://a:1"})
				if test.says != "" {
					wantError(t, err, "cannot look up _etcd-server-ssl._tcp.example.com", test.says)
				} else if err != nil || list != "me=http://a:1" {
					t.Errorf("%q, %v", list, err)
				}
				if took := time.Since(began); took < test.at || took > test.till {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

func TestDomains(t *testing.T) {
	for _, test := range []struct{ domain, name, says string }{
		{"", "", "-discovery-srv"}, {"a b", "", "-discovery-srv"}, {"http://example.com", "", "-discovery-srv"}, {"example.com:53", "", "-discovery-srv"},
		{"example.com", "a.b", "-discovery-srv-name"}, {"example.com", "a b", "-discovery-srv-name"}, {"example.com", "a-", "-discovery-srv-name"},
		{"example.com", strings.Repeat("a", 48), "-discovery-srv-name"}, {"example.com", strings.Repeat("a", 47), ""},
		{"example.com.", "east_1", ""}, {"local", "", ""},
	} {
		_, err := NewSRV(test.domain, test.name, net.DefaultResolver, slog.New(slog.DiscardHandler))
		if test.says != "" {
			wantError(t, err, test.says+" must be")
		} else if err != nil {
			t.Errorf("%s, %s: %v", test.domain, test.name, err)
		}
	}
}
