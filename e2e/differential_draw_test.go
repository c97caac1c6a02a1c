package e2e

import (
	"cmp"
	"path"
	"strconv"
	"strings"

	"pgregory.net/rapid"
)

// What is drawn collides: a few names, values and indexes. Whatever is drawn first of a kind is what
// a failing sequence is simplified to.

// oneIn reports true once in a while.
func oneIn(t *rapid.T, n int, what string) bool {
	return rapid.SampledFrom(append(make([]bool, n-1), true)).Draw(t, what)
}

func pick(t *rapid.T, what string, from ...string) string {
	return rapid.SampledFrom(from).Draw(t, what)
}

// drawWrite draws a request that may change something.
func (s *sequence) drawWrite(t *rapid.T) v2Request {
	q := v2Request{method: pick(t, "method", "PUT", "PUT", "PUT", "DELETE", "DELETE", "POST")}
	q.path = s.drawPath(t)
	var params []param
	switch q.method {
	case "PUT":
		params = s.drawPut(t, s.lastWritten(q.key()))
	case "POST":
		params = s.drawPost(t)
	default:
		params = s.drawDelete(t, s.lastWritten(q.key()))
	}
	params = s.drawNoise(t, params)
	if q.method == "DELETE" && !oneIn(t, 12, "has a body") {
		q.query = params
	} else {
		q.query, q.body = drawBody(t, params)
	}
	if q.body.isEmpty() || q.body.isForm() { // which one of two badly formed parts is named does not matter
		q.rest = drawRest(t)
	}
	return q
}

// drawRead draws a request that changes nothing and is answered at once.
func (s *sequence) drawRead(t *rapid.T) v2Request {
	q := v2Request{method: pick(t, "method", "GET", "GET", "GET", "GET", "GET", "GET", "HEAD", "HEAD", "OPTIONS", "PATCH", "BOGUS")}
	q.path = s.drawPath(t)
	if oneIn(t, 2, "recursive") {
		q.query = append(q.query, param{"recursive", "true"})
	}
	if oneIn(t, 3, "sorted") {
		q.query = append(q.query, param{"sorted", "true"})
	}
	q.query = s.drawNoise(t, q.query)
	if oneIn(t, 30, "with a body") {
		q.query, q.body = drawBody(t, append(q.query, param{"prevExist", "x"}))
	}
	q.rest = drawRest(t)
	return q
}

// drawWatch draws a request that waits.
func (s *sequence) drawWatch(t *rapid.T) v2Request {
	q := v2Request{method: "GET", path: s.drawPath(t), query: []param{{"wait", pick(t, "wait", "true", "1", "T")}}}
	if len(s.written) > 0 && oneIn(t, 4, "near what was written") {
		last := rapid.SampledFrom(s.written).Draw(t, "written")
		sibling := last.key + "b"
		if isInOrder(path.Base(last.key)) { // which stands elsewhere in ours
			sibling = last.key
		}
		q.path = escaped(pick(t, "near", path.Dir(last.key), sibling, path.Dir(path.Dir(last.key)), s.base, last.key+"/b"))
		q.query = append(q.query, param{"waitIndex", strconv.FormatUint(last.index, 10)}, param{"recursive", "true"})
		return q
	}
	if oneIn(t, 2, "recursive") || q.key() == "/" { // the root itself never changes
		q.query = append(q.query, param{"recursive", "true"})
	}
	switch pick(t, "since", "known", "now", "known", "next", "first", "bad") {
	case "known":
		q.query = append(q.query, param{"waitIndex", s.drawKnown(t)})
	case "next":
		q.query = append(q.query, param{"waitIndex", strconv.FormatUint(s.newest+1, 10)})
	case "first":
		if q.key() != "/" { // events of other sequences
			q.query = append(q.query, param{"waitIndex", "1"})
		}
	case "bad":
		q.query = append(q.query, param{"waitIndex", pick(t, "waitIndex", "0", "", "x", "-1", "18446744073709551616")})
	}
	if oneIn(t, 6, "with quorum") {
		q.query = append(q.query, param{"quorum", pick(t, "quorum", "true", "false", "")})
	}
	if oneIn(t, 20, "with a form") {
		q.query = append(q.query, param{"prevExist", pick(t, "prevExist", "true", "x")}, param{"ttl", pick(t, "ttl", "100", "x")})
	}
	return q
}

