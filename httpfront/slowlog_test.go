package httpfront_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"etcd/httpfront"
	"etcd/httpfront/fronttest"
)

// A slow request is logged once, with where its time went; a watch is never slow.
func TestSlowRequests(t *testing.T) {
	inAllModes(t, func(t *testing.T, serve server) {
		var log fronttest.LogBuffer
		s := serve(t, func(c *httpfront.Config) { c.Slow, c.Log = time.Nanosecond, log.Logger() })
		watching := s.Dial()
		watching.Send("%s", fronttest.RawRequest("POST", "/v1/watch/a", "index=1")) // whether it comes before the event or after it
		c := s.Dial()
		c.Set("/a", "value=secret")
		watching.Reply("POST")
		c.Get("/v1/keys/none")
		c.Get("/v1/keys/a?quorum=false")
		c.Get("/") // a request is logged before the next one of its connection is served
		said := log.Take()
		const request, took = `a request was slow" method=`, ` from=127\.0\.0\.1:\d+ took=\S+`
		for _, want := range []string{
			`POST path=/v1/keys/a status=200` + took + ` leader=\S+ log=\S+ apply=\S+ writing=\S+\n`,
			`GET path=/v1/keys/none status=404` + took + ` leader=\S+ writing=\S+\n`,
			`GET path=/v1/keys/a status=200` + took + `\n`, // it waited for nothing
		} {
			if n := len(regexp.MustCompile(request+want).FindAllString(said, -1)); n != 1 {
				t.Errorf("%d lines with %s in\n%s", n, want, said)
			}
		}
		if strings.Contains(said, "/v1/watch") || strings.Contains(said, "secret") {
			t.Errorf("logged %s", said)
		}
	})
}
