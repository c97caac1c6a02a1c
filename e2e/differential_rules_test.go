package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
)

// difference is one of the deliberate differences of docs/api-v2.md, as far as it shows in single
// answers. It says when it applies, and what ours has to answer then.
type difference struct {
	number int    // of the difference; 0: the page says so elsewhere
	reason string // quoted from there

	// ask returns the request by which the reference does what ours does for q.
	ask func(q v2Request) (_ v2Request, applies bool)
	// instead reports whether this is what the reference answers to q itself. If it is nil, the
	// reference is not asked: it would do something else.
	instead func(reference v2Answer) bool

	// expect returns what ours has to answer, in terms of the reference.
	expect func(s *sequence, q v2Request, reference, ours v2Answer) (_ v2Answer, applies bool)
	// diverges: the two have not done the same then.
	diverges bool

	// skips reports whether a watch of ours does not want an event which the reference has found in
	// its history.
	skips func(q v2Request, event v2Answer) bool
}

func (d *difference) String() string { return fmt.Sprintf("difference %d: %s", d.number, d.reason) }

// isIn reports whether the page says so.
func (d *difference) isIn(page string) bool {
	return slices.ContainsFunc(strings.Split(page, "\n"), func(line string) bool {
		return strings.Contains(line, d.reason) && (d.number == 0 || strings.HasPrefix(line, fmt.Sprintf("%d. ", d.number)))
	})
}

// They apply in this order.
var differences = []*difference{
	{number: 17, reason: "are cleaned and the request is served, without a redirect", ask: askCleaned, instead: isRedirect},
	{number: 9, reason: "`wait=true` waits, whatever `quorum` says", ask: askWithoutQuorum, instead: isNoWatch},
	{number: 15, reason: "Multipart forms are read", ask: askUrlencoded},
	{number: 14, reason: "A form in the body of a DELETE counts", ask: askByQuery("DELETE")},
	{reason: "Parameters come from the query or a form in the body", ask: askByQuery("GET", "HEAD")},
	{number: 2, reason: "Lists are always sorted", expect: expectSorted},
	{number: 6, reason: "A `ttl` of more than 292 years is a 400, code 202", expect: expectTTLRefused, diverges: true},
	{number: 15, reason: "A body of a type that is not a form, without a type", expect: expectNoForm, diverges: true},
	{number: 16, reason: "`dir=true` with `prevExist=true` of a file is a 400, code 104", expect: expectNoDirectory, diverges: true},
	{number: 21, reason: "An in-order key skips names that are taken", expect: expectNextName, diverges: true},
	{reason: "has a path with a bad escape", expect: expectBadEscape},
	{number: 1, reason: "for a request that was refused before it got to the store too, where etcd says 0", expect: expectIndex},
	{number: 4, reason: "Hidden keys are hidden from watches that begin in the history", skips: skipsHidden},
	{number: 12, reason: "Events of the history match by path components", skips: skipsSibling},
	longHistory, deepRemoval,
}

// longHistory applies to watches for what the reference has forgotten.
var longHistory = &difference{number: 7, reason: "The history has 100,000 events or what `-m` says, not 1,000"}

// deepRemoval applies to watches for changes to come. The reference finds the removal of a directory in
// its history, but wakes nobody who waits below for a key that is not there.
var deepRemoval = &difference{reason: "or of a directory that is removed above it"}

// isServed reports whether an answer comes from the API, not from what decodes requests before.
func (a v2Answer) isServed() bool { return a.body != nil || a.status == 200 }

// isRefusal reports whether the reference has refused a request before it has looked at any key.
func (a v2Answer) isRefusal() bool {
	return a.code() != "" && a.get("index") == json.Number("0")
}

func expectIndex(s *sequence, _ v2Request, reference, _ v2Answer) (v2Answer, bool) {
	if reference.header.Get("X-Etcd-Index") != "0" {
		return reference, false
	}
	index := strconv.FormatUint(s.newest, 10)
	reference.header = reference.header.Clone()
	reference.header.Set("X-Etcd-Index", index)
	reference.body = mapFields(reference.body, "index", func(any) any { return json.Number(index) })
	return reference, true
}

func expectSorted(_ *sequence, q v2Request, reference, _ v2Answer) (v2Answer, bool) {
	if q.is("sorted") {
		return reference, false
	}
	sorted := sortNodes(reference.body)
	differ := compareJSON(reference.body, sorted, "", nil) != ""
	reference.body = sorted
	return reference, differ
}

