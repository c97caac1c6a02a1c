package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
)

// difference is one of the deliberate differences of docs/api-v2.md, as far as it shows in single
// answers. It says when it applies, and what ours has to answer then.
type difference struct {
	number int // in docs/api-v2.md
	what   string

	// ask returns the request by which the reference does what ours does for q.
	ask func(q v2Request) (_ v2Request, applies bool)
	// ignores reports whether this is what the reference answers to q itself. If it is nil, the
	// reference is not asked: it would do something else.
	ignores func(reference v2Answer) bool

	// expect returns what ours has to answer, in terms of the reference. newest is the newest index
	// before the request.
	expect func(q v2Request, reference, ours v2Answer, newest uint64) (_ v2Answer, applies bool)
	// diverges: the two have not done the same then.
	diverges bool

	// skips reports whether a watch of ours does not want an event which the reference has found in
	// its history.
	skips func(q v2Request, event v2Answer) bool
}

// They apply in this order.
var differences = []*difference{
	{number: 17, what: "paths are cleaned", ask: askCleaned, ignores: isRedirect},
	{number: 2, what: "lists are sorted", expect: expectSorted},
	{number: 4, what: "hidden keys are hidden in the history", skips: skipsHidden},
	{number: 6, what: "a ttl beyond what time can represent", expect: expectTTLRefused, diverges: true},
	longHistory,
	{number: 9, what: "wait wins over quorum", ask: askWithoutQuorum, ignores: isNoWatch},
	{number: 12, what: "the history matches components of paths", skips: skipsSibling},
	{number: 15, what: "a multipart form is read", ask: askUrlencoded},
	{number: 14, what: "the form of a DELETE, and of a GET", ask: askByQuery},
	{number: 15, what: "a body that is no form is refused", expect: expectNoForm, diverges: true},
	{number: 16, what: "an update of a directory does not empty a file", expect: expectNoDirectory, diverges: true},
	{number: 21, what: "an in-order name that is taken is skipped", expect: expectNextName, diverges: true},
	{what: "a path that cannot be decoded is refused in JSON", expect: expectBadPath},
	deepRemoval,
	{number: 1, what: "the index in the answer to a rejected request", expect: expectIndex},
}

// longHistory applies to watches for what the reference has forgotten.
var longHistory = &difference{number: 7, what: "a history of more than 1,000 events"}

// deepRemoval applies to watches for changes to come. The reference finds that event in its history,
// too.
var deepRemoval = &difference{what: "the removal of a directory wakes the watch of any key below it"}

func (d *difference) String() string { return fmt.Sprintf("difference %d, %s", d.number, d.what) }

// isServed reports whether an answer comes from the API, not from what decodes requests before.
func (a v2Answer) isServed() bool { return a.body != nil || a.status == 200 }

// isRefusal reports whether the reference has refused a request before it has looked at any key.
func (a v2Answer) isRefusal() bool {
	return a.code() != "" && a.get("index") == json.Number("0")
}

func expectIndex(_ v2Request, reference, _ v2Answer, newest uint64) (v2Answer, bool) {
	if reference.header.Get("X-Etcd-Index") != "0" {
		return reference, false
	}
	index := strconv.FormatUint(newest, 10)
	reference.header = reference.header.Clone()
	reference.header.Set("X-Etcd-Index", index)
	reference.body = mapFields(reference.body, "index", func(any) any { return json.Number(index) })
	return reference, true
}

func expectSorted(q v2Request, reference, _ v2Answer, _ uint64) (v2Answer, bool) {
	if q.is("sorted") || reference.get("action") != "get" {
		return reference, false
	}
	changed := false
	var sorted func(nodes any) any
	sorted = func(nodes any) any {
		list := mapFields(nodes, "nodes", sorted).([]any)
		byKey := func(a, b any) int {
			return cmp.Compare(a.(object).get("key").(string), b.(object).get("key").(string))
		}
		if !slices.IsSortedFunc(list, byKey) {
			slices.SortFunc(list, byKey)
			changed = true
		}
		return list
	}
	reference.body = mapFields(reference.body, "nodes", sorted)
	return reference, changed
}

func expectTTLRefused(q v2Request, reference, _ v2Answer, newest uint64) (v2Answer, bool) {
	const longest = (1<<63 - 1) / 1_000_000_000 // seconds
	text, _ := q.get("ttl")
	if ttl, err := strconv.ParseUint(text, 10, 64); err != nil || ttl <= longest || q.method != "GET" && !q.writes() {
		return reference, false
	}
	switch {
	case !reference.isServed():
		return reference, false
	case !reference.isRefusal():
	case reference.get("cause") == "invalid value for prevExist", reference.get("cause") == "invalid value for refresh", reference.code() == "211":
		// which comes later
	default:
		return reference, false
	}
	return v2Error(400, 202, "The given TTL in POST form is not a number", `invalid value for "ttl"`, newest), true
}

func askWithoutQuorum(q v2Request) (v2Request, bool) {
	if q.method != "GET" || !q.is("wait") || !q.is("quorum") {
		return q, false
	}
	return q.without("quorum"), true
}

