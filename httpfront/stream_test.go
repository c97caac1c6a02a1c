package httpfront_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"etcd/actors"
	"etcd/httpfront/fronttest"
)

// waitForViews waits until a server holds n views.
func waitForViews(s *fronttest.Server, n int) {
	s.T.Helper()
	c := s.Dial()
	s.Eventually(fmt.Sprintf("%d views", n), func() bool {
		var stats struct{ Views *int }
		if err := json.Unmarshal([]byte(c.Get("/v1/stats/store").Body), &stats); err != nil || stats.Views == nil {
			s.T.Fatalf("no count of views: %v", err)
		}
		return *stats.Views == n
	})
}

// Only so many large directories can be listed at a time. More are refused until one is done,
// or its client has gone.
func TestTooManyListings(t *testing.T) {
	const most = 64
	s := serve(t)
	c := s.Dial()
	for i := range actors.MaxChildren + 1 { // more than fits in the buffers of a connection
		c.Set(fmt.Sprintf("/d/%d", i), "value="+strings.Repeat("x", 30_000))
	}
	var listing []*fronttest.Client
	for range most {
		one := s.Dial()
		one.Send("%s", fronttest.RawRequest("GET", "/v1/keys/d", ""))
		listing = append(listing, one)
	}
	waitForViews(s, most)
	refused := c.Get("/v1/keys/d")
	fronttest.Check(t, refused, http.StatusServiceUnavailable,
		`{"errorCode":503,"message":"Service Unavailable","cause":"too many large directories are being listed"}`)
	if after := refused.Header.Get("Retry-After"); after != "1" {
		t.Errorf("it may be tried again after %q", after)
	}
	if r := c.Get("/v1/keys/d/7"); r.Status != http.StatusOK {
		t.Errorf("a key gets %d %s", r.Status, r.Body)
	}

	if err := listing[0].Close(); err != nil {
		t.Fatal(err)
	}
	waitForViews(s, most-1)
	if r := c.Get("/v1/keys/d"); r.Status != http.StatusOK {
		t.Errorf("the next listing gets %d %.200s", r.Status, r.Body)
	}
	if r := listing[1].Reply("GET"); r.Status != http.StatusOK || !strings.HasSuffix(r.Body, "]") {
		t.Errorf("one that waited gets %d and %d bytes", r.Status, len(r.Body))
	}
	waitForViews(s, most-2)
	for _, one := range listing[2:] {
		_ = one.Close()
	}
	waitForViews(s, 0)
}

// A listing that panics keeps no view.
func TestAListingPanics(t *testing.T) {
	s := serve(t)
	if r := s.Dial().Get("/panics/listing"); r.Status != http.StatusInternalServerError {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	if log := s.Log.Take(); !strings.Contains(log, "panic in the handler") {
		t.Errorf("it is logged as:\n%s", log)
	}
	waitForViews(s, 0)
}
