package peerfront

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"etcd/actors"
	"etcd/httpfront"
	"etcd/httpfront/fronttest"
)

// Of machines that join at once with the same name, or the same address, only one is added,
// and the others are told which member has it.
func TestMachinesThatJoinAtOnce(t *testing.T) {
	for what, format := range map[string]string{
		"name":     `{"memberId":"%[1]d","name":"n","peerUrl":"http://127.0.0.1:70%[1]d","clientUrl":"http://127.0.0.1:40%[1]d","understood":{"protocol":"4","commands":"1-6","snapshots":"1-3"}}`,
		"peer URL": `{"memberId":"%[1]d","name":"n%[1]d","peerUrl":"http://127.0.0.1:7009","clientUrl":"http://127.0.0.1:40%[1]d","understood":{"protocol":"4","commands":"1-6","snapshots":"1-3"}}`,
	} {
		t.Run(what, func(t *testing.T) {
			s := serve(t)
			p := servePeers(t, s, io.Discard)
			const machines = 5
			var asked [machines]*fronttest.Client
			for i := range asked {
				asked[i] = p.Dial()
			}
			for i, c := range asked {
				c.Send("%s", fronttest.RawRequest("POST", joinPath, fmt.Sprintf(format, 20+i)))
			}
			joined := 0
			for _, c := range asked {
				switch r := c.Reply("POST"); {
				case r.Status == 200:
					joined++
				case r.Status != 409 || !strings.Contains(r.Body, "has this "+what+": member 00000000000000") || !strings.Contains(r.Body, "curl -X DELETE"):
					t.Errorf("%d %s", r.Status, r.Body)
				}
			}
			status := s.Status()
			if joined != 1 || len(status.Members) != 2 || len(status.Raft.Learners) != 1 {
				t.Errorf("%d have joined; members %+v, for Raft %v and %v", joined, status.Members, status.Raft.Voters, status.Raft.Learners)
			}
		})
	}
}

