package v1

import (
	"fmt"
	"testing"
	"time"

	"etcd/apierror"
	"etcd/httpfront"
	"etcd/httpfront/fronttest"
)

// The answers to one request after another, on one machine; indexes follow from the requests
// before, and a request that is refused before it is proposed uses none.
func TestV1(t *testing.T) {
	s := serve(t, Config{})
	c := s.Dial()
	const (
		notFound = `{"errorCode":100,"message":"Key Not Found","cause":%q}`
		notEqual = `{"errorCode":101,"message":"The given PrevValue is not equal to the value of the key","cause":%q}`
		notFile  = `{"errorCode":102,"message":"Not A File","cause":%q}`
		noValue  = `{"errorCode":200,"message":"Value is Required in POST form","cause":"Set"}`
		badTTL   = `{"errorCode":202,"message":"The given TTL in POST form is not a number","cause":"Set"}`
		badIndex = `{"errorCode":203,"message":"The given index in POST form is not a number","cause":"Watch From Index"}`
		keyword  = `{"errorCode":400,"message":"The prefix of the given key is a keyword in etcd","cause":%q}`
		invalid  = `{"errorCode":209,"message":"Invalid field","cause":%q}`
		badForm  = `{"errorCode":210,"message":"Invalid POST form","cause":%q}`
	)
	f := fmt.Sprintf
	unreadable := func(name, escape string) string {
		return `{"errorCode":210,"message":"Invalid POST form","cause":"\"` + name + `\" has the invalid escape \"` + escape +
			`\"; a % is sent as %25 (curl: --data-urlencode, with -G for the query)"}`
	}
	for i, step := range []struct {
		method, target, body string
		status               int
		want                 string
	}{
		{"POST", "/v1/keys/a", "value=1", 200, `{"action":"SET","key":"/a","value":"1","newKey":true,"index":3}`},
		{"PUT", "/v1/keys/a", "value=2", 200, `{"action":"SET","key":"/a","prevValue":"1","value":"2","index":4}`},
		{"POST", "/v1/keys/t", "value=1&ttl=5", 200, `{"action":"SET","key":"/t","value":"1","newKey":true,"expiration":"2026-01-02T03:04:10.000000006Z","ttl":4,"index":5}`},
		{"GET", "/v1/keys/t", "", 200, `{"action":"GET","key":"/t","value":"1","expiration":"2026-01-02T03:04:10.000000006Z","ttl":4,"index":5}`},
		{"POST", "/v1/keys/t", "value=2&ttl=1", 200, `{"action":"SET","key":"/t","prevValue":"1","value":"2","expiration":"2026-01-02T03:04:06.000000006Z","index":6}`},
		{"POST", "/v1/keys/t?ttl=1", "value=3&ttl=", 200, `{"action":"SET","key":"/t","prevValue":"2","value":"3","index":7}`},
		{"POST", "/v1/keys/d/e/f", "value=x", 200, `{"action":"SET","key":"/d/e/f","value":"x","newKey":true,"index":8}`},

		// Refused before they are proposed, in this order.
		{"POST", "/v1/keys/_etcd/a", "ttl=x", 400, f(keyword, "Set")},
		{"DELETE", "/v1/keys/ephemeralNodes", "", 400, f(keyword, "Delete")},
		{"POST", "/v1/keys/a", "ttl=x", 400, noValue},
		{"POST", "/v1/keys/a", "value=", 400, noValue},
		{"POST", "/v1/keys/a", "value=1&ttl=x&prevValue=9", 400, badTTL},
		{"POST", "/v1/keys/%ff", "value=1", 400, f(invalid, "the path is not valid UTF-8")},
		{"POST", "/v1/watch/a", "index=x", 400, badIndex},
		{"POST", "/v1/watch/a", "", 400, badIndex},
		{"GET", "/v1/watch/a?index=x", "", 400, badIndex},
		{"GET", "/v1/watch/a?index=", "", 400, badIndex},
		{"GET", "/v1/keys/a?quorum=x", "", 400, f(invalid, `invalid value for "quorum"`)},
		{"GET", "/v1/keys/a?quorum=false&consistent=true", "", 400, f(invalid, "quorum and consistent contradict each other")},
		{"GET", "/v1/keys/a?consistent=true&quorum=1", "", 200, `{"action":"GET","key":"/a","value":"2","index":8}`},
		{"GET", "/v1/watch/a?index=3&quorum=x", "", 400, f(invalid, `invalid value for "quorum"`)},

		// What cannot be read is not ignored.
		{"POST", "/v1/keys/_etcd/a", "ttl=%", 400, f(keyword, "Set")},
		{"POST", "/v1/keys/a", "value=new&prevValue=100%", 400, unreadable("prevValue", "%")},
		{"POST", "/v1/keys/a", "value=lock&ttl=30%", 400, unreadable("ttl", "%")},
		{"POST", "/v1/keys/a?prevValue=50%", "value=x", 400, unreadable("prevValue", "%")},
		{"PUT", "/v1/keys/a?ttl=%zz", "value=x", 400, unreadable("ttl", "%zz")},
		{"DELETE", "/v1/keys/a?prevValue=50%", "", 400, unreadable("prevValue", "%")},
		{"DELETE", "/v1/keys/a?prevValue=2", "", 400, f(badForm, "prevValue is no condition of a DELETE in this API; nothing was deleted")},
		{"DELETE", "/v1/keys/a", "prevValue=2", 400, f(badForm, "prevValue is no condition of a DELETE in this API; nothing was deleted")},
		{"GET", "/v1/keys/a?quorum=%", "", 400, unreadable("quorum", "%")},
		{"GET", "/v1/keys/a", "quorum=x", 400, f(invalid, `invalid value for "quorum"`)},
		{"GET", "/v1/watch/a?index=%33%", "", 400, unreadable("index", "%")},
		{"GET", "/v1/keys/a", "", 200, `{"action":"GET","key":"/a","value":"2","index":8}`},

		// A set that is impossible.
		{"POST", "/v1/keys/d", "value=1", 400, f(notFile, "/d")},
		{"POST", "/v1/keys/a/b/", "value=1", 400, f(notFile, "/a/b")},
		{"POST", "/v1/keys/", "value=1", 400, f(notFile, "/")},
		{"POST", "/v1/keys/_etcdx", "value=1", 200, `{"action":"SET","key":"/_etcdx","value":"1","newKey":true,"index":12}`},

		// Test and set.
		{"POST", "/v1/keys/a", "value=3&prevValue=1", 400, f(notEqual, "TestAndSet: 2!=1")},
		{"POST", "/v1/keys/a", "value=3&prevValue=2", 200, `{"action":"SET","key":"/a","prevValue":"2","value":"3","index":14}`},
		{"POST", "/v1/keys/a", "value=4&prevValue=", 400, f(notEqual, "TestAndSet: 3!=")},
		{"POST", "/v1/keys/b", "value=1&prevValue=", 200, `{"action":"SET","key":"/b","value":"1","newKey":true,"index":16}`},
		{"POST", "/v1/keys/none/x/", "value=1&prevValue=0", 404, f(notFound, "none/x/")},
		{"POST", "/v1/keys/d", "value=1&prevValue=0", 404, f(notFound, "d")},
		{"POST", "/v1/keys/d", "value=1&prevValue=", 400, f(notFile, "/d")},
		{"POST", "/v1/keys/a/b", "value=1&prevValue=0", 404, f(notFound, "a/b")},
		{"POST", "/v1/keys/a/b", "value=1&prevValue=", 400, f(notFile, "/a/b")},
		{"POST", "/v1/keys/", "value=1&prevValue=", 400, f(notFile, "/")},

		// A time to live of zero or less deletes.
		{"POST", "/v1/keys/none", "value=1&ttl=0", 404, f(notFound, "/none")},
		{"POST", "/v1/keys/a", "value=1&ttl=0&prevValue=9", 400, f(notEqual, "TestAndSet: 3!=9")},
		{"POST", "/v1/keys/a", "value=1&ttl=-5", 200, `{"action":"DELETE","key":"/a","prevValue":"3","index":25}`},
		{"POST", "/v1/keys/b", "value=9&ttl=0&prevValue=1", 200, `{"action":"DELETE","key":"/b","prevValue":"1","index":26}`},

		// Delete and get.
		{"DELETE", "/v1/keys/a", "", 404, f(notFound, "/a")},
		{"DELETE", "/v1/keys/t/x", "", 404, f(notFound, "/t/x")},
		{"DELETE", "/v1/keys/d", "", 400, f(notFile, "/d")},
		{"DELETE", "/v1/keys/", "", 400, f(notFile, "/")},
		{"DELETE", "/v1/keys/t", "", 200, `{"action":"DELETE","key":"/t","prevValue":"3","index":31}`},
		{"GET", "/v1/keys/t", "", 404, f(notFound, "/t")},
		{"GET", "/v1/keys/d/e/f/g", "", 404, f(notFound, "/d/e/f/g")},
		{"GET", "/v1/get/d/", "", 200, `[{"action":"GET","key":"/d/e","dir":true,"index":31}]`},
		{"GET", "/v1/keys", "", 200, `[{"action":"GET","key":"/_etcd","dir":true,"index":31},{"action":"GET","key":"/_etcdx","value":"1","index":31},{"action":"GET","key":"/d","dir":true,"index":31}]`},
		{"DELETE", "/v1/keys/d/e/f", "", 200, `{"action":"DELETE","key":"/d/e/f","prevValue":"x","index":32}`},
		{"GET", "/v1/keys/d/e?quorum=false", "", 200, `[]`},
		{"GET", "/v1/keys/_etcd/machines?consistent=false", "", 200, `[{"action":"GET","key":"/_etcd/machines/m1","value":"raft=http://127.0.0.1:7001\u0026etcd=http://127.0.0.1:4001","index":32}]`},
	} {
		t.Run(fmt.Sprint(i, " ", step.method, " ", step.target, " ", step.body), func(t *testing.T) {
			fronttest.Check(t, c.Do(step.method, step.target, step.body), step.status, step.want)
		})
	}
}