func isNoWatch(reference v2Answer) bool {
	return reference.get("action") == "get" || reference.status >= 400
}

func askByQuery(q v2Request) (v2Request, bool) {
	if q.method == "PUT" || q.method == "POST" || !q.body.isForm() {
		return q, false
	}
	q.query, q.body = slices.Concat(q.body.form, q.query), v2Body{}
	return q, true
}

func askUrlencoded(q v2Request) (v2Request, bool) {
	if !q.writes() || q.body.contentType != multipartType || q.body.isEmpty() {
		return q, false
	}
	q.body.contentType = formType
	return q, true
}

func expectNoForm(q v2Request, reference, ours v2Answer, newest uint64) (v2Answer, bool) {
	withForm := q.method == "PUT" || q.method == "POST" // the reference reads it
	switch {
	case !reference.isServed(), !q.writes() && q.method != "GET", q.body.isEmpty(), q.body.isForm(), withForm && !q.body.isOther():
		return reference, false
	}
	cause, _ := ours.get("cause").(string)
	return v2Error(400, 210, "Invalid POST form", cmp.Or(cause, "something"), newest), true
}

func expectNoDirectory(q v2Request, reference, ours v2Answer, newest uint64) (v2Answer, bool) {
	if q.method != "PUT" || !q.is("dir") || !q.is("prevExist") || reference.get("action") != "update" {
		return reference, false
	}
	node, _ := reference.get("node").(object)
	if file := node != nil && node.get("dir") == nil; !file && (node != nil || ours.status == 200) { // unless nothing is said about it

		return reference, false
	}
	return v2Error(400, 104, "Not a directory", q.key(), newest), true
}

func askCleaned(q v2Request) (v2Request, bool) {
	decoded, err := url.PathUnescape(q.path)
	sent := "/v2/keys" + decoded
	if err != nil || path.Clean(sent) == strings.TrimSuffix(sent, "/") || q.method == "OPTIONS" {
		return q, false
	}
	clean := url.URL{Path: q.key()}
	q.path = clean.EscapedPath()
	return q, true
}

func expectBadPath(q v2Request, reference, ours v2Answer, _ uint64) (v2Answer, bool) {
	if _, err := url.PathUnescape(q.path); err == nil || reference.status != 400 || reference.body != nil {
		return reference, false
	}
	if q.method == "HEAD" || ours.code() == "209" && ours.get("message") == "Invalid field" && ours.get("cause") == "invalid escape in the path" {
		return ours, true
	}
	return reference, false
}

func isRedirect(reference v2Answer) bool { return reference.status == 301 }

func expectNextName(q v2Request, reference, _ v2Answer, newest uint64) (v2Answer, bool) {
	taken := path.Join(q.key(), inOrder(newest+1))
	if q.method != "POST" || reference.code() != "105" || reference.get("cause") != taken {
		return reference, false
	}
	value, _ := q.get("value")
	index := json.Number(strconv.FormatUint(newest+1, 10))
	reference.status, reference.header = 201, reference.header.Clone()
	reference.header.Set("X-Etcd-Index", string(index))
	reference.header.Set("X-Raft-Index", string(index))
	reference.header.Set("X-Raft-Term", "1")
	reference.body = object{{"action", "create"}, {"node", object{
		{"key", path.Join(q.key(), inOrder(newest+2))}, {"value", value}, {"modifiedIndex", index}, {"createdIndex", index},
	}}}
	return reference, true
}

// isCleared reports whether the reference has forgotten what a watch wants.
func isCleared(reference v2Answer) bool {
	cause, _ := reference.get("cause").(string)
	return reference.code() == "401" && strings.HasPrefix(cause, "the requested history has been cleared [")
}

// removesAbove reports whether an event is the removal of a directory that a key is in.
func removesAbove(key string, event v2Answer) bool {
	node, _ := event.get("node").(object)
	return event.get("action") == "delete" && node.get("dir") == true && within(key, eventKey(event))
}

// eventIndex returns the index of an event.
func eventIndex(event v2Answer) uint64 {
	node, _ := event.get("node").(object)
	index, _ := node.get("modifiedIndex").(json.Number)
	n, _ := strconv.ParseUint(string(index), 10, 64)
	return n
}

// eventKey returns the key that an event is about.
func eventKey(event v2Answer) string {
	node, _ := event.get("node").(object)
	key, _ := node.get("key").(string)
	return key
}

// within reports whether a key is below a directory.
func within(key, dir string) bool {
	return strings.HasPrefix(key, strings.TrimSuffix(dir, "/")+"/") && key != dir
}

func skipsHidden(q v2Request, event v2Answer) bool {
	watched, changed := q.key(), eventKey(event)
	return within(changed, watched) && strings.Contains(strings.TrimPrefix(changed, strings.TrimSuffix(watched, "/")), "/_")
}

func skipsSibling(q v2Request, event v2Answer) bool {
	watched, changed := q.key(), eventKey(event)
	return strings.HasPrefix(watched, changed) && watched != changed && !within(watched, changed)
}
