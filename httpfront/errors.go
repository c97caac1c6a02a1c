package httpfront

import (
	"errors"
	"net/http"

	"github.com/valyala/fasthttp"

	"etcd/raftnode"
)

// Error is an error of the API in its JSON shape. Codes are those of the 2013
// error table; an error of HTTP itself has the HTTP status as its code.
type Error struct {
	Code    int    `json:"errorCode"`
	Message string `json:"message"`
	Cause   string `json:"cause,omitempty"`

	Status int    `json:"-"` // of HTTP
	allow  string // of a 405: the methods there are
}

// The codes of the v1 API, and of v2 where v1 has none.
const (
	CodeKeyNotFound    = 100
	CodeTestFailed     = 101
	CodeNotFile        = 102
	CodeMaxMachines    = 103
	CodeValueRequired  = 200
	CodeTTLNaN         = 202
	CodeIndexNaN       = 203
	CodeInvalidField   = 209
	CodeInvalidForm    = 210
	CodeRaftInternal   = 300
	CodeLeaderElect    = 301
	CodeKeyword        = 400
	CodeIndexCleared   = 401
	CodeWatcherCleared = 500
)

var messages = map[int]string{
	CodeKeyNotFound:    "Key Not Found",
	CodeTestFailed:     "The given PrevValue is not equal to the value of the key",
	CodeNotFile:        "Not A File",
	CodeMaxMachines:    "Reached the max number of machines in the cluster",
	CodeValueRequired:  "Value is Required in POST form",
	CodeTTLNaN:         "The given TTL in POST form is not a number",
	CodeIndexNaN:       "The given index in POST form is not a number",
	CodeInvalidField:   "Invalid field",
	CodeInvalidForm:    "Invalid POST form",
	CodeRaftInternal:   "Raft Internal Error",
	CodeLeaderElect:    "During Leader Election",
	CodeKeyword:        "The prefix of the given key is a keyword in etcd",
	CodeIndexCleared:   "The event in requested index is outdated and cleared",
	CodeWatcherCleared: "watcher is cleared due to etcd recovery",
}

// NewError is an error with a code of the API.
func NewError(code int, cause string) *Error {
	status := http.StatusBadRequest
	switch code {
	case CodeKeyNotFound:
		status = http.StatusNotFound
	case CodeRaftInternal, CodeLeaderElect, CodeWatcherCleared:
		status = http.StatusInternalServerError
	}
	return &Error{Code: code, Message: messages[code], Cause: cause, Status: status}
}

// HTTPError is an error that the API has no code for.
func HTTPError(status int, cause string) *Error {
	return &Error{Code: status, Message: http.StatusText(status), Cause: cause, Status: status}
}

func methodNotAllowed(method, allow string) *Error {
	e := HTTPError(http.StatusMethodNotAllowed, method)
	e.allow = allow
	return e
}

// Unserved words the reason for which a request was not served.
func Unserved(err error) *Error {
	switch {
	case errors.Is(err, raftnode.ErrNoLeader):
		return NewError(CodeLeaderElect, "no leader was found within the request timeout; nothing was done")
	case errors.Is(err, raftnode.ErrUnknownOutcome):
		return NewError(CodeRaftInternal, "the outcome is unknown: the change may still take effect")
	case errors.Is(err, raftnode.ErrTooManyMembers):
		return NewError(CodeMaxMachines, "")
	case errors.Is(err, raftnode.ErrLastVoter), errors.Is(err, raftnode.ErrLosesQuorum), errors.Is(err, raftnode.ErrReservedID):
		return NewError(CodeInvalidField, err.Error())
	case errors.Is(err, raftnode.ErrOverloaded):
		return HTTPError(http.StatusServiceUnavailable, "too many requests are waiting; nothing was done")
	}
	return NewError(CodeRaftInternal, err.Error())
}

func (e *Error) Write(resp *fasthttp.Response) {
	resp.SetStatusCode(e.Status)
	if e.allow != "" {
		resp.Header.Set(fasthttp.HeaderAllow, e.allow)
	}
	WriteJSON(resp, e)
}

// RetryLater is an error that goes away by itself, soon.
type RetryLater struct{ *Error }

func (e RetryLater) Write(resp *fasthttp.Response) {
	resp.Header.Set(fasthttp.HeaderRetryAfter, "1") // second
	e.Error.Write(resp)
}
