package v2

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"

	"etcd/actors"
	"etcd/httpfront"
	"etcd/store/storepb"
	"etcd/store/tree"
)

// The codes of the errors, as etcd numbers them.
const (
	codeKeyNotFound      = 100
	codeTestFailed       = 101
	codeNotFile          = 102
	codeNotDir           = 104
	codeNodeExists       = 105
	codeRootReadOnly     = 107
	codeDirNotEmpty      = 108
	codePrevValue        = 201
	codeTTLNaN           = 202
	codeIndexNaN         = 203
	codeInvalidField     = 209
	codeInvalidForm      = 210
	codeRefreshValue     = 211
	codeRefreshTTL       = 212
	codeRaftInternal     = 300
	codeLeaderElect      = 301
	codeWatcherCleared   = 400
	codeEventIndexIsGone = 401
)

var messages = map[int]string{
	codeKeyNotFound:      "Key not found",
	codeTestFailed:       "Compare failed",
	codeNotFile:          "Not a file",
	codeNotDir:           "Not a directory",
	codeNodeExists:       "Key already exists",
	codeRootReadOnly:     "Root is read only",
	codeDirNotEmpty:      "Directory not empty",
	codePrevValue:        "PrevValue is Required in POST form",
	codeTTLNaN:           "The given TTL in POST form is not a number",
	codeIndexNaN:         "The given index in POST form is not a number",
	codeInvalidField:     "Invalid field",
	codeInvalidForm:      "Invalid POST form",
	codeRefreshValue:     "Value provided on refresh",
	codeRefreshTTL:       "A TTL must be provided on refresh",
	codeRaftInternal:     "Raft Internal Error",
	codeLeaderElect:      "During Leader Election",
	codeWatcherCleared:   "watcher is cleared due to etcd recovery",
	codeEventIndexIsGone: "The event in requested index is outdated and cleared",
}

func statusOf(code int) int {
	switch code {
	case codeKeyNotFound:
		return http.StatusNotFound
	case codeNotFile, codeDirNotEmpty:
		return http.StatusForbidden
	case codeTestFailed, codeNodeExists:
		return http.StatusPreconditionFailed
	case codeRaftInternal, codeLeaderElect:
		return http.StatusInternalServerError
	}
	return http.StatusBadRequest
}

// keyError is the error about a key, as an answer.
type keyError struct {
	status     int
	code       int
	message    string
	cause      string
	index      uint64 // of the last command that has changed a key
	clusterID  string
	retryAfter bool // as after any 503
}

func newError(x *httpfront.Exchange, code int, cause string) *keyError {
	return &keyError{
		status: statusOf(code), code: code, message: messages[code], cause: cause,
		index: x.Machine().Applied().Changed, clusterID: clusterID(x),
	}
}

// Write implements [httpfront.Answer].
func (e *keyError) Write(resp *fasthttp.Response) {
	resp.SetStatusCode(e.status)
	h := &resp.Header
	h.SetContentType(httpfront.TypeJSON)
	h.Set(httpfront.HeaderIndex, strconv.FormatUint(e.index, 10))
	h.Set(httpfront.HeaderClusterID, e.clusterID)
	if e.retryAfter || e.status == http.StatusServiceUnavailable {
		h.Set(fasthttp.HeaderRetryAfter, "1") // second
	}
	var gaps httpfront.Gaps
	text := append(e.appendJSON(nil, &gaps), '\n')
	httpfront.WriteText(resp, text, gaps)
}

func (e *keyError) appendJSON(to []byte, gaps *httpfront.Gaps) []byte {
	to = strconv.AppendInt(append(to, `{"errorCode":`...), int64(e.code), 10)
	to = httpfront.AppendString(append(to, `,"message":`...), e.message)
	if e.cause != "" {
		to = gaps.AppendString(append(to, `,"cause":`...), e.cause)
	}
	return append(strconv.AppendUint(append(to, `,"index":`...), e.index, 10), '}')
}

// unserved is the answer to a request that failed with err.
func unserved(x *httpfront.Exchange, err error) *keyError {
	return ofV1(x, httpfront.Unserved(err))
}

// ofV1 is an error of v1 in the shape of this API.
func ofV1(x *httpfront.Exchange, failed *httpfront.Error) *keyError {
	e := newError(x, failed.Code, failed.Cause)
	e.status, e.message = failed.Status, failed.Message
	return e
}

// keyFailed implements [httpfront.Route.Fail] for keys.
func keyFailed(m *actors.Machine, err error) httpfront.Answer {
	failed := httpfront.Unserved(err)
	return &keyError{
		status: failed.Status, code: failed.Code, message: failed.Message, cause: failed.Cause,
		index: m.Applied().Changed, clusterID: strconv.FormatUint(m.ClusterID, 16),
	}
}

// failure is the answer to a command or a read that the store has refused. condition is that of the
// command, nil for none.
func failure(x *httpfront.Exchange, f *tree.Failure, index uint64, condition *storepb.Condition) *keyError {
	code, cause := int(f.Code), f.Path
	switch {
	case f.Code == tree.NoSpace:
		e := ofV1(x, httpfront.NoSpace(f))
		e.index = max(index, 1)
		return e
	case f.Code == tree.CompareFailed:
		cause = compared(f.Node, condition)
	case f.Code == tree.NotFile && f.Path == "/":
		cause = "" // as etcd has it
	}
	e := newError(x, code, cause)
	e.index = max(index, 1)
	return e
}

// compared says which conditions a file has failed.
func compared(file *tree.Node, c *storepb.Condition) string {
	var failed []string
	if c.Value != nil && string(c.Value) != file.Value {
		failed = append(failed, fmt.Sprintf("[%s != %s]", c.Value, file.Value))
	}
	if c.Index != 0 && c.Index != file.Modified {
		failed = append(failed, fmt.Sprintf("[%d != %d]", c.Index, file.Modified))
	}
	return strings.Join(failed, " ")
}

// httpError is an error about anything but keys, as an answer.
type httpError struct {
	status    int
	message   string
	clusterID string // "": not told, as etcd does if it has not looked at the request yet
}

func newHTTPError(x *httpfront.Exchange, status int, message string) *httpError {
	return &httpError{status, message, clusterID(x)}
}

// Write implements [httpfront.Answer].
func (e *httpError) Write(resp *fasthttp.Response) {
	resp.SetStatusCode(e.status)
	resp.Header.SetContentType(httpfront.TypeJSON)
	if e.clusterID != "" {
		resp.Header.Set(httpfront.HeaderClusterID, e.clusterID)
	}
	if e.status == http.StatusServiceUnavailable {
		resp.Header.Set(fasthttp.HeaderRetryAfter, "1") // second
	}
	resp.SetBodyRaw(append(httpfront.AppendString([]byte(`{"message":`), e.message), '}'))
}

// unservedHTTP is [unserved] for what is not about keys.
func unservedHTTP(x *httpfront.Exchange, err error) *httpError {
	failed := httpfront.Unserved(err)
	return newHTTPError(x, failed.Status, cmp.Or(failed.Cause, failed.Message))
}

// failed implements [httpfront.Route.Fail] for what is not about keys.
func failed(_ *actors.Machine, err error) httpfront.Answer {
	failed := httpfront.Unserved(err)
	return &httpError{status: failed.Status, message: cmp.Or(failed.Cause, failed.Message)}
}

var errSemicolon = errors.New("invalid semicolon separator in query")
