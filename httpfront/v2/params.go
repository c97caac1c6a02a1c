package v2

import (
	"bytes"
	"errors"
	"mime"
	"net/url"
	"strconv"
	"strings"
	"time"

	"etcd/httpfront"
	"etcd/store/logtime"
)

// maxTTL is the longest time to live, in seconds.
const maxTTL = uint64(logtime.MaxTTL / time.Second)

// params are the parameters of a request for keys.
type params struct {
	form httpfront.Form

	prevIndex, waitIndex         uint64
	recursive, wait, dir, stream bool
	local                        bool // quorum is false, or is not given and local reads are the default
	prevValue                    string
	noValueOnSuccess             bool
	ttl                          *uint64 // seconds
	prevExist                    *bool
	refresh                      bool
}

// parse reads the parameters of a request in the order in which etcd does, which decides which error a
// client sees first.
func parse(x *httpfront.Exchange, localReads bool) (*params, *keyError) {
	p := &params{local: localReads}
	form, err := x.ReadForm()
	if err == nil {
		err = checkSemicolons(x)
	}
	if err != nil {
		return nil, newError(x, codeInvalidForm, formCause(x, err))
	}
	p.form = form
	r := reader{x: x, form: form}
	r.index("prevIndex", &p.prevIndex)
	r.index("waitIndex", &p.waitIndex)
	quorum, sorted := !localReads, false
	r.bool("recursive", &p.recursive)
	r.bool("sorted", &sorted) // lists always are
	r.bool("wait", &p.wait)
	r.bool("dir", &p.dir)
	r.bool("quorum", &quorum)
	r.bool("stream", &p.stream)
	p.local = !quorum
	if p.wait && !x.Header().IsGet() {
		r.fail(codeInvalidField, `"wait" can only be used with GET requests`)
	}
	var given bool
	if p.prevValue, given = form.Get("prevValue"); given && p.prevValue == "" {
		r.fail(codePrevValue, `"prevValue" cannot be empty`)
	}
	r.bool("noValueOnSuccess", &p.noValueOnSuccess)
	if text, _ := form.Get("ttl"); text != "" {
		ttl, err := strconv.ParseUint(text, 10, 64)
		if err != nil || ttl > maxTTL {
			r.fail(codeTTLNaN, `invalid value for "ttl"`)
		}
		p.ttl = &ttl
	}
	if text, given := form.Get("prevExist"); given {
		exist, err := strconv.ParseBool(text)
		if err != nil {
			r.fail(codeInvalidField, "invalid value for prevExist")
		}
		p.prevExist = &exist
	}
	if text, given := form.Get("refresh"); given {
		if p.refresh, err = strconv.ParseBool(text); err != nil {
			r.fail(codeInvalidField, "invalid value for refresh")
		}
	}
	if p.refresh {
		if value, _ := form.Get("value"); value != "" {
			r.fail(codeRefreshValue, "A value was provided on a refresh")
		}
		if p.ttl == nil {
			r.fail(codeRefreshTTL, "No TTL value set")
		}
	}
	return p, r.err
}

// value returns the value of a file.
func (p *params) value() string {
	value, _ := p.form.Get("value")
	return value
}

// ttlNs returns the time to live in nanoseconds, nil for none.
func (p *params) ttlNs() *int64 {
	if p.ttl == nil {
		return nil
	}
	return new(int64(*p.ttl) * int64(time.Second))
}

// reader reads parameters until the first error.
type reader struct {
	x    *httpfront.Exchange
	form httpfront.Form
	err  *keyError
}

func (r *reader) fail(code int, cause string) {
	if r.err == nil {
		r.err = newError(r.x, code, cause)
	}
}

func (r *reader) bool(name string, to *bool) {
	text, given := r.form.Get(name)
	if !given {
		return
	}
	value, err := strconv.ParseBool(text)
	if err != nil {
		r.fail(codeInvalidField, "invalid value for "+strconv.Quote(name))
	}
	*to = value
}

func (r *reader) index(name string, to *uint64) {
	text, given := r.form.Get(name)
	if !given {
		return
	}
	value, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		r.fail(codeIndexNaN, "invalid value for "+strconv.Quote(name))
	}
	*to = value
}

// checkSemicolons refuses what clients of old took for a separator.
func checkSemicolons(x *httpfront.Exchange) error {
	if strings.Contains(x.Query(), ";") {
		return errSemicolon
	}
	if strings.Contains(x.Body, ";") && bytes.HasPrefix(x.Header().ContentType(), []byte(httpfront.TypeForm)) {
		return errSemicolon
	}
	return nil
}

// formCause says why a form cannot be read, in etcd's words where it has any.
func formCause(x *httpfront.Exchange, err error) string {
	if bad, ok := errors.AsType[url.EscapeError](err); ok {
		return bad.Error()
	}
	if _, _, bad := mime.ParseMediaType(string(x.Header().ContentType())); x.Body != "" && errors.Is(bad, mime.ErrInvalidMediaParameter) {
		return bad.Error()
	}
	return err.Error()
}
