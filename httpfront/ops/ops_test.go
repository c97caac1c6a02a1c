package ops

import (
	"slices"
	"strings"
	"testing"

	"etcd/actors"
	"etcd/httpfront/fronttest"
	"etcd/store"
)

func TestInfo(t *testing.T) {
	s := serve(t)
	c := s.Dial()
	c.Set("/a", "value=1")
	c.Get("/v1/keys/a")
	c.Get("/v1/keys/b")
	c.Do("POST", "/v1/keys/a", "value=2&prevValue=1")
	c.Do("POST", "/v1/keys/a", "value=2&prevValue=1")
	c.Do("DELETE", "/v1/keys/a", "")
	for _, test := range []struct{ target, want string }{
		{"/", "etcd v9"},
		{"/version", "etcd v9"},
		{"/leader", "127.0.0.1:7001"},
		{"/machines", "127.0.0.1:4001"},
		{"/v1/leader", "http://127.0.0.1:7001"},
		{"/v1/machines", "http://127.0.0.1:4001"},
		{"/stats", `{"gets":2,"sets":1,"deletes":1,"testAndSets":2}`},
		{"/v1/stats/leader", `{"leader":"m1","followers":{}}`},
		{"/v1/stats/self", `{"name":"m1","state":"leader","startTime":"2026-01-02T03:04:05.000000006Z","leaderInfo":{"leader":"m1","uptime":"0s","startTime":"2026-01-02T03:04:05.000000006Z"},"recvAppendRequestCnt":0,"sendAppendRequestCnt":0}`},
		{"/v1/stats/store", `{"getsSuccess":1,"getsFail":1,"setsSuccess":1,"setsFail":0,"deleteSuccess":1,"deleteFail":0,"updateSuccess":0,"updateFail":0,"createSuccess":0,"createFail":0,"compareAndSwapSuccess":1,"compareAndSwapFail":1,"compareAndDeleteSuccess":0,"compareAndDeleteFail":0,"expireCount":0,"watchers":0,"views":0}`},
	} {
		t.Run(test.target, func(t *testing.T) { fronttest.Check(t, c.Get(test.target), 200, test.want) })
	}
}

// A member that an earlier version has accepted with an invalid address is listed nowhere.
func TestMembersOfEarlierVersions(t *testing.T) {
	status := &actors.StatusReply{Members: []store.Member{
		{ID: 1, Name: "a", ClientURL: "http://127.0.0.1:4001"},
		{ID: 2, Name: "b", ClientURL: "http://evil:4001,127.0.0.1:14001"},
		{ID: 3, Name: "c", ClientURL: "http://a\x1b[2J:4001"},
		{ID: 4, Name: "d\n", ClientURL: "http://[fe80::1%25eth0]:4001"},
	}}
	if got := clientURLs(status, 4, asAddress); !slices.Equal(got, []string{"[fe80::1%eth0]:4001", "127.0.0.1:4001"}) {
		t.Errorf("%q", got)
	}
	if got := clientURLs(status, 4, asURL); !slices.Equal(got, []string{"http://[fe80::1%25eth0]:4001", "http://127.0.0.1:4001"}) {
		t.Errorf("%q", got)
	}
}

// A member can be added before its first start, with a peer URL of its own. It has no vote.
func TestAddMember(t *testing.T) {
	s := serve(t)
	c := s.Dial()
	const body = `{"peerURLs":["http://127.0.0.1:7005"]}`
	fronttest.Check(t, c.Do("POST", "/v2/members", body), 201, `{"id":"0000000000000005","name":"","peerURLs":["http://127.0.0.1:7005"],"clientURLs":[]}`)
	if r := c.Get("/v2/members"); !strings.Contains(r.Body, `{"id":"0000000000000005","name":"","peerURLs":["http://127.0.0.1:7005"],"clientURLs":[],"learner":true}`) {
		t.Errorf("the members are %s", r.Body)
	}
	fronttest.Check(t, c.Get("/machines"), 200, "127.0.0.1:4001")
	before := s.Status().Raft.Commit
	for _, test := range []struct {
		target, body string
		status       int
		says         string
	}{
		{"/v2/members", `{"peerURLs":["http://127.0.0.1:7001"]}`, 409, "another machine has this peer URL"},
		{"/v2/members", `{"peerURLs":["http://127.0.0.1:1","http://127.0.0.1:2"]}`, 400, "one peer URL"},
		{"/v2/members", `{"peerURLs":[]}`, 400, "one peer URL"},
		{"/v2/members", `{`, 400, "JSON"},
		{"/v2/members", `{"peerURLs":["a:1"]}`, 400, "http://"},
		{"/v2/members", `{"peerURLs":["https://127.0.0.1:7006"]}`, 400, "reach each other by http"},
		{"/v2/members", `{"peerURLs":["http://0.0.0.0:7006"]}`, 400, "stands for every machine"},
		{"/v2/members", "peerURLs=http://127.0.0.1:7006", 415, "application/json"},
		{"/v2/members/5", body, 404, ""},
	} {
		if r := c.Do("POST", test.target, test.body); r.Status != test.status || !strings.Contains(r.Body, test.says) {
			t.Errorf("%s %s: %d %s", test.target, test.body, r.Status, r.Body)
		}
	}
	if after := s.Status().Raft.Commit; after != before {
		t.Errorf("what was refused has made entries: %d, before %d", after, before)
	}
}