// drawMeanwhile draws what happens while a key is watched.
func (s *sequence) drawMeanwhile(t *rapid.T, key string) v2Request {
	if oneIn(t, 4, "above") {
		return v2Request{method: "DELETE", path: escaped(path.Dir(key)), query: []param{{"recursive", "true"}}}
	}
	q := s.drawWrite(t)
	if oneIn(t, 3, "there") {
		q.path = escaped(key)
	}
	return q
}

// drawPath draws where a request goes, as it is sent.
func (s *sequence) drawPath(t *rapid.T) string {
	names := []string{"a", "b", "ab", "_h", "a", "b", "ab", "a b+c", "é;,=&?#%<"}
	key := s.base
	switch where := pick(t, "where", "below", "below", "below", "written", "written", "written", "written", "written", "above", "above", "root", "base"); {
	case where == "written" && len(s.written) > 0:
		key = rapid.SampledFrom(s.written).Draw(t, "written").key
	case where == "above" && len(s.written) > 0:
		key = path.Dir(rapid.SampledFrom(s.written).Draw(t, "written").key)
	case where == "base":
	case where == "root" && oneIn(t, 3, "really"):
		return pick(t, "root", "/", "", "//", "/.")
	default:
		for range rapid.SampledFrom([]int{1, 2, 1, 3, 2, 4}).Draw(t, "depth") {
			key += "/" + pick(t, "name", names...)
		}
	}
	sent := escaped(key)
	last := strings.LastIndexByte(sent, '/')
	switch pick(t, "spelling", append(make([]string, 80), "/", "/", "//", "/x/../", "bad", "/./", "%2F", "/%2e/", "end", "up")...) {
	case "/":
		return sent + "/"
	case "//":
		return sent[:last] + "/" + sent[last:]
	case "/x/../":
		return sent[:last] + "/x/../" + sent[last+1:]
	case "/./":
		return sent[:last] + "/." + sent[last:]
	case "/%2e/":
		return sent[:last] + "/%2e" + sent[last:]
	case "%2F":
		return sent[:last] + "%2F" + sent[last+1:]
	case "end":
		return sent + "/."
	case "up":
		return sent + "/x/.."
	case "bad":
		return sent + "%zz"
	}
	return sent
}

func (s *sequence) drawKnown(t *rapid.T) string {
	return strconv.FormatUint(rapid.SampledFrom(s.known()).Draw(t, "index")[0], 10)
}

func drawPrevValue(t *rapid.T, last writtenKey) param {
	return param{"prevValue", pick(t, "prevValue", cmp.Or(last.value, "x"), cmp.Or(last.value, "y"), "x", "z")}
}

func (s *sequence) drawPrevIndex(t *rapid.T, last writtenKey) param {
	if last.index == 0 || oneIn(t, 3, "another index") {
		return param{"prevIndex", s.drawKnown(t)}
	}
	return param{"prevIndex", strconv.FormatUint(last.index, 10)}
}

func drawValue(t *rapid.T) string {
	return pick(t, "value", "x", "y", "", "<a>&\"\\/", "é\u2028\x01\x7f\t\n", "%+;=")
}

// drawPut draws the parameters of a PUT that belong together, for a key that was last written like
// this.
func (s *sequence) drawPut(t *rapid.T, last writtenKey) []param {
	value := param{"value", drawValue(t)}
	exist := param{"prevExist", pick(t, "prevExist", "true", "false")}
	switch pick(t, "kind", "set", "set", "exist", "value", "index", "both", "directory", "update directory", "update directory", "ttl", "refresh", "refresh", "nothing") {
	case "set":
		return []param{value}
	case "exist":
		return []param{value, exist}
	case "value":
		return []param{value, drawPrevValue(t, last)}
	case "index":
		return []param{value, s.drawPrevIndex(t, last)}
	case "both":
		return []param{value, s.drawPrevIndex(t, last), drawPrevValue(t, last)}
	case "directory":
		return []param{{"dir", "true"}}
	case "update directory":
		return []param{{"dir", "true"}, exist}
	case "ttl":
		return []param{value, drawTTL(t)}
	case "refresh":
		p := []param{{"refresh", "true"}, drawTTL(t)}
		switch pick(t, "condition", "exist", "none", "value", "index") {
		case "exist":
			p = append(p, exist)
		case "value":
			p = append(p, drawPrevValue(t, last))
		case "index":
			p = append(p, s.drawPrevIndex(t, last))
		}
		return p
	}
	return nil
}

