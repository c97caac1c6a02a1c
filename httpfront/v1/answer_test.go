package v1

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"pgregory.net/rapid"

	"etcd/actors"
	"etcd/httpfront"
	"etcd/httpfront/fronttest"
	"etcd/store/logtime"
	"etcd/store/tree"
	"etcd/watch"
)

// rendered returns an answer as a client sees it.
func rendered(a httpfront.Answer) (status int, contentType, body string) {
	var resp fasthttp.Response
	a.Write(&resp)
	return resp.StatusCode(), string(resp.Header.ContentType()), string(resp.Body())
}

func TestKeyAnswers(t *testing.T) {
	now := fronttest.NewClock().Read()
	file := func(value string, deadline logtime.Time) *tree.Node {
		return &tree.Node{Path: "/a", Value: value, Created: 3, Modified: 4, Deadline: deadline}
	}
	gone := &tree.Node{Path: "/a", Created: 3, Modified: 9}
	expiration := `"expiration":"2026-01-02T03:04:10.000000006Z"`
	five := now.Add(5 * time.Second)
	whole := logtime.Of(time.Date(2026, 1, 2, 3, 4, 10, 0, time.UTC))
	event := func(action tree.Action, node, prev *tree.Node) keyAnswer {
		return eventAnswer(&tree.Event{Index: 9, Action: action, Node: node, Prev: prev}, now)
	}
	tests := []struct {
		name string
		got  keyAnswer
		want string
	}{
		{"get", nodeAnswer(file("v", 0), 9, now), `{"action":"GET","key":"/a","value":"v","index":9}`},
		{"get with ttl", nodeAnswer(file("v", five), 9, now), `{"action":"GET","key":"/a","value":"v",` + expiration + `,"ttl":4,"index":9}`},
		{"get of what is due", nodeAnswer(file("v", now), 9, now), `{"action":"GET","key":"/a","value":"v","expiration":"2026-01-02T03:04:05.000000006Z","index":9}`},
		{"get of a directory", nodeAnswer(&tree.Node{Path: "/d", Dir: true}, 9, now), `{"action":"GET","key":"/d","dir":true,"index":9}`},
		{"whole seconds", nodeAnswer(file("v", whole), 9, now), `{"action":"GET","key":"/a","value":"v","expiration":"2026-01-02T03:04:10Z","ttl":4,"index":9}`},
		{"first set", event(tree.ActionSet, file("v", 0), nil), `{"action":"SET","key":"/a","value":"v","newKey":true,"index":9}`},
		{"set again", event(tree.ActionSet, file("v", 0), file("old", five)), `{"action":"SET","key":"/a","prevValue":"old","value":"v","index":9}`},
		{"all fields", event(tree.ActionSet, file("v", five), file("old", 0)), `{"action":"SET","key":"/a","prevValue":"old","value":"v",` + expiration + `,"ttl":4,"index":9}`},
		{"test and set", event(tree.ActionCompareAndSwap, file("v", 0), file("old", 0)), `{"action":"SET","key":"/a","prevValue":"old","value":"v","index":9}`},
		{"create", event(tree.ActionCreate, file("v", 0), nil), `{"action":"SET","key":"/a","value":"v","newKey":true,"index":9}`},
		{"update", event(tree.ActionUpdate, file("v", 0), file("old", 0)), `{"action":"SET","key":"/a","prevValue":"old","value":"v","index":9}`},
		{"delete", event(tree.ActionDelete, gone, file("old", 0)), `{"action":"DELETE","key":"/a","prevValue":"old","index":9}`},
		{"delete with ttl", event(tree.ActionDelete, gone, file("old", five)), `{"action":"DELETE","key":"/a","prevValue":"old",` + expiration + `,"index":9}`},
		{"compare and delete", event(tree.ActionCompareAndDelete, gone, file("old", 0)), `{"action":"DELETE","key":"/a","prevValue":"old","index":9}`},
		{"expiry", event(tree.ActionExpire, gone, file("old", five)), `{"action":"DELETE","key":"/a","prevValue":"old",` + expiration + `,"index":9}`},
		{"odd characters", event(tree.ActionSet, file("\"\n\xff你", 0), nil), `{"action":"SET","key":"/a","value":"\"\n\ufffd你","newKey":true,"index":9}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			status, contentType, body := rendered(&test.got)
			if status != 200 || contentType != httpfront.TypeJSON || body != test.want {
				t.Errorf("got  %d %s %s\nwant 200 %s %s", status, contentType, body, httpfront.TypeJSON, test.want)
			}
		})
	}
}

// longEscapes replaces the short escapes that the servers of 2013 did not know.
var longEscapes = strings.NewReplacer(`\\`, `\\`, `\b`, `\u0008`, `\f`, `\u000c`)

// Answers are rendered by hand as encoding/json renders them.
func TestKeyAnswersAreJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := keyAnswer{
			Action: rapid.SampledFrom([]string{"GET", "SET", "DELETE"}).Draw(t, "action"), Key: rapid.String().Draw(t, "key"),
			Dir: rapid.Bool().Draw(t, "dir"), PrevValue: rapid.String().Draw(t, "prev"), Value: rapid.String().Draw(t, "value"),
			NewKey: rapid.Bool().Draw(t, "new"), TTL: rapid.Int64().Draw(t, "ttl"), Index: rapid.Uint64().Draw(t, "index"),
		}
		if rapid.Bool().Draw(t, "expires") {
			a.Expiration = new(time.Unix(rapid.Int64Range(0, 1<<37).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")).UTC())
		}
		want, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		if got := a.append(nil, nil); string(got) != longEscapes.Replace(string(want)) {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
	})
}

// The time to live counts down: N seconds show as N-1 from the first moment on.
func TestTTLCountsDown(t *testing.T) {
	const second = logtime.Time(time.Second)
	for _, test := range []struct {
		left logtime.Time
		want int64
	}{
		{1, 0}, {second - 1, 0}, {second, 0}, {second + 1, 1}, {2 * second, 1}, {5 * second, 4}, {5*second - 1, 4}, {4*second + 1, 4}, {4 * second, 3},
		{logtime.Time(logtime.MaxTTL), maxTTL},
	} {
		var a keyAnswer
		a.expires(1000*second+test.left, 1000*second)
		if a.TTL != test.want {
			t.Errorf("%d ns left: ttl %d, want %d", test.left, a.TTL, test.want)
		}
	}
	var a keyAnswer
	a.expires(1000, 2000)
	if a.TTL != 0 || a.Expiration == nil {
		t.Errorf("past its deadline: %+v, want an expiration and no ttl", a)
	}
}

func TestWatchErrors(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{&watch.ClearedError{Oldest: 7, Requested: 3}, `400 {"errorCode":401,"message":"The event in requested index is outdated and cleared","cause":"the requested history has been cleared [7/3]"}`},
		{actors.ErrClosing, `500 {"errorCode":500,"message":"watcher is cleared due to etcd recovery","cause":"the machine is shutting down"}`},
	} {
		status, _, body := rendered(watchAnswer(watch.Delivery{Err: test.err, Last: true}, nil))
		if got := fmt.Sprint(status, " ", body); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
}
