package v2

import (
	"fmt"
	"testing"

	"etcd/httpfront"
	"etcd/httpfront/fronttest"
)

// What there is no room for is refused in the shape of each API.
func TestNoRoom(t *testing.T) {
	s := serve(t, func(c *httpfront.Config) { c.MaxInFlight, c.MaxWatchers = 1, 1 })
	watcher, writer, c := s.Dial(), s.Dial(), s.Dial()
	watcher.Send("%s", fronttest.RawRequest("GET", "/v2/keys/a?wait=true", ""))
	s.WaitForWatchers(1)
	check := func(target, want string) {
		t.Helper()
		r := c.Get(target)
		fronttest.Check(t, r, 503, want)
		if after := r.Header.Get("Retry-After"); after != "1" {
			t.Errorf("%s: Retry-After: %q", target, after)
		}
	}
	const keyError = `{"errorCode":503,"message":"Service Unavailable","cause":"%s","index":1}` + "\n"
	for _, more := range []string{"", "&stream=true", "&timeout=5"} {
		check("/v2/keys/a?wait=true"+more, fmt.Sprintf(keyError, "too many watches (-max-watchers)"))
	}
	letGo := fronttest.Block(t, s.Machine)
	writer.Send("%s", fronttest.RawRequest("PUT", "/v2/keys/a", "value=1"))
	inFlight := "too many requests are in flight (-max-requests-in-flight); nothing was done"
	s.Eventually("the write is in flight", func() bool { return c.Get("/v2/keys/a").Status == 503 })
	check("/v2/keys/a", fmt.Sprintf(keyError, inFlight))
	check("/v2/members", `{"message":"`+inFlight+`"}`)
	letGo()
	for _, waiting := range []*fronttest.Client{writer, watcher} {
		if r := waiting.Reply("GET"); r.Status != 200 && r.Status != 201 {
			t.Errorf("%d %s", r.Status, r.Body)
		}
	}
}