// A machine that was removed does not become a member again, however often it asks to join,
// and removing it again, or one that never was a member, changes nothing.
func TestJoinAndRemoveAgain(t *testing.T) {
	s := serve(t)
	p := servePeers(t, s, io.Discard)
	join := `{"memberId":"21","name":"n","peerUrl":"http://127.0.0.1:7021","clientUrl":"http://127.0.0.1:4021","understood":{"protocol":"4","commands":"1-6","snapshots":"1-3"}}`
	asks, c := p.Dial(), s.Dial()
	for range 2 {
		if r := asks.Do("POST", joinPath, join); r.Status != 200 {
			t.Fatalf("%d %s", r.Status, r.Body)
		}
	}
	before := s.Status().Raft.Applied
	if r := asks.Do("POST", joinPath, join); r.Status != 200 || s.Status().Raft.Applied != before {
		t.Errorf("asking once more is an entry: %d %s", r.Status, r.Body)
	}
	moved := strings.ReplaceAll(join, "7021", "7022")
	if r := asks.Do("POST", joinPath, moved); r.Status != 200 || !strings.Contains(r.Body, "127.0.0.1:7022") {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	if r := c.Do("DELETE", "/v2/members/0000000000000015", ""); r.Status != 204 {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	for range 2 {
		fronttest.Check(t, asks.Do("POST", joinPath, join), 410, `{"errorCode":410,"message":"Gone","cause":"this machine was removed from the cluster; wipe its data directory (-f) and let it join again"}`)
		fronttest.Check(t, c.Do("DELETE", "/v2/members/0000000000000015", ""), 410, `{"message":"Member permanently removed: 15"}`)
		fronttest.Check(t, c.Do("DELETE", "/v2/members/0000000000000016", ""), 404, `{"message":"No such member: 16"}`)
	}
}

// A request to join needs the content type of JSON: a web page may send only others, or none,
// without a CORS preflight.
func TestJoinInJSONOnly(t *testing.T) {
	s := serve(t)
	p := servePeers(t, s, io.Discard)
	const body = `{"memberId":"21","name":"n","peerUrl":"http://127.0.0.1:7021","clientUrl":"http://127.0.0.1:4021","understood":{"protocol":"4","commands":"1-6","snapshots":"1-3"}}`
	for _, test := range []struct {
		contentType string
		status      int
	}{
		{"", 415},
		{"Content-Type: text/plain\r\n", 415},
		{"Content-Type: text/plain;charset=UTF-8\r\n", 415},
		{"Content-Type: text/plain; application/json\r\n", 415},
		{"Content-Type: " + httpfront.TypeForm + "\r\n", 415},
		{"Content-Type: multipart/form-data; boundary=x\r\n", 415},
		{"Content-Type: application/jsonx\r\n", 415},
		{"Content-Type: application/json, text/plain\r\n", 415},
		{"Content-Type: application/json\r\n", 200},
		{"Content-Type: Application/JSON; charset=utf-8\r\n", 200},
	} {
		c := p.Dial()
		c.Send("POST %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s", joinPath, test.contentType, len(body), body)
		r := c.Reply("POST")
		if r.Status != test.status || r.Status == 415 && r.Body != `{"errorCode":415,"message":"Unsupported Media Type","cause":"a request to join must be application/json"}` {
			t.Errorf("%q: %d %s, want %d", test.contentType, r.Status, r.Body, test.status)
		}
		if n := len(s.Status().Members); test.status == 415 && n != 1 {
			t.Fatalf("%q: there are %d members", test.contentType, n)
		}
	}
}

// An invalid request to join is answered with what to send, and retries do not fill the log.
func TestJoinAskedWrongly(t *testing.T) {
	s := serve(t)
	log := &fronttest.LogBuffer{}
	p := servePeers(t, s, log)
	for range 20 {
		r := p.Dial().Do("POST", joinPath, `{"memberId":"21","name":"n","peerUrl":"https://127.0.0.1:7021","clientUrl":"http://127.0.0.1:4021","understood":{"protocol":"4","commands":"1-6","snapshots":"1-3"}}`)
		if r.Status != 409 || !strings.Contains(r.Body, "this one only by https") {
			t.Fatalf("%d %s", r.Status, r.Body)
		}
	}
	text := log.Take()
	if n := strings.Count(text, "level=WARN"); n != 1 || !strings.Contains(text, "refused a request to join; start it like") {
		t.Errorf("%d warnings:\n%s", n, text)
	}
	for _, body := range []string{"{", "{}", `{"memberId":21}`, `{"memberId":"0"}`} {
		fronttest.Check(t, p.Dial().Do("POST", joinPath, body), 400, `{"errorCode":209,"message":"Invalid field","cause":"a request to join is a JSON object with`+
			` \"memberId\" (a decimal number in quotes), \"name\", \"peerUrl\" and \"clientUrl\""}`)
	}
	if r := p.Dial().Do("POST", joinPath, `{"memberId":"9223372036854775808","name":"n","peerUrl":"http://127.0.0.1:7021","clientUrl":"http://127.0.0.1:4021","understood":{"protocol":"4","commands":"1-6","snapshots":"1-3"}}`); r.Status != 400 || !strings.Contains(r.Body, "the IDs of new members are from 1 to 2^63-1") {
		t.Errorf("the ID of a founder that is none: %d %s", r.Status, r.Body)
	}
	fronttest.Check(t, p.Dial().Do("POST", joinPath, "{"+strings.Repeat(" ", 100_000)), 413, `{"errorCode":413,"message":"Request Entity Too Large","cause":"this port is for the other machines of the cluster, which send at most 65536 bytes"}`)
}

// The name and URLs of a machine are told to everybody, and stay: invalid ones are refused,
// with the field and the reason, are not quoted, and do not become an entry.
func TestJoinWithOddNamesAndURLs(t *testing.T) {
	s := serve(t)
	var log fronttest.LogBuffer
	p := servePeers(t, s, &log)
	before := s.Status().Raft.Applied
	const good = "http://127.0.0.1:7021"
	for _, test := range []struct{ name, peers, clients, cause string }{
		{"n", "http://[fe80::1%25x\r\nX-Evil: y\r\nZ: ]:7001", good, "peerUrl: the host is neither a DNS name nor an IP address"},
		{"n", good, "http://evil:4001,127.0.0.1:14001", "clientUrl: an IPv6 address, and nothing else, is in brackets before its port"},
		{"n", good, "http://evil,127.0.0.1:14001", "clientUrl: the host is neither a DNS name nor an IP address"},
		{"n", "http://:7001", good, "peerUrl: the host is neither a DNS name nor an IP address"},
		{"n", "http://", good, "peerUrl: it has no port from 1 to 65535"},
		{"n", "", good, "peerUrl: it does not begin with http:// or https://"},
		{"n", "http://evil", good, "peerUrl: it has no port from 1 to 65535"},
		{"n", "http://u:p@evil:1", good, "peerUrl: it has more than a scheme, a host and a port"},
		{"n", "http://evil:1/?x#y", good, "peerUrl: it has more than a scheme, a host and a port"},
		{"n", "http://" + strings.Repeat("e", 50_000) + ":1", good, "peerUrl: it is longer than 300 bytes"},
		{strings.Repeat("e", 50_000), good, good, "name: it is longer than 255 bytes"},
		{"evil,n", good, good, "name: it has a slash or a comma"},
		{"../evil", good, good, "name: it has a slash or a comma"},
		{"evil\x1b[2J", good, good, "name: it has a character that cannot be seen, or that changes how others are shown"},
		{"evil\u202e", good, good, "name: it has a character that cannot be seen, or that changes how others are shown"},
		{"", good, good, "name: it is empty"},
		{"..", good, good, `name: it is \".\" or \"..\"`},
	} {
		ask, err := json.Marshal(JoinRequest{21, test.name, test.peers, test.clients, actors.Understood()})
		if err != nil {
			t.Fatal(err)
		}
		fronttest.Check(t, p.Dial().Do("POST", joinPath, string(ask)), 400, `{"errorCode":209,"message":"Invalid field","cause":"`+test.cause+`"}`)
	}
	fronttest.Check(t, s.Dial().Get("/machines"), 200, "127.0.0.1:4001")
	if after := s.Status().Raft.Applied; after != before {
		t.Errorf("%d entries", after-before)
	}
	if strings.Contains(log.Take(), "vil") {
		t.Error("it is in the log")
	}
}
