package ops

import (
	"slices"
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
		{"/version", `{"etcdserver":"2.3.8","etcdcluster":"2.3.0","release":"9"}`},
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
