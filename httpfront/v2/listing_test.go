package v2

import (
	"fmt"
	"strings"
	"testing"

	"etcd/httpfront/fronttest"
)

// Over -max-listing a listing is refused before anything is sent; with everything below it counts all of that.
func TestListingIsTooLong(t *testing.T) {
	s := serve(t)
	c := s.Dial()
	most := fronttest.Config().MaxListing
	for i := range most/2 + 1 {
		c.Do("PUT", fmt.Sprintf("/v2/keys/d/%04d/below", i), "value=1")
	}
	if r := c.Get("/v2/keys/d"); r.Status != 200 {
		t.Errorf("the children: %d %.200s", r.Status, r.Body)
	}
	const want = `{"errorCode":413,"message":"Request Entity Too Large","cause":"the directory has more than 1000 keys; list the directories in it instead. The limit is set by -max-listing","index":`
	if r := c.Get("/v2/keys/d?recursive=true"); r.Status != 413 || !strings.HasPrefix(r.Body, want) {
		t.Errorf("everything below: %d %.300s", r.Status, r.Body)
	}
}
