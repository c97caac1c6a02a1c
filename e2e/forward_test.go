package e2e

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestAnyMember checks that every endpoint works on every member, and that a
// write through one is visible through the others at once.
func TestAnyMember(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3, "-heartbeat", "50ms", "-election", "500ms")
	leader := c.leader()
	clients := c.addresses()
	for i, s := range c.members {
		key := "/any/" + s.name
		path := "/v1/keys" + key
		next := c.members[(i+1)%3]

		set := s.event(post(path, "value", "one"))
		if set.Action != "SET" || !set.NewKey || set.Key != key {
			t.Errorf("%s: set: %+v", s.name, set)
		}
		if got := next.event(get(path)); got.Value != "one" || got.Index < set.Index {
			t.Errorf("%s: get at %s: %+v", s.name, next.name, got)
		}
		if e := s.event(post(path, "prevValue", "two", "value", "three")); e.ErrorCode != 101 || e.Cause != "TestAndSet: one!=two" {
			t.Errorf("%s: test-and-set: %+v", s.name, e)
		}
		put := post(path, "prevValue", "one", "value", "two")
		put.method = "PUT"
		if e := s.event(put); e.Action != "SET" || e.PrevValue != "one" || e.Index != set.Index+2 {
			t.Errorf("%s: test-and-set: %+v", s.name, e)
		}
		if answer := s.do(request{method: "HEAD", target: path}); answer.status != 200 || answer.body != "" {
			t.Errorf("%s: HEAD: %d %q", s.name, answer.status, answer.body)
		}
		if answer := next.do(get("/v1/get/any")); answer.status != 200 || !strings.Contains(answer.body, `"key":"`+key+`"`) {
			t.Errorf("%s: list: %d %s", s.name, answer.status, answer.body)
		}
		watch := s.background(get("/v1/watch" + key))
		s.waitWatchers(1)
		deleted := next.event(del(path))
		if deleted.Action != "DELETE" || deleted.PrevValue != "two" {
			t.Errorf("%s: delete at %s: %+v", s.name, next.name, deleted)
		}
		if e, err := watch.wait(t).event(); err != nil || e != deleted {
			t.Errorf("%s: watch: %+v, the event is %+v", s.name, e, deleted)
		}
		if e := s.event(post("/v1/watch"+key, "index", strconv.FormatUint(set.Index, 10))); e != set {
			t.Errorf("%s: watch from %d: %+v, the event is %+v", s.name, set.Index, e, set)
		}
		s.want(get(path), 404, `{"errorCode":100,"message":"Key Not Found","cause":"`+key+`"}`)
		s.want(del(path), 404, `{"errorCode":100,"message":"Key Not Found","cause":"`+key+`"}`)
		if e := s.event(post("/v1/keys/_etcd/x", "value", "1")); e.ErrorCode != 400 || e.Cause != "Set" {
			t.Errorf("%s: reserved: %+v", s.name, e)
		}
		if e := s.event(post(path, "value", "")); e.ErrorCode != 200 {
			t.Errorf("%s: no value: %+v", s.name, e)
		}

		s.want(get("/leader"), 200, leader.peer)
		s.want(get("/v1/leader"), 200, "http://"+leader.peer)
		machines := strings.Split(s.do(get("/machines")).body, ",")
		if machines[0] != s.client || !sameElements(machines, clients) {
			t.Errorf("%s: /machines: %s, want %s first of %s", s.name, machines, s.client, clients)
		}
		machines = strings.Split(s.do(get("/v1/machines")).body, ", ")
		if machines[0] != "http://"+leader.client || len(machines) != 3 {
			t.Errorf("%s: /v1/machines: %s", s.name, machines)
		}
		for _, m := range c.members {
			values, err := url.ParseQuery(s.event(get("/v1/keys/_etcd/machines/" + m.name)).Value)
			if err != nil || values.Get("raft") != "http://"+m.peer || values.Get("etcd") != "http://"+m.client {
				t.Errorf("%s: /_etcd/machines/%s: %v %v", s.name, m.name, values, err)
			}
		}
		for _, path := range []string{"/", "/version", "/stats", "/v1/stats/store", "/v1/stats/self"} {
			if answer := s.do(get(path)); answer.status != 200 || answer.body == "" {
				t.Errorf("%s: %s: %d %s", s.name, path, answer.status, answer.body)
			}
		}
		if answer, err := exchange(s.peer, get("/leader")); err != nil || answer.status != 200 || !strings.Contains(answer.body, leader.peer) {
			t.Errorf("%s: /leader on the peer port: %v %v", s.name, answer, err)
		}
		for _, path := range []string{"/version", "/machines"} {
			if answer, err := exchange(s.peer, get(path)); err != nil || answer.status != 200 || answer.body == "" {
				t.Errorf("%s: %s on the peer port: %v %v", s.name, path, answer, err)
			}
		}
	}
	c.checkSameState()
}

// sameElements reports whether two lists have the same elements in any order.
func sameElements(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
