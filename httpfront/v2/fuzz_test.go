package v2

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"testing"

	"etcd/httpfront"
	"etcd/httpfront/fronttest"
)

// Whatever the parameters of a request for keys are, it is answered in the shape of v2, and no
// parameter makes the machine fail.
func FuzzKeys(f *testing.F) {
	for _, seed := range []struct{ method, key, query, body string }{
		{"PUT", "a", "", "value=1&ttl=5"},
		{"PUT", "a", "prevExist=true", "value=1&prevIndex=3&prevValue=2"},
		{"PUT", "d", "dir=true", "refresh=true&ttl=0"},
		{"PUT", "a", "", "ttl=18446744073709551615&refresh=1"},
		{"POST", "q", "", "value=%ff%00"},
		{"GET", "", "recursive=true&sorted=true&quorum=false", ""},
		{"GET", "a", "wait=true&waitIndex=1&stream=false", ""},
		{"GET", "none", "wait=true", ""},
		{"GET", "a", "wait=true&stream=true&waitIndex=18446744073709551616", ""},
		{"DELETE", "a", "recursive=true;dir=true", ""},
		{"DELETE", "a", "prevIndex=-1&prevValue=", "a=%zz"},
		{"GET", "%2e%2e/%00", "%=%&;=;", "value=1"},
	} {
		f.Add(seed.method, seed.key, seed.query, seed.body)
	}
	s := serveOn(f, fronttest.Socket(f))
	f.Fuzz(func(t *testing.T, method, key, query, body string) {
		raw := fmt.Sprintf("%s /v2/keys/%s?%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", method, key, query, httpfront.TypeForm, len(body), body)
		got := s.Answers(t, []byte(raw))
		if len(got) == 0 { // a watch ends with the client
			return
		}
		r, err := fronttest.ReadReply(bufio.NewReader(bytes.NewReader(got)), method)
		if errors.Is(err, io.ErrUnexpectedEOF) && r.Status == 200 { // so does a watch that has begun its answer
			return
		}
		if err != nil || r.Status >= 500 && r.Status != 501 && r.Status != 505 {
			t.Fatalf("%v in %q", err, got)
		}
		if r.Header.Get("X-Etcd-Index") == "" || method == "HEAD" || r.Header.Get("Content-Type") != httpfront.TypeJSON || r.Body == "" {
			return // not of v2, or without a body
		}
		var answer struct {
			ErrorCode int
			Action    string
		}
		if err := json.Unmarshal([]byte(r.Body), &answer); err != nil || (answer.ErrorCode == 0) == (answer.Action == "") || (answer.ErrorCode == 0) != (r.Status < 400) {
			t.Errorf("%d %q: %v", r.Status, r.Body, err)
		}
	})
}
