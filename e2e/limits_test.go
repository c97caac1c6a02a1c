package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// refusedWith checks that an answer is an error in the shape of v1.
func refusedWith(t *testing.T, what string, answer reply, err error, status, code int) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	e, err := answer.event()
	if err != nil || answer.status != status || e.ErrorCode != code || e.Message == "" || answer.header.Get("Content-Type") != "application/json" {
		t.Errorf("%s: %d %.300s, want %d with error code %d", what, answer.status, answer.body, status, code)
	}
	if retry := answer.header.Get("Retry-After"); status == http.StatusServiceUnavailable && what != "connections" && retry != "1" {
		t.Errorf("%s: Retry-After: %q", what, retry)
	}
}

// TestLimits goes over each limit of what one client may do, and sees the documented answer, while another
// client notices nothing. The quota, requests in flight and memory have tests of their own.
func TestLimits(t *testing.T) {
	t.Parallel()
	const perAddress, children = 40, 257
	s := startServer(t, "-max-watchers", "2", "-max-listing", strconv.Itoa(children-1), "-max-connections-per-address", strconv.Itoa(perAddress),
		"-header-timeout", "3s", "-body-timeout", "3s", "-idle-timeout", "10s")
	for i := range children {
		s.event(post(fmt.Sprintf("/v1/keys/many/%d", i), "value", "1"))
	}
	beside := s.bystander(time.Millisecond, post("/v1/keys/a", "value", "1"), get("/v1/keys/a"))

	large := get("/v1/keys/a")
	for i := range 40 {
		large.header = append(large.header, [2]string{fmt.Sprintf("X-Large-%d", i), strings.Repeat("x", 8000)})
	}
	fields := make([]string, 2*101)
	for i := range fields {
		fields[i] = strconv.Itoa(i)
	}
	for _, test := range []struct {
		what         string
		q            request
		status, code int
	}{
		{"body", post("/v1/keys/a", "value", strings.Repeat("x", 11<<20)), 413, 413},
		{"headers", large, 431, 431},
		{"target", get("/v1/keys/" + strings.Repeat("x", 300<<10)), 414, 414},
		{"fields", post("/v1/keys/a", fields...), 400, 210},
		{"depth", post("/v1/keys"+strings.Repeat("/d", 129), "value", "1"), 400, 209},
		{"listing", get("/v1/keys/many"), 413, 413},
	} {
		refusedWith(t, test.what, s.do(test.q), nil, test.status, test.code)
	}

	for _, test := range []struct{ what, sent string }{
		{"time for headers", "GET /v1/keys/a HTTP/1.1\r\nHost: localhost\r\n"},
		{"time for a body", "POST /v1/keys/a HTTP/1.1\r\nHost: localhost\r\nContent-Type: " + formType + "\r\nContent-Length: 100000\r\n\r\nvalue=" + strings.Repeat("x", 20_000)},
	} {
		c := s.dial()
		_, err := io.WriteString(c, test.sent)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(waitLimit))
		answer, err := c.receive("GET")
		refusedWith(t, test.what, answer, err, 408, 408)
	}
	idle := s.dial()
	if _, err := idle.roundTrip(get("/v1/keys/a")); err != nil {
		t.Fatal(err)
	}
	_ = idle.SetDeadline(time.Now().Add(waitLimit))
	if _, err := idle.in.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("an idle connection ends with %v", err)
	}

	watches := []*conn{s.dial(), s.dial()}
	for _, c := range watches {
		if err := c.send(get("/v1/watch/none")); err != nil {
			t.Fatal(err)
		}
	}
	s.waitWatchers(len(watches))
	refusedWith(t, "watches", s.do(get("/v1/watch/none")), nil, 503, 503)
	if _, err := io.WriteString(watches[0], strings.Repeat("x", 5000)); err != nil {
		t.Fatal(err)
	}
	_ = watches[0].SetDeadline(time.Now().Add(waitLimit))
	answer, err := watches[0].receive("GET")
	refusedWith(t, "bytes behind a watch", answer, err, 400, 400)

	for n := 0; ; n++ {
		if n == 2*perAddress {
			t.Fatalf("%d connections of one address are served", n)
		}
		c := s.dial()
		_ = c.SetDeadline(time.Now().Add(waitLimit))
		if answer, err := c.roundTrip(get("/v1/keys/a")); err == nil && answer.status == 200 {
			continue
		} else if err == nil {
			refusedWith(t, "connections", answer, nil, 503, 503)
		}
		break
	}
	beside.report("requests over each limit")
}
