package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// quota is the answer of /quota.
type quota struct{ Quota, Used uint64 }

func (s *server) quota() (q quota) {
	s.t.Helper()
	answer := s.do(get("/quota"))
	if err := json.Unmarshal([]byte(answer.body), &q); err != nil || answer.status != 200 {
		s.t.Fatalf("/quota: %d %s", answer.status, answer.body)
	}
	return q
}

// isOverQuota reports whether an answer says that a request was refused for the quota, in the shape of its API.
func isOverQuota(t *testing.T, answer reply) bool {
	t.Helper()
	if answer.status != 507 {
		return false
	}
	var e struct {
		ErrorCode      int
		Message, Cause string
		Index          *uint64
	}
	if err := json.Unmarshal([]byte(answer.body), &e); err != nil || e.ErrorCode != 507 || e.Message != "Insufficient Storage" ||
		!strings.Contains(e.Cause, "the quota is 1048576") || (e.Index != nil) != (answer.header.Get("X-Etcd-Cluster-Id") != "") {
		t.Errorf("507 %s", answer.body)
	}
	return true
}

// Three machines are filled to their quota: what makes the keys more is refused on each, in every API, and
// nothing else; when there is room, or the quota is raised, writes go on. Other clients notice nothing.
func TestQuota(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3, "-quota", "1048576")
	big := strings.Repeat("x", 100_000)
	c.members[0].event(post("/v1/keys/small", "value", "1234"))
	if answer := c.members[0].do(put("/v2/keys/soon", "value", big)); answer.status != 201 {
		t.Fatalf("%d %.200s", answer.status, answer.body)
	}

	beside := c.members[1].bystander(0, post("/v1/keys/small", "value", "abcd"), post("/v1/keys/small", "value", "efgh"), get("/v1/keys/small"))

	writes := []func(n int) request{
		func(n int) request { return post("/v1/keys/full/"+strconv.Itoa(n), "value", big) },
		func(n int) request { return put("/v2/keys/full/"+strconv.Itoa(n), "value", big) },
		func(int) request { return post("/v2/keys/full", "value", big) },
		func(n int) request {
			return put("/v2/keys/full/dir"+strconv.Itoa(n)+strings.Repeat("/d", 50), "dir", "true")
		},
	}
	refused := make([]bool, len(writes))
	for n := 0; slices.Contains(refused, false); n++ {
		if n == 400 {
			t.Fatalf("after 400 writes not all ways to write are refused: %t", refused)
		}
		i := n % len(writes)
		refused[i] = isOverQuota(t, c.members[n%3].do(writes[i](n))) || refused[i]
	}
	if q := c.members[0].quota(); q.Quota != 1<<20 || q.Used > q.Quota || q.Used < q.Quota-uint64(len(big))-10_000 {
		t.Errorf("%+v", q)
	}
	if answer := c.members[1].do(put("/v2/keys/soon", "ttl", "1", "refresh", "true", "prevExist", "true")); answer.status != 200 {
		t.Errorf("a time to live: %d %.200s", answer.status, answer.body)
	}
	waitUntil(t, "the key with a ttl has expired", func() bool { return c.members[2].do(get("/v2/keys/soon")).status == 404 })
	if answer := c.members[2].do(writes[1](1000)); answer.status != 201 {
		t.Errorf("in the room of a key that has expired: %d %.200s", answer.status, answer.body)
	}
	if answer := c.members[0].do(del("/v2/keys/full?recursive=true")); answer.status != 200 {
		t.Errorf("a delete: %d %.200s", answer.status, answer.body)
	}
	for i, write := range writes {
		if answer := c.members[i%3].do(write(2000 + i)); answer.status != 200 && answer.status != 201 {
			t.Errorf("in the room of what was deleted: %d %.200s", answer.status, answer.body)
		}
	}
	beside.report("writes over the quota")

	want := fmt.Sprintf(`{"quota":3145728,"used":%d}`, c.members[1].quota().Used)
	c.members[1].want(put("/quota", "bytes", "3145728"), 200, want)
	for _, s := range c.members {
		waitUntil(t, s.name+" has the quota", func() bool { return s.quota().Quota == 3<<20 })
	}
	c.members[0].want(put("/quota", "bytes", "1k"), 400, `{"errorCode":209,"message":"Invalid field","cause":"bytes=1k: want 1048576 to 1125899906842624"}`)
	for n := range 12 {
		if answer := c.members[n%3].do(writes[1](3000 + n)); answer.status != 201 {
			t.Errorf("with a larger quota: %d %.200s", answer.status, answer.body)
		}
	}
	// A restart with the flag sets it again. What is over it stays, and a member that joins gets all of it.
	c.members[2].stop()
	c.members[2].start()
	if q := c.members[0].quota(); q.Quota != 1<<20 || q.Used <= q.Quota {
		t.Errorf("after a restart with another -quota: %+v", q)
	}
	c.members = append(c.members, c.newMember())
	c.members[3].args = append(c.members[3].args, "-C", c.members[0].peer)
	c.members[3].start()
	c.waitVoters()
	c.checkSameState()
}
