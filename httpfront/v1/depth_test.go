package v1

import (
	"strings"
	"testing"

	"etcd/httpfront/fronttest"
	"etcd/store"
)

// No request makes a key that is too deep, or waits for one; to ask for one does no harm.
func TestKeyDepth(t *testing.T) {
	s := serve(t, Config{})
	c := s.Dial()
	deepest := strings.Repeat("/a", store.MaxDepth)
	if r := c.Do("PUT", "/v1/keys"+deepest, "value=1"); r.Status != 200 {
		t.Fatalf("the deepest key: %d %s", r.Status, r.Body)
	}
	tooDeep := `{"errorCode":209,"message":"Invalid field","cause":"a key of 129 components exceeds the maximum of 128"}`
	fronttest.Check(t, c.Do("PUT", "/v1/keys"+deepest+"/b", "value=1"), 400, tooDeep)
	fronttest.Check(t, c.Do("POST", "/v1/keys"+deepest+"/b", "value=1&prevValue="), 400, tooDeep)
	fronttest.Check(t, c.Get("/v1/watch"+deepest+"/b"), 400, tooDeep)
	fronttest.Check(t, c.Get("/v1/watch/b?stream=true&key="+deepest+"/b"), 400, strings.Replace(tooDeep, "a key", "key: a key", 1))
	missing := `{"errorCode":100,"message":"Key Not Found","cause":"` + deepest + `/b"}`
	fronttest.Check(t, c.Get("/v1/keys"+deepest+"/b"), 404, missing)
	fronttest.Check(t, c.Do("DELETE", "/v1/keys"+deepest+"/b", ""), 404, missing)
}
