package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// v2Answer is an answer about keys.
type v2Answer struct {
	status  int
	header  http.Header
	text    string
	body    any  // the text if it is JSON
	newline bool // at its end
}

func parseV2(r reply) (v2Answer, error) {
	a := v2Answer{status: r.status, header: r.header, text: r.body}
	if r.body == "" || r.header.Get("Content-Type") != "application/json" {
		return a, nil
	}
	var err error
	a.body, a.newline, err = parseAnswer(r.body)
	return a, err
}

func (a v2Answer) String() string {
	return fmt.Sprintf("%d, X-Etcd-Index %q: %s", a.status, a.header.Get("X-Etcd-Index"), strings.TrimSuffix(a.text, "\n"))
}

// get returns a field of the body, nil if there is none.
func (a v2Answer) get(name string) any {
	o, _ := a.body.(object)
	return o.get(name)
}

// node returns the node of the answer.
func (a v2Answer) node() object {
	node, _ := a.get("node").(object)
	return node
}

// code returns the code of an error, "" if there is none.
func (a v2Answer) code() string {
	code, _ := a.get("errorCode").(json.Number)
	return string(code)
}

// cause returns the cause of an error.
func (a v2Answer) cause() string {
	cause, _ := a.get("cause").(string)
	return cause
}

// index returns the value of X-Etcd-Index.
func (a v2Answer) index() uint64 {
	n, _ := strconv.ParseUint(a.header.Get("X-Etcd-Index"), 10, 64)
	return n
}

// with returns an answer with another body and headers that go with it.
func (a v2Answer) with(status int, index uint64, body object) v2Answer {
	text := strconv.FormatUint(index, 10)
	a.status, a.body, a.newline = status, body, true
	a.header = make(http.Header)
	a.header.Set("Content-Type", "application/json")
	a.header.Set("X-Etcd-Cluster-Id", "1")
	a.header.Set("X-Etcd-Index", text)
	if body.get("errorCode") == nil {
		a.header.Set("X-Raft-Index", text)
		a.header.Set("X-Raft-Term", "1")
	}
	return a
}

// refused returns an answer with an error instead.
func (a v2Answer) refused(code int, message, cause string, index uint64) v2Answer {
	number := json.Number(strconv.FormatUint(index, 10))
	return a.with(400, index, append(errorBody(code, message, cause), member{"index", number}))
}

// v2Comparison compares answers in terms of the reference with ours.
type v2Comparison struct {
	indexes *indexMap
	begun   time.Time // before all times to live
}

// differ returns what differs, "" if nothing does.
func (c v2Comparison) differ(want, got v2Answer) string {
	if want.status != got.status {
		return fmt.Sprintf("the status is %d, want %d", got.status, want.status)
	}
	if diff := c.headers(want.header, got.header); diff != "" {
		return diff
	}
	if want.body == nil || got.body == nil {
		if want.text != got.text {
			return fmt.Sprintf("the body is %q, want %q", got.text, want.text)
		}
		return ""
	}
	if want.newline != got.newline {
		return "the body does not end as it should"
	}
	return compareJSON(want.body, got.body, "body", map[string]func(want, got any) string{
		"modifiedIndex": c.indexes.same,
		"createdIndex":  c.indexes.same,
		"index":         c.indexes.same,
		"key":           c.indexes.sameKey,
		"cause":         c.cause,
		"ttl":           c.ttl,
		"expiration":    c.expiration,
	})
}

// headers compares the headers that say what an answer is, and where the cluster is.
func (c v2Comparison) headers(want, got http.Header) string {
	if diff := headersDiffer(want.Get, got, c.indexes.same); diff != "" {
		return diff
	}
	changed, _ := strconv.ParseUint(got.Get("X-Etcd-Index"), 10, 64)
	if last, err := strconv.ParseUint(got.Get("X-Raft-Index"), 10, 64); err == nil && last < changed {
		return fmt.Sprintf("X-Raft-Index is %d, after X-Etcd-Index %d", last, changed)
	}
	return ""
}

func (c v2Comparison) cause(want, got any) string {
	text, _ := want.(string)
	text = comparedIndex.ReplaceAllStringFunc(text, func(compared string) string { // no values are numbers
		m := comparedIndex.FindStringSubmatch(compared)
		given, _ := strconv.ParseUint(m[1], 10, 64) // the reference has read it
		found, _ := strconv.ParseUint(m[2], 10, 64)
		return fmt.Sprintf("[%d != %d]", c.ours(given), c.ours(found))
	})
	return sameText(c.names(text), got)
}

