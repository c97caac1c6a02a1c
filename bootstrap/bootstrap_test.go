package bootstrap_test

import (
	"fmt"
	"strings"
	"testing"

	"etcd/bootstrap"
)

// The IDs are those that etcd's own documentation shows for these lists.
func TestIDs(t *testing.T) {
	for _, test := range []struct{ list, token, cluster, members string }{
		{"default=http://localhost:2380", "etcd-cluster", "cdf818194e3a8c32", "default 8e9e05c52164694d"},
		{
			"infra1=http://127.0.0.1:12380,infra2=http://127.0.0.1:22380,infra3=http://127.0.0.1:32380", "etcd-cluster-1", "ef37ad9dc622a7c4",
			"infra1 8211f1d0f64f3269 infra2 91bc3c398fb3c146 infra3 fd422379fda50e48",
		},
		{
			" infra3=http://127.0.0.1:32380, infra2=http://127.0.0.1:22380,,infra1=http://127.0.0.1:12380,", "etcd-cluster-1", "ef37ad9dc622a7c4",
			"infra1 8211f1d0f64f3269 infra2 91bc3c398fb3c146 infra3 fd422379fda50e48",
		},
	} {
		c, err := bootstrap.Parse(test.list, test.token)
		if err != nil {
			t.Fatal(err)
		}
		var members []string
		for _, m := range c.Members {
			members = append(members, fmt.Sprintf("%s %016x", m.Name, m.ID))
		}
		if id, got := fmt.Sprintf("%016x", c.ID), strings.Join(members, " "); id != test.cluster || got != test.members {
			t.Errorf("%s: %s, %s", test.list, id, got)
		}
	}
}

func TestMembersOfTheList(t *testing.T) {
	c, err := bootstrap.Parse("b=https://b:7001,a=https://[::1]:7001", "")
	if err != nil {
		t.Fatal(err)
	}
	if got := c.String(); got != "a=https://[::1]:7001,b=https://b:7001" {
		t.Errorf("it is %s", got)
	}
	if m, ok := c.Named("b"); !ok || m.PeerURL != "https://b:7001" {
		t.Errorf("b is %+v", m)
	}
	if m, ok := c.At("https://[::1]:7001"); !ok || m.Name != "a" {
		t.Errorf("a is %+v", m)
	}
	if m, ok := c.Named("c"); ok {
		t.Errorf("c is %+v", m)
	}
}

func TestBadLists(t *testing.T) {
	for _, test := range []struct{ list, says string }{
		{"", "names no machine"}, {" , ,", "names no machine"}, {"infra0", "NAME=URL"}, {"http://a:1", "NAME=URL"},
		{"=http://a:1", "not a valid name: it is empty"}, {"a/b=http://a:1", "not a valid name: it has a slash"}, {"a=a:1", "not a valid peer URL: it does not begin with http"},
		{"a=http://a", "it has no port"}, {"a=http://a:0", "it has no port"}, {"a=http://a:1/x", "more than a scheme, a host and a port"},
		{"a=http://a:1,a=http://b:1", "the name a is given to http://a:1 and to http://b:1"},
		{"a=http://a:1,b=http://a:1", "a and b have the same peer URL http://a:1"},
		{"a=http://a:1,b=https://b:1", "by another scheme"},
		{"a=http://a:1\x1b[2J", `\x1b`},
		{strings.Repeat("a", 1<<17), "longer than 65536 bytes"},
	} {
		if _, err := bootstrap.Parse(test.list, "t"); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%.80q: %v, want something about %s", test.list, err, test.says)
		}
	}
	var many []string
	for i := range 100 {
		many = append(many, fmt.Sprintf("m%d=http://m%d:1", i, i))
	}
	if _, err := bootstrap.Parse(strings.Join(many, ","), ""); err == nil || !strings.Contains(err.Error(), "at most 99") {
		t.Errorf("100 machines: %v", err)
	}
}

// What Parse accepts it accepts again as String writes it, with the same IDs.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"a=http://a:1", "a=http://a:1,b=http://[::1]:2", "a=b=http://a:1", ",", "a=https://a.:1,,"} {
		f.Add(seed, "token")
	}
	f.Fuzz(func(t *testing.T, list, token string) {
		c, err := bootstrap.Parse(list, token)
		if err != nil {
			return
		}
		again, err := bootstrap.Parse(c.String(), token)
		if err != nil || again.ID != c.ID || again.String() != c.String() || len(again.Members) != len(c.Members) {
			t.Errorf("%q becomes %q: %v", list, c, err)
		}
	})
}
