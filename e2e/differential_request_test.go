package e2e

import (
	"fmt"
	"net/url"
	"path"
	"slices"
	"strconv"
)

// v2Request is a request for a key, in terms of the reference: its indexes, and its in-order names.
type v2Request struct {
	method string
	path   string // below /v2/keys, as it is sent
	query  []param
	rest   string // of the query, as it is sent
	body   v2Body
}

type param struct{ name, value string }

// v2Body is the body of a request, a form or anything else.
type v2Body struct {
	contentType string
	form        []param
	raw         string
}

// Types of bodies.
const (
	formTypeUTF8  = formType + "; charset=utf-8"
	multipartType = "multipart/form-data"
)

// isForm reports whether a body holds parameters.
func (b v2Body) isForm() bool {
	return len(b.form) > 0 && slices.Contains([]string{formType, formTypeUTF8, multipartType}, b.contentType)
}

// isOther reports whether a body is of a type that is well formed, but no form.
func (b v2Body) isOther() bool {
	return !b.isEmpty() && slices.Contains([]string{"", "text/plain", "application/json"}, b.contentType)
}

func (b v2Body) isEmpty() bool { return b.raw == "" && len(b.form) == 0 }

func flatten(params []param) []string {
	var pairs []string
	for _, p := range params {
		pairs = append(pairs, p.name, p.value)
	}
	return pairs
}

// request returns what is sent.
func (q v2Request) request() request {
	r := request{method: q.method, target: "/v2/keys" + q.path}
	if query := string(encodeForm(flatten(q.query)...)) + q.rest; query != "" {
		r.target += "?" + query
	}
	contentType := q.body.contentType
	switch {
	case q.body.isEmpty():
		return r
	case q.body.raw != "":
		r.body = []byte(q.body.raw)
	case contentType == multipartType:
		contentType, r.body = encodeMultipart(flatten(q.body.form)...)
	default:
		r.body = encodeForm(flatten(q.body.form)...)
	}
	if contentType != "" {
		r.header = [][2]string{{"Content-Type", contentType}}
	}
	return r
}

func (q v2Request) String() string {
	r := q.request()
	text := fmt.Sprintf("%s %s", r.method, r.target)
	if r.body != nil {
		text += fmt.Sprintf(" %q of type %q", r.body, q.body.contentType)
	}
	return text
}

// key returns the key of a request.
func (q v2Request) key() string {
	key, err := url.PathUnescape(q.path)
	if err != nil {
		return q.path
	}
	return path.Clean("/" + key)
}

// get returns the first value of a parameter, those of a form first. Only requests that write have
// one.
func (q v2Request) get(name string) (value string, given bool) {
	params := q.query
	if q.writes() {
		params = slices.Concat(q.body.form, q.query)
	}
	for _, p := range params {
		if p.name == name {
			return p.value, true
		}
	}
	return "", false
}

// is reports whether a parameter is true.
func (q v2Request) is(name string) bool {
	text, _ := q.get(name)
	value, err := strconv.ParseBool(text)
	return err == nil && value
}

// writes reports whether a request may change something.
func (q v2Request) writes() bool {
	return q.method == "PUT" || q.method == "POST" || q.method == "DELETE"
}

// without returns a request without a parameter, wherever it is.
func (q v2Request) without(name string) v2Request {
	called := func(p param) bool { return p.name == name }
	q.query = slices.DeleteFunc(slices.Clone(q.query), called)
	q.body.form = slices.DeleteFunc(slices.Clone(q.body.form), called)
	return q
}

// since returns the index at which a watch begins, 0 if it has none.
func (q v2Request) since() uint64 {
	text, _ := q.get("waitIndex")
	index, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0
	}
	return index
}

// from returns a watch that begins at another index.
func (q v2Request) from(index uint64) v2Request {
	q = q.without("waitIndex")
	q.query = append(q.query, param{"waitIndex", strconv.FormatUint(index, 10)})
	return q
}

// escaped returns a key as it is sent.
func escaped(key string) string {
	u := url.URL{Path: key}
	return u.EscapedPath()
}

// inOrder returns the name that a POST gives at an index.
func inOrder(index uint64) string { return fmt.Sprintf("%020d", index) }