func (s *sequence) drawPost(t *rapid.T) []param {
	p := []param{{"value", drawValue(t)}}
	if oneIn(t, 5, "directory") {
		p = append(p, param{"dir", "true"})
	}
	if oneIn(t, 5, "with a ttl") {
		p = append(p, drawTTL(t))
	}
	return p
}

func (s *sequence) drawDelete(t *rapid.T, last writtenKey) []param {
	switch pick(t, "kind", "file", "recursive", "directory", "recursive", "value", "index", "recursive, index") {
	case "directory":
		return []param{{"dir", "true"}}
	case "recursive":
		return []param{{"recursive", "true"}}
	case "value":
		return []param{drawPrevValue(t, last)}
	case "index":
		return []param{s.drawPrevIndex(t, last)}
	case "recursive, index":
		return []param{{"recursive", "true"}, s.drawPrevIndex(t, last)}
	}
	return nil
}

// drawTTL draws times to live that are not over before the test is, or at once, or are refused. None
// loses a digit soon: HEAD and GET say how long they are.
func drawTTL(t *rapid.T) param {
	return param{"ttl", pick(t, "ttl", "1500", "5000", "200000", "1500", "3000000000", "", "0", "10000000000", "18446744073709551615",
		"18446744073709551616", "-1", "1.5", "x")}
}

// drawNoise adds parameters that do not belong there, are badly formed, unknown, or given twice.
func (s *sequence) drawNoise(t *rapid.T, p []param) []param {
	if !oneIn(t, 4, "noise") {
		return p
	}
	for range rapid.IntRange(1, 3).Draw(t, "noise parameters") {
		var q param
		switch pick(t, "name", "bool", "bool", "bool", "noValueOnSuccess", "noValueOnSuccess", "bad bool", "value", "prevValue", "prevIndex", "ttl", "unknown") {
		case "bool":
			q.name = pick(t, "bool", "recursive", "sorted", "dir", "quorum", "stream", "prevExist", "refresh", "wait")
			q.value = pick(t, "value", "false", "true", "0", "1", "F", "t", "TRUE", "False")
		case "noValueOnSuccess":
			q = param{"noValueOnSuccess", pick(t, "value", "true", "false", "1", "x", "")}
		case "bad bool":
			q.name = pick(t, "bool", "recursive", "sorted", "dir", "quorum", "stream", "prevExist", "refresh", "wait", "noValueOnSuccess")
			q.value = pick(t, "value", "", "x", "2", "yes", "tRUE", " true")
		case "value":
			q = param{"value", drawValue(t)}
		case "prevValue":
			q = param{"prevValue", pick(t, "value", "x", "", "y")}
		case "prevIndex":
			q = param{pick(t, "name", "prevIndex", "waitIndex"), pick(t, "value", "0", "1", "", "x", "-1", "18446744073709551615", "18446744073709551616", " 1")}
		case "ttl":
			q = drawTTL(t)
		case "unknown":
			q = param{pick(t, "name", "foo", "Value", "prevexist", "TTL"), pick(t, "value", "x", "true", "")}
		}
		at := rapid.IntRange(0, len(p)).Draw(t, "place")
		p = append(p[:at:at], append([]param{q}, p[at:]...)...)
	}
	return p
}

// drawBody draws which parameters are in the query, and the body of the others.
func drawBody(t *rapid.T, p []param) (query []param, body v2Body) {
	body.contentType = pick(t, "type", append(strings.Split(strings.Repeat(formType+" ", 30)+"query query", " "),
		formTypeUTF8, multipartType, "text/plain", "application/json", "none", "bad/type;;;", "%zz", "a;b")...)
	switch body.contentType {
	case "query":
		return p, v2Body{}
	case "none":
		body.contentType = ""
	case "%zz", "a;b":
		return p, v2Body{contentType: formType, raw: "value=" + body.contentType}
	}
	split := 0
	if oneIn(t, 4, "split") {
		split = rapid.IntRange(0, len(p)).Draw(t, "in the query")
	}
	body.form = p[split:]
	return p[:split], body
}

// drawRest draws what else is in the query.
func drawRest(t *rapid.T) string {
	return pick(t, "rest", append(make([]string, 80), "&", "&foo", "&x=%zz", "&a;b", "&=", "&%zz=1", "&dir")...)
}
