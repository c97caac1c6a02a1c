package v2

import (
	"strings"
	"testing"

	"etcd/httpfront/fronttest"
)

// A member can be added before its first start, with a peer URL of its own. It has no vote.
func TestAddMember(t *testing.T) {
	s := serve(t)
	c := s.Dial()
	const body = `{"peerURLs":["http://127.0.0.1:7005"]}`
	fronttest.Check(t, c.Do("POST", "/v2/members", body), 201, `{"id":"0000000000000005","name":"","peerURLs":["http://127.0.0.1:7005"],"clientURLs":[]}`+"\n")
	if r := c.Get("/v2/members"); !strings.Contains(r.Body, `{"id":"0000000000000005","name":"","peerURLs":["http://127.0.0.1:7005"],"clientURLs":[],"learner":true}`) {
		t.Errorf("the members are %s", r.Body)
	}
	fronttest.CheckText(t, c.Get("/v2/machines"), 200, "http://127.0.0.1:4001")
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
