package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// v2Answer is an answer about keys.
type v2Answer struct {
	status int
	header http.Header
	text   string
	body   any // the parsed text if it is JSON
}

func parseV2(r reply) (v2Answer, error) {
	a := v2Answer{status: r.status, header: r.header, text: r.body}
	if r.body == "" || r.header.Get("Content-Type") != "application/json" {
		return a, nil
	}
	var err error
	a.body, err = parseJSON(r.body)
	return a, err
}

func (a v2Answer) String() string {
	return fmt.Sprintf("%d X-Etcd-Index %q %s", a.status, a.header.Get("X-Etcd-Index"), strings.TrimSuffix(a.text, "\n"))
}

// get returns a field of the body, nil if there is none.
func (a v2Answer) get(name string) any {
	o, _ := a.body.(object)
	return o.get(name)
}

// code returns the code of an error, "" if there is none.
func (a v2Answer) code() string {
	code, _ := a.get("errorCode").(json.Number)
	return string(code)
}

// index returns the value of X-Etcd-Index.
func (a v2Answer) index() uint64 {
	n, _ := strconv.ParseUint(a.header.Get("X-Etcd-Index"), 10, 64)
	return n
}

// v2Error is the error that was to be expected of the reference, at the given index.
func v2Error(status, code int, message, cause string, index uint64) v2Answer {
	number := func(n uint64) json.Number { return json.Number(strconv.FormatUint(n, 10)) }
	body := object{{"errorCode", number(uint64(code))}, {"message", message}, {"cause", cause}, {"index", number(index)}}
	header := make(http.Header)
	for name, value := range map[string]string{
		"Content-Type": "application/json", "X-Etcd-Cluster-Id": "1", "X-Etcd-Index": strconv.FormatUint(index, 10),
	} {
		header.Set(name, value)
	}
	return v2Answer{status: status, header: header, body: body, text: "a JSON object\n"}
}

// comparer compares answers of the reference and ours.
type comparer struct {
	pairs *indexPairs
	begun time.Time // of the sequence, and with it of all times to live
}

// compare returns what differs, "" if nothing does.
func (c comparer) compare(want, got v2Answer) string {
	if want.status != got.status {
		return fmt.Sprintf("the status is %d, want %d", got.status, want.status)
	}
	if diff := c.header(want.header, got.header); diff != "" {
		return diff
	}
	if want.body == nil || got.body == nil {
		if want.text != got.text {
			return fmt.Sprintf("the body is %q, want %q", got.text, want.text)
		}
		return ""
	}
	if strings.HasSuffix(want.text, "\n") != strings.HasSuffix(got.text, "\n") {
		return "the body does not end as it should"
	}
	return compareJSON(want.body, got.body, "body", map[string]func(want, got any) string{
		"modifiedIndex": c.index,
		"createdIndex":  c.index,
		"index":         c.index,
		"key":           func(want, got any) string { return sameText(c.ours(want, c.pairs.names), got) },
		"cause":         func(want, got any) string { return sameText(c.ours(want, c.pairs.cause), got) },
		"ttl":           c.ttl,
		"expiration":    c.expiration,
	})
}

// header compares the headers of API and client: those that name what the answer is, and where the
// cluster is.
func (c comparer) header(want, got http.Header) string {
	for _, name := range []string{"Content-Type", "Allow"} {
		if w, g := want.Get(name), got.Get(name); w != g {
			return fmt.Sprintf("%s is %q, want %q", name, g, w)
		}
	}
	for _, name := range []string{"X-Etcd-Cluster-Id", "X-Etcd-Index", "X-Raft-Index", "X-Raft-Term"} {
		if w, g := want.Get(name), got.Get(name); (w == "") != (g == "") {
			return fmt.Sprintf("%s is %q, the reference has %q", name, g, w)
		}
	}
	if want.Get("X-Etcd-Index") == "" {
		return ""
	}
	if diff := c.index(json.Number(want.Get("X-Etcd-Index")), json.Number(got.Get("X-Etcd-Index"))); diff != "" {
		return "X-Etcd-Index " + diff
	}
	changed, _ := strconv.ParseUint(got.Get("X-Etcd-Index"), 10, 64)
	if text := got.Get("X-Raft-Index"); text != "" {
		if last, err := strconv.ParseUint(text, 10, 64); err != nil || last < changed {
			return fmt.Sprintf("X-Raft-Index is %q after X-Etcd-Index %d", text, changed)
		}
	}
	return ""
}

func (c comparer) index(want, got any) string {
	w, err1 := strconv.ParseUint(fmt.Sprint(want), 10, 64)
	g, err2 := strconv.ParseUint(fmt.Sprint(got), 10, 64)
	if err1 != nil || err2 != nil {
		return fmt.Sprintf("is %v, want the counterpart of %v", got, want)
	}
	return c.pairs.match(w, g)
}

// ours translates a text of the reference.
func (c comparer) ours(text any, translate func(string) string) any {
	if s, ok := text.(string); ok {
		return translate(s)
	}
	return text
}

// ttl compares two times to live: the answers were made at different times.
func (c comparer) ttl(want, got any) string {
	w, err1 := strconv.ParseInt(fmt.Sprint(want), 10, 64)
	g, err2 := strconv.ParseInt(fmt.Sprint(got), 10, 64)
	if tolerated := 1 + int64(time.Since(c.begun)/time.Second); err1 != nil || err2 != nil || max(w-g, g-w) > tolerated {
		return fmt.Sprintf("is %v, want %v, or %d more or less", got, want, tolerated)
	}
	return ""
}

// expiration compares two deadlines, which were set at different times.
func (c comparer) expiration(want, got any) string {
	w, err1 := time.Parse(time.RFC3339Nano, fmt.Sprint(want))
	g, err2 := time.Parse(time.RFC3339Nano, fmt.Sprint(got))
	if tolerated := time.Second + time.Since(c.begun); err1 != nil || err2 != nil || g.Location() != time.UTC || g.Sub(w).Abs() > tolerated {
		return fmt.Sprintf("is %v, want %v, or %v more or less", got, want, tolerated)
	}
	return ""
}
