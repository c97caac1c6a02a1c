package httpfront

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/valyala/fasthttp"

	"etcd/apierror"
	"etcd/passwords"
	"etcd/raftnode"
	"etcd/store/tree"
)

// Error is an error of v1 or v2, as an answer.
type Error struct {
	apierror.Error
	Status int    `json:"-"` // of HTTP
	allow  string // of a 405: the methods that are allowed
}

// NewError returns an error with a code of package apierror.
func NewError(code int, cause string) *Error {
	return &Error{Error: apierror.New(code, cause), Status: apierror.Status(code)}
}

// HTTPError returns an error that the API has no code for.
func HTTPError(status int, cause string) *Error {
	return &Error{Error: apierror.OfHTTP(status, cause), Status: status}
}

func methodNotAllowed(method, allow string) *Error {
	e := HTTPError(http.StatusMethodNotAllowed, method)
	e.allow = allow
	return e
}

// NoSpace returns the answer to a request that the store has refused with [tree.NoSpace].
func NoSpace(f *tree.Failure) *Error {
	return HTTPError(http.StatusInsufficientStorage, fmt.Sprintf("%s does not fit: all keys together count %d bytes, and the quota is %d. Delete some, or raise the quota (-quota)", f.Path, f.Size, f.Quota))
}

// Unserved returns the answer to a request that failed with err.
func Unserved(err error) *Error {
	switch {
	case errors.Is(err, raftnode.ErrNoLeader):
		return NewError(apierror.LeaderElect, "no leader was found within the request timeout; nothing was done")
	case errors.Is(err, raftnode.ErrUnknownOutcome):
		return NewError(apierror.RaftInternal, "the outcome is unknown: the change may still take effect")
	case errors.Is(err, raftnode.ErrTooManyMembers):
		return NewError(apierror.MaxMachines, "")
	case errors.Is(err, raftnode.ErrLastVoter), errors.Is(err, raftnode.ErrLosesQuorum), errors.Is(err, raftnode.ErrReservedID):
		return NewError(apierror.InvalidField, err.Error())
	case errors.Is(err, ErrUnauthorized):
		return NewError(apierror.Unauthorized, "Insufficient credentials")
	case errors.Is(err, passwords.ErrBusy):
		return HTTPError(http.StatusServiceUnavailable, "too many passwords are to be verified; nothing was done")
	case errors.Is(err, passwords.ErrGuessing):
		return HTTPError(http.StatusTooManyRequests, "too many wrong passwords have come from this address; nothing was done")
	case errors.Is(err, errUnsettled):
		return HTTPError(http.StatusServiceUnavailable, errUnsettled.Error())
	case errors.Is(err, ErrInFlight), errors.Is(err, errWatchers), errors.Is(err, errViews), errors.Is(err, errListingTime):
		return HTTPError(http.StatusServiceUnavailable, err.Error())
	case errors.Is(err, raftnode.ErrOverloaded):
		return HTTPError(http.StatusServiceUnavailable, "too many requests are waiting; nothing was done")
	case errors.As(err, new(tooLong)):
		return HTTPError(http.StatusRequestEntityTooLarge, err.Error())
	case errors.Is(err, errAnswerMemory):
		return HTTPError(http.StatusServiceUnavailable,
			"the answers that clients have not read yet are too large together; nothing was done. The limit is set by -max-answer-memory")
	case errors.Is(err, errAnswerOfChange):
		return NewError(apierror.RaftInternal,
			"the change was made, but the answers that clients have not read yet are too large together to send this one. The limit is set by -max-answer-memory")
	}
	return NewError(apierror.RaftInternal, err.Error())
}

func (e *Error) Write(resp *fasthttp.Response) {
	resp.SetStatusCode(e.Status)
	if e.allow != "" {
		resp.Header.Set(fasthttp.HeaderAllow, e.allow)
	}
	if e.Status == http.StatusServiceUnavailable { // it goes away by itself
		resp.Header.Set(fasthttp.HeaderRetryAfter, "1") // second
	}
	if len(e.Cause) <= MaxWhole {
		WriteJSON(resp, e)
		return
	}
	resp.Header.SetContentType(TypeJSON)
	var gaps Gaps
	text := strconv.AppendInt([]byte(`{"errorCode":`), int64(e.Code), 10)
	text = AppendString(append(text, `,"message":`...), e.Message)
	text = gaps.AppendString(append(text, `,"cause":`...), e.Cause)
	WriteText(resp, append(text, '}'), gaps)
}

// NotAllowed returns a [Route.Other] that answers as the servers of v2 did: in plain text, with the
// methods in the order in which they had them.
func NotAllowed(allow string) func(method string) Answer {
	return func(method string) Answer {
		if method == http.MethodOptions {
			return empty{}
		}
		return plainError{http.StatusMethodNotAllowed, "Method Not Allowed\n", allow}
	}
}

// PlainNotFound answers as the servers of v2 did if there is nothing at the path of a request.
func PlainNotFound(string) Answer { return plainError{http.StatusNotFound, "404 page not found\n", ""} }

// plainError is an error in plain text.
type plainError struct {
	status int
	text   string
	allow  string // of a 405
}

func (e plainError) Write(resp *fasthttp.Response) {
	resp.SetStatusCode(e.status)
	if e.allow != "" {
		resp.Header.Set(fasthttp.HeaderAllow, e.allow)
	}
	Text(e.text).Write(resp)
}

// empty is an answer without a body.
type empty struct{}

func (empty) Write(resp *fasthttp.Response) { resp.Header.SetNoDefaultContentType(true) }
