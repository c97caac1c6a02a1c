package peerfront

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"etcd/httpfront/fronttest"
)

// A machine that asks before it founds a cluster with this one is told whether it belongs to it, and
// whether it was a member before. Asking changes nothing.
func TestFoundersAreAnswered(t *testing.T) {
	s := serve(t)
	p := servePeers(t, s, io.Discard)
	asks, c := p.Dial(), s.Dial()
	for _, id := range []int{21, 22} {
		r := asks.Do("POST", joinPath, fmt.Sprintf(`{"memberId":"%[1]d","name":"n%[1]d","peerUrl":"http://127.0.0.1:70%[1]d","clientUrl":"http://127.0.0.1:40%[1]d","understood":{"protocol":"4","commands":"1-6","snapshots":"1-3"}}`, id))
		if r.Status != 200 {
			t.Fatalf("%d %s", r.Status, r.Body)
		}
	}
	if r := c.Do("DELETE", "/v2/members/0000000000000016", ""); r.Status != 204 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	before := s.Status().Raft.Commit
	const from = `"peerUrl":"http://127.0.0.1:7021","list":"a=http://127.0.0.1:7021"}`
	for name, test := range map[string]struct {
		body   string
		status int
		says   string
	}{
		"unknown":           {`{"clusterId":"77","memberId":"20",` + from, 200, `{"memberId":"11","clientUrl":"http://127.0.0.1:4001"}`},
		"a member":          {`{"clusterId":"77","memberId":"21",` + from, 200, `{"memberId":"11","hasRun":true,"clientUrl":"http://127.0.0.1:4001"}`},
		"was removed":       {`{"clusterId":"77","memberId":"22",` + from, 200, `{"memberId":"11","hasRun":true,"removed":true,"clientUrl":"http://127.0.0.1:4001"}`},
		"another cluster":   {`{"clusterId":"78","memberId":"20",` + from, 409, "this machine belongs to another cluster, of m1=http://127.0.0.1:7001,"},
		"by another scheme": {`{"clusterId":"77","memberId":"20","peerUrl":"https://127.0.0.1:7021","list":""}`, 409, "reach each other by http"},
		"no member":         {`{"clusterId":"77",` + from, 400, "memberId"},
		"no URL":            {`{"clusterId":"77","memberId":"20","peerUrl":"a"}`, 400, "peerUrl"},
		"no JSON":           {`{`, 400, "JSON"},
	} {
		if r := asks.Do("POST", foundersPath, test.body); r.Status != test.status || !strings.Contains(r.Body, test.says) {
			t.Errorf("%s: %d %s", name, r.Status, r.Body)
		}
	}
	if r := asks.Do("POST", foundersPath, "a=b"); r.Status != 415 {
		t.Errorf("a form: %d %s", r.Status, r.Body)
	}
	if after := s.Status().Raft.Commit; after != before {
		t.Errorf("asking has made entries: %d, before %d", after, before)
	}
}

// A machine that was added before its first start learns its ID by its peer URL, once.
func TestAssignedIDs(t *testing.T) {
	s := serve(t)
	p := servePeers(t, s, io.Discard)
	asks := p.Dial()
	const none, added = `{"peerUrl":"http://127.0.0.1:7030"}`, `{"peerUrl":"http://127.0.0.1:7031"}`
	r := s.Dial().Do("POST", "/v2/members", `{"peerURLs":["http://127.0.0.1:7031"]}`)
	if r.Status != 201 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	for range 2 {
		fronttest.Check(t, asks.Do("POST", assignedPath, added), 200, `{"memberId":"5","clientUrl":"http://127.0.0.1:4001"}`)
	}
	if r := asks.Do("POST", assignedPath, none); r.Status != 409 || !strings.Contains(r.Body, "no member of the cluster has this peer URL: add it first (curl http://127.0.0.1:4001/v2/members") {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	for body, status := range map[string]int{`{}`: 400, `{"peerUrl":[]}`: 400, `{"peerUrl":"https://127.0.0.1:7031"}`: 409, "x=y": 415} {
		if r := asks.Do("POST", assignedPath, body); r.Status != status {
			t.Errorf("%s: %d %s", body, r.Status, r.Body)
		}
	}
	join := `{"memberId":"5","name":"n5","peerUrl":"http://127.0.0.1:7031","clientUrl":"http://127.0.0.1:4031","understood":{"protocol":"4","commands":"1-6","snapshots":"1-3"}}`
	if r := asks.Do("POST", joinPath, join); r.Status != 200 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	fronttest.Check(t, asks.Do("POST", assignedPath, added), 200, `{"memberId":"5","hasRun":true,"clientUrl":"http://127.0.0.1:4001"}`)
}