func expectTTLRefused(s *sequence, q v2Request, reference, _ v2Answer) (v2Answer, bool) {
	const longest = (1<<63 - 1) / 1_000_000_000 // seconds
	text, _ := q.get("ttl")
	if ttl, err := strconv.ParseUint(text, 10, 64); err != nil || ttl <= longest || q.method != "GET" && !q.writes() {
		return reference, false
	}
	switch {
	case !reference.isServed():
		return reference, false
	case !reference.isRefusal():
	case reference.code() == "211", strings.HasSuffix(reference.cause(), " prevExist"), strings.HasSuffix(reference.cause(), " refresh"):
		// it comes to them later
	default:
		return reference, false
	}
	return reference.refused(202, "The given TTL in POST form is not a number", `invalid value for "ttl"`, s.newest), true
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

// askByQuery moves the form of a method for which the reference reads none.
func askByQuery(methods ...string) func(v2Request) (v2Request, bool) {
	return func(q v2Request) (v2Request, bool) {
		if !slices.Contains(methods, q.method) || !q.body.isForm() {
			return q, false
		}
		q.query, q.body = slices.Concat(q.body.form, q.query), v2Body{}
		return q, true
	}
}

func askUrlencoded(q v2Request) (v2Request, bool) {
	if !q.writes() || q.body.contentType != multipartType || q.body.isEmpty() {
		return q, false
	}
	q.body.contentType = formType
	return q, true
}

func expectNoForm(s *sequence, q v2Request, reference, ours v2Answer) (v2Answer, bool) {
	withForm := q.method == "PUT" || q.method == "POST" // the reference reads it
	switch {
	case !reference.isServed(), !q.writes() && q.method != "GET", q.body.isEmpty(), q.body.isForm(), withForm && !q.body.isOther():
		return reference, false
	}
	return reference.refused(210, "Invalid POST form", cmp.Or(ours.cause(), "any"), s.newest), true
}

func expectNoDirectory(s *sequence, q v2Request, reference, ours v2Answer) (v2Answer, bool) {
	if q.method != "PUT" || !q.is("dir") || !q.is("prevExist") || reference.get("action") != "update" {
		return reference, false
	}
	node := reference.node()
	if node.get("dir") == true || node == nil && ours.status == 200 { // without a node it is not known what there was
		return reference, false
	}
	return reference.refused(104, "Not a directory", q.key(), s.newest), true
}

func askCleaned(q v2Request) (v2Request, bool) {
	decoded, err := url.PathUnescape(q.path)
	sent := "/v2/keys" + decoded
	if err != nil || path.Clean(sent) == strings.TrimSuffix(sent, "/") || q.method == "OPTIONS" {
		return q, false
	}
	q.path = escaped(q.key())
	return q, true
}

func expectBadEscape(_ *sequence, q v2Request, reference, ours v2Answer) (v2Answer, bool) {
	if _, err := url.PathUnescape(q.path); err == nil || reference.isServed() {
		return reference, false
	}
	reference.header = make(http.Header)
	reference.header.Set("Content-Type", "application/json")
	if ours.text != "" { // unless it was a HEAD
		reference.body, reference.newline = errorBody(209, "Invalid field", "invalid escape in the path"), ours.newline
	}
	return reference, true
}

func isRedirect(reference v2Answer) bool { return reference.status == 301 }

func expectNextName(s *sequence, q v2Request, reference, _ v2Answer) (v2Answer, bool) {
	taken := path.Join(q.key(), inOrder(s.newest+1))
	if q.method != "POST" || reference.code() != "105" || reference.get("cause") != taken {
		return reference, false
	}
	value, _ := q.get("value")
	index := json.Number(strconv.FormatUint(s.newest+1, 10))
	return reference.with(201, s.newest+1, object{{"action", "create"}, {"node", object{
		{"key", path.Join(q.key(), inOrder(s.newest+2))}, {"value", value}, {"modifiedIndex", index}, {"createdIndex", index},
	}}}), true
}

// isCleared reports whether the reference has forgotten what a watch wants.
func isCleared(reference v2Answer) bool {
	return reference.code() == "401" && strings.HasPrefix(reference.cause(), "the requested history has been cleared [")
}

// removesAbove reports whether an event is the removal of a directory that a key is in.
func removesAbove(key string, event v2Answer) bool {
	return event.get("action") == "delete" && event.node().get("dir") == true && within(key, eventKey(event))
}

// eventIndex returns the index of an event.
func eventIndex(event v2Answer) uint64 {
	index, _ := event.node().get("modifiedIndex").(json.Number)
	n, _ := strconv.ParseUint(string(index), 10, 64)
	return n
}

// eventKey returns the key that an event is about.
func eventKey(event v2Answer) string {
	key, _ := event.node().get("key").(string)
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
	return changed != "" && strings.HasPrefix(watched, changed) && watched != changed && !within(watched, changed)
}
