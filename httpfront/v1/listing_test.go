package v1

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"etcd/actors"
	"etcd/httpfront/fronttest"
)

// large fills a directory with more children than the store actor lists, the last of them
// a directory, and returns their paths in order.
func large(t *testing.T, set func(key, body string) string) []string {
	t.Helper()
	var paths []string
	for i := range actors.MaxChildren + 20 {
		path := fmt.Sprintf("/d/%04d", i)
		set(path, "value="+strings.Repeat("x", 100)+[]string{"", "%3C%26", "%22%5C%0A", "%7F%E2%82%AC&ttl=1000"}[i%4])
		paths = append(paths, path)
	}
	set("/d/e/below/it", "value=1")
	set("/d/e-f", "value=1")
	return append(paths, "/d/e", "/d/e-f")
}

// Large values are rendered in pieces as well, however few they are.
func TestListingOfLargeValues(t *testing.T) {
	s := serve(t, Config{})
	c := s.Dial()
	value := strings.Repeat("x", 60_000)
	for i := range 20 {
		if reply := c.Get("/v1/keys/d"); i == 1 && reply.Header.Get("Content-Length") == "" || i == 10 && reply.Header.Get("Content-Length") != "" {
			t.Errorf("%d values are answered with the headers %v", i, reply.Header)
		}
		c.Set(fmt.Sprintf("/d/%02d", i), "value="+value)
	}
	reply := c.Get("/v1/keys/d")
	var got []keyAnswer
	if err := json.Unmarshal([]byte(reply.Body), &got); err != nil || len(got) != 20 || got[19].Value != value {
		t.Errorf("%d children, %v", len(got), err)
	}
	if reply.Header.Get("Content-Length") != "" {
		t.Error("1.2 MB are answered at once")
	}
}

// A large directory is rendered in pieces, and reads as if it were rendered at once.
func TestListingOfALargeDirectory(t *testing.T) {
	s := serve(t, Config{})
	c := s.Dial()
	want := large(t, c.Set)
	reply := c.Get("/v1/keys/d")
	var got []keyAnswer
	if err := json.Unmarshal([]byte(reply.Body), &got); err != nil || reply.Status != http.StatusOK {
		t.Fatalf("status %d, %v", reply.Status, err)
	}
	var paths []string
	for _, child := range got {
		paths = append(paths, child.Key)
		if child.Index != got[0].Index {
			t.Fatalf("%s has index %d in a listing of index %d", child.Key, child.Index, got[0].Index)
		}
	}
	if strings.Join(paths, " ") != strings.Join(want, " ") {
		t.Errorf("the children are %v, want %v", paths, want)
	}
	whole, err := json.Marshal(got)
	if err != nil || string(whole) != reply.Body {
		t.Error("the bytes are not those of the array at once")
	}
	// The connection stays open, and a client that does not know chunks gets the length.
	if head := c.Do("HEAD", "/v1/keys/d", ""); head.Header.Get("Content-Length") != fmt.Sprint(len(reply.Body)) {
		t.Errorf("HEAD says %s bytes, want %d", head.Header.Get("Content-Length"), len(reply.Body))
	}
	old := s.Dial()
	old.Send("GET /v1/keys/d HTTP/1.0\r\n\r\n")
	resp, err := http.ReadResponse(old.In, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil || len(resp.TransferEncoding) > 0 || string(body) != reply.Body {
		t.Errorf("HTTP/1.0: transfer encoding %v, %d bytes, %v", resp.TransferEncoding, len(body), err)
	}
}

// Over -max-listing a listing is refused before anything is sent, and what is further below does not count.
func TestListingIsTooLong(t *testing.T) {
	s := serve(t, Config{})
	c := s.Dial()
	most := fronttest.Config().MaxListing
	for i := range most {
		c.Set(fmt.Sprintf("/d/%04d/below", i), "value=1")
	}
	if r := c.Get("/v1/keys/d"); r.Status != http.StatusOK || strings.Count(r.Body, `"dir":true`) != most {
		t.Errorf("%d children are answered with %d and %d bytes", most, r.Status, len(r.Body))
	}
	c.Set("/d/one-more", "value=1")
	fronttest.Check(t, c.Get("/v1/keys/d"), http.StatusRequestEntityTooLarge, fmt.Sprintf(
		`{"errorCode":413,"message":"Request Entity Too Large","cause":"the directory has more than %d keys; list the directories in it instead. The limit is set by -max-listing"}`, most))
	if r := c.Get("/v1/keys/d/0001"); r.Status != http.StatusOK {
		t.Errorf("a directory in it: %d %s", r.Status, r.Body)
	}
}