// The time to live in answers shrinks with the clock.
func TestTTLOverTime(t *testing.T) {
	s := serve(t, Config{})
	c := s.Dial()
	c.Set("/a", "value=1&ttl=100")
	s.Clock.Add(30*time.Second + 1)
	fronttest.Check(t, c.Get("/v1/keys/a"), 200, `{"action":"GET","key":"/a","value":"1","expiration":"2026-01-02T03:05:45.000000006Z","ttl":69,"index":3}`)
}

func TestLocalReadsByDefault(t *testing.T) {
	s := serve(t, Config{LocalReads: true})
	c := s.Dial()
	c.Set("/a", "value=1")
	want := `{"action":"GET","key":"/a","value":"1","index":3}`
	for _, query := range []string{"", "?quorum=true", "?quorum=false", "?consistent=true"} {
		fronttest.Check(t, c.Get("/v1/keys/a"+query), 200, want)
	}
}

func TestTTL(t *testing.T) {
	for _, test := range []struct {
		value string
		want  int64 // 0: none
		bad   bool
	}{
		{"", 0, false}, {"5", 5, false}, {"+5", 5, false}, {"-5", -5, false}, {"007", 7, false},
		{"9223372036", maxTTL, false}, {"9223372037", 0, true}, {"99999999999999999999", 0, true},
		{"-9223372036854775808", -9223372036854775808, false}, {"-9223372036854775809", 0, true},
		{" 5", 0, true}, {"5 ", 0, true}, {"1.5", 0, true}, {"1e3", 0, true}, {"0x10", 0, true}, {"1_000", 0, true}, {"five", 0, true},
	} {
		ttl, bad := parseTTL(httpfront.Form{{Name: "ttl", Value: test.value}})
		switch {
		case test.bad:
			if bad == nil || bad.Code != apierror.TTLNaN || ttl != nil {
				t.Errorf("ttl %q: %v, %v; want error %d", test.value, ttl, bad, apierror.TTLNaN)
			}
		case bad != nil || (ttl == nil) != (test.want == 0) || ttl != nil && *ttl != test.want:
			t.Errorf("ttl %q: %v, %v; want %d", test.value, ttl, bad, test.want)
		}
	}
}
