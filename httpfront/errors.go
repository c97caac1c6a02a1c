package httpfront

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/valyala/fasthttp"

	"etcd/raftnode"
)

// apiError is an error of the API in its JSON shape. Codes are those of the 2013
// error table; an error of HTTP itself has the HTTP status as its code.
type apiError struct {
	Code    int    `json:"errorCode"`
	Message string `json:"message"`
	Cause   string `json:"cause,omitempty"`

	status int
	allow  string // of a 405: the methods there are
}

// The codes of the v1 API, and of v2 where v1 has none.
const (
	codeKeyNotFound    = 100
	codeTestFailed     = 101
	codeNotFile        = 102
	codeMaxMachines    = 103
	codeValueRequired  = 200
	codeTTLNaN         = 202
	codeIndexNaN       = 203
	codeInvalidField   = 209
	codeInvalidForm    = 210
	codeRaftInternal   = 300
	codeLeaderElect    = 301
	codeKeyword        = 400
	codeIndexCleared   = 401
	codeWatcherCleared = 500
)

var messages = map[int]string{
	codeKeyNotFound:    "Key Not Found",
	codeTestFailed:     "The given PrevValue is not equal to the value of the key",
	codeNotFile:        "Not A File",
	codeMaxMachines:    "Reached the max number of machines in the cluster",
	codeValueRequired:  "Value is Required in POST form",
	codeTTLNaN:         "The given TTL in POST form is not a number",
	codeIndexNaN:       "The given index in POST form is not a number",
	codeInvalidField:   "Invalid field",
	codeInvalidForm:    "Invalid POST form",
	codeRaftInternal:   "Raft Internal Error",
	codeLeaderElect:    "During Leader Election",
	codeKeyword:        "The prefix of the given key is a keyword in etcd",
	codeIndexCleared:   "The event in requested index is outdated and cleared",
	codeWatcherCleared: "watcher is cleared due to etcd recovery",
}

func newError(code int, cause string) *apiError {
	status := http.StatusBadRequest
	switch code {
	case codeKeyNotFound:
		status = http.StatusNotFound
	case codeRaftInternal, codeLeaderElect, codeWatcherCleared:
		status = http.StatusInternalServerError
	}
	return &apiError{Code: code, Message: messages[code], Cause: cause, status: status}
}

// httpError is an error that the API has no code for.
func httpError(status int, cause string) *apiError {
	return &apiError{Code: status, Message: http.StatusText(status), Cause: cause, status: status}
}

func methodNotAllowed(method, allow string) *apiError {
	e := httpError(http.StatusMethodNotAllowed, method)
	e.allow = allow
	return e
}

// unserved words the reason for which a request was not served.
func unserved(err error) *apiError {
	switch {
	case errors.Is(err, raftnode.ErrNoLeader):
		return newError(codeLeaderElect, "no leader was found within the request timeout; nothing was done")
	case errors.Is(err, raftnode.ErrUnknownOutcome):
		return newError(codeRaftInternal, "the outcome is unknown: the change may still take effect")
	case errors.Is(err, raftnode.ErrTooManyMembers):
		return newError(codeMaxMachines, "")
	case errors.Is(err, raftnode.ErrLastVoter), errors.Is(err, raftnode.ErrLosesQuorum), errors.Is(err, raftnode.ErrReservedID):
		return newError(codeInvalidField, err.Error())
	case errors.Is(err, raftnode.ErrOverloaded):
		return httpError(http.StatusServiceUnavailable, "too many requests are waiting; nothing was done")
	}
	return newError(codeRaftInternal, err.Error())
}

func (e *apiError) write(resp *fasthttp.Response) {
	resp.SetStatusCode(e.status)
	if e.allow != "" {
		resp.Header.Set(fasthttp.HeaderAllow, e.allow)
	}
	writeJSON(resp, e)
}

// retryLater is an error that goes away by itself, soon.
type retryLater struct{ *apiError }

func (e retryLater) write(resp *fasthttp.Response) {
	resp.Header.Set(fasthttp.HeaderRetryAfter, "1") // second
	e.apiError.write(resp)
}

const (
	typeJSON = "application/json"
	typeText = "text/plain; charset=utf-8"
)

// writeJSON renders v as the body. v is of our own types, which always marshal.
func writeJSON(resp *fasthttp.Response, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	resp.Header.SetContentType(typeJSON)
	resp.SetBodyRaw(body)
}

// text is an answer in plain text.
type text string

func (t text) write(resp *fasthttp.Response) {
	resp.Header.SetContentType(typeText)
	resp.SetBodyString(string(t))
}

// noContent is an answer without a body.
type noContent struct{}

func (noContent) write(resp *fasthttp.Response) { resp.SetStatusCode(http.StatusNoContent) }

// document is an answer in JSON.
type document struct{ value any }

func (d document) write(resp *fasthttp.Response) { writeJSON(resp, d.value) }