// ours returns our index for one of the reference, and one that was invented as it is.
func (c v2Comparison) ours(reference uint64) uint64 {
	const near = 1000
	if newest := c.indexes.pairs[len(c.indexes.pairs)-1][0]; reference > newest+near {
		return reference
	}
	return c.indexes.translate(reference)
}

var inOrderName = regexp.MustCompile(`\d{20}\b`)

// names returns a text with our in-order names.
func (c v2Comparison) names(text string) string {
	return inOrderName.ReplaceAllStringFunc(text, func(name string) string {
		index, _ := strconv.ParseUint(name, 10, 64)
		return inOrder(c.ours(index))
	})
}

// request returns a request in our terms.
func (c v2Comparison) request(q v2Request) v2Request {
	q.path = c.names(q.path)
	q.query, q.body.form = c.params(q.query), c.params(q.body.form)
	return q
}

func (c v2Comparison) params(params []param) []param {
	params = slices.Clone(params)
	for i, p := range params {
		index, err := strconv.ParseUint(p.value, 10, 64)
		if err == nil && (p.name == "prevIndex" || p.name == "waitIndex") {
			params[i].value = strconv.FormatUint(c.ours(index), 10)
		}
	}
	return params
}

// ttl compares two times to live, which were asked for at different times.
func (c v2Comparison) ttl(want, got any) string {
	w, err1 := strconv.ParseInt(fmt.Sprint(want), 10, 64)
	g, err2 := strconv.ParseInt(fmt.Sprint(got), 10, 64)
	if tolerated := 1 + int64(time.Since(c.begun)/time.Second); err1 != nil || err2 != nil || max(w-g, g-w) > tolerated {
		return fmt.Sprintf("is %v, want %v, or %d more or less", got, want, tolerated)
	}
	return ""
}

// expiration compares two deadlines, which were set at different times.
func (c v2Comparison) expiration(want, got any) string {
	w, err1 := time.Parse(time.RFC3339Nano, fmt.Sprint(want))
	g, err2 := time.Parse(time.RFC3339Nano, fmt.Sprint(got))
	if tolerated := time.Second + time.Since(c.begun); err1 != nil || err2 != nil || g.Location() != time.UTC || g.Sub(w).Abs() > tolerated {
		return fmt.Sprintf("is %v, want %v, or %v more or less", got, want, tolerated)
	}
	return ""
}

// The comparison finds what users would notice.
func TestDifferentialComparison(t *testing.T) {
	const reference = `{"action":"set","node":{"key":"/q/00000000000000000007","value":"x",` +
		`"expiration":"2030-01-02T03:04:05.5Z","ttl":1500,"modifiedIndex":7,"createdIndex":7}}` + "\n"
	const ours = `{"action":"set","node":{"key":"/q/00000000000000000011","value":"x",` +
		`"expiration":"2030-01-02T03:04:05.7Z","ttl":1499,"modifiedIndex":11,"createdIndex":11}}` + "\n"
	answer := func(index, text string) v2Answer {
		header := make(http.Header)
		for name, value := range map[string]string{"Content-Type": "application/json", "X-Etcd-Cluster-Id": "1f", "X-Etcd-Index": index, "X-Raft-Index": "12", "X-Raft-Term": "2"} {
			header.Set(name, value)
		}
		a, err := parseV2(reply{status: 200, header: header, body: text})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	differ := func(got v2Answer) string {
		c := v2Comparison{&indexMap{}, time.Now()}
		c.indexes.learn(6, 9)
		return c.differ(answer("7", reference), got)
	}
	if diff := differ(answer("11", ours)); diff != "" {
		t.Error(diff)
	}
	for _, change := range [][2]string{
		{`"ttl":1499`, `"ttl":1497`}, {`"value":"x"`, `"value":"y"`}, {`"set"`, `"update"`}, {`"createdIndex":11`, `"createdIndex":10`},
		{`,"createdIndex":11`, ``}, {`00011"`, `00012"`}, {`05.7Z`, `09.7Z`}, {`05.7Z`, `05.7+00:00`}, {"\n", ""},
	} {
		if changed := strings.Replace(ours, change[0], change[1], 1); changed == ours || differ(answer("11", changed)) == "" {
			t.Errorf("%s instead of %s is not noticed", change[1], change[0])
		}
	}
	for _, name := range recordedHeaders {
		changed := answer("11", ours)
		changed.header.Set(name, "x")
		if differ(changed) == "" {
			t.Errorf("another %s is not noticed", name)
		}
	}
	if differ(answer("9", ours)) == "" || differ(answer("13", ours)) == "" {
		t.Error("an index that has not risen, or is that of no entry, is not noticed")
	}
}
