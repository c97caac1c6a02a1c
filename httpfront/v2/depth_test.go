package v2

import (
	"strings"
	"testing"

	"etcd/store"
)

// No request makes a key that is too deep, or waits for one; to ask for one does no harm.
func TestKeyDepth(t *testing.T) {
	s := serve(t)
	c := s.Dial()
	deepest := strings.Repeat("/a", store.MaxDepth)
	parent := strings.TrimSuffix(deepest, "/a")
	tooDeep := `{"errorCode":209,"message":"Invalid field","cause":"a key of 129 components exceeds the maximum of 128","index":1}`
	check(t, c.Do("PUT", "/v2/keys"+deepest+"/b", "value=1"), 400, tooDeep)
	check(t, c.Do("POST", "/v2/keys"+deepest, "value=1"), 400, tooDeep)
	check(t, c.Get("/v2/keys"+deepest+"/b?wait=true"), 400, tooDeep)
	if r := c.Do("POST", "/v2/keys"+parent, "value=1"); r.Status != 201 {
		t.Fatalf("the deepest in-order key: %d %s", r.Status, r.Body)
	}
	if r := c.Do("PUT", "/v2/keys"+deepest, "dir=true"); r.Status != 201 {
		t.Fatalf("the deepest directory: %d %s", r.Status, r.Body)
	}
	missing := `{"errorCode":100,"message":"Key not found","cause":"` + deepest + `/b","index":4}`
	check(t, c.Get("/v2/keys"+deepest+"/b/c"), 404, missing)
	check(t, c.Do("DELETE", "/v2/keys"+deepest+"/b/c", ""), 404, missing)
}
