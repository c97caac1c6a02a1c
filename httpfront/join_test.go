package httpfront

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// Machines that ask to join at once under one name, or with one address, do not all get
// in, and the others are told who has it.
func TestMachinesThatJoinAtOnce(t *testing.T) {
	for what, format := range map[string]string{
		"name":                 `{"memberId":"%[1]d","name":"n","peerUrl":"http://127.0.0.1:70%[1]d","clientUrl":"http://127.0.0.1:40%[1]d"}`,
		"address for machines": `{"memberId":"%[1]d","name":"n%[1]d","peerUrl":"http://127.0.0.1:7009","clientUrl":"http://127.0.0.1:40%[1]d"}`,
	} {
		t.Run(what, func(t *testing.T) {
			s := serve(t)
			p := servePeers(t, s, io.Discard)
			const machines = 5
			var asked [machines]*client
			for i := range asked {
				asked[i] = p.dial()
			}
			for i, c := range asked {
				c.send("%s", rawRequest("POST", joinPath, fmt.Sprintf(format, 20+i)))
			}
			joined := 0
			for _, c := range asked {
				switch r := c.reply("POST"); {
				case r.status == 200:
					joined++
				case r.status != 409 || !strings.Contains(r.body, "has this "+what+": member 00000000000000") || !strings.Contains(r.body, "curl -X DELETE"):
					t.Errorf("%d %s", r.status, r.body)
				}
			}
			status := s.status()
			if joined != 1 || len(status.Members) != 2 || len(status.Raft.Learners) != 1 {
				t.Errorf("%d have joined; members %+v, for Raft %v and %v", joined, status.Members, status.Raft.Voters, status.Raft.Learners)
			}
		})
	}
}

// A machine that was removed is none any more, however often it asks to join, and
// removing it again, or one that never was, changes nothing.
func TestJoinAndRemoveAgain(t *testing.T) {
	s := serve(t)
	p := servePeers(t, s, io.Discard)
	join := `{"memberId":"21","name":"n","peerUrl":"http://127.0.0.1:7021","clientUrl":"http://127.0.0.1:4021"}`
	asks, c := p.dial(), s.dial()
	for range 2 {
		if r := asks.do("POST", joinPath, join); r.status != 200 {
			t.Fatalf("%d %s", r.status, r.body)
		}
	}
	before := s.status().Raft.Applied
	if r := asks.do("POST", joinPath, join); r.status != 200 || s.status().Raft.Applied != before {
		t.Errorf("asking once more is an entry: %d %s", r.status, r.body)
	}
	moved := strings.ReplaceAll(join, "7021", "7022")
	if r := asks.do("POST", joinPath, moved); r.status != 200 || !strings.Contains(r.body, "127.0.0.1:7022") {
		t.Errorf("%d %s", r.status, r.body)
	}
	if r := c.do("DELETE", "/v2/members/0000000000000015", ""); r.status != 204 {
		t.Errorf("%d %s", r.status, r.body)
	}
	for range 2 {
		check(t, asks.do("POST", joinPath, join), 410, `{"errorCode":410,"message":"Gone","cause":"this machine was removed from the cluster; wipe its data directory (-f) and let it join again"}`)
		check(t, c.do("DELETE", "/v2/members/0000000000000015", ""), 410, `{"errorCode":410,"message":"Gone","cause":"member 0000000000000015 was removed already"}`)
		check(t, c.do("DELETE", "/v2/members/0000000000000016", ""), 404, `{"errorCode":404,"message":"Not Found","cause":"no member 0000000000000016"}`)
	}
}

// A machine asks to join in JSON, and says so: what a web page may send without asking first is
// of another type, or of none.
func TestJoinInJSONOnly(t *testing.T) {
	s := serve(t)
	p := servePeers(t, s, io.Discard)
	const body = `{"memberId":"21","name":"n","peerUrl":"http://127.0.0.1:7021","clientUrl":"http://127.0.0.1:4021"}`
	for _, test := range []struct {
		contentType string
		status      int
	}{
		{"", 415},
		{"Content-Type: text/plain\r\n", 415},
		{"Content-Type: text/plain;charset=UTF-8\r\n", 415},
		{"Content-Type: text/plain; application/json\r\n", 415},
		{"Content-Type: " + urlencoded + "\r\n", 415},
		{"Content-Type: multipart/form-data; boundary=x\r\n", 415},
		{"Content-Type: application/jsonx\r\n", 415},
		{"Content-Type: application/json, text/plain\r\n", 415},
		{"Content-Type: application/json\r\n", 200},
		{"Content-Type: Application/JSON; charset=utf-8\r\n", 200},
	} {
		c := p.dial()
		c.send("POST %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s", joinPath, test.contentType, len(body), body)
		r := c.reply("POST")
		if r.status != test.status || r.status == 415 && r.body != `{"errorCode":415,"message":"Unsupported Media Type","cause":"a machine asks to join in application/json"}` {
			t.Errorf("%q: %d %s, want %d", test.contentType, r.status, r.body, test.status)
		}
		if n := len(s.status().Members); test.status == 415 && n != 1 {
			t.Fatalf("%q: there are %d members", test.contentType, n)
		}
	}
}
