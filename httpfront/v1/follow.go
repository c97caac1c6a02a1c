package v1

import (
	"encoding/json"
	"strconv"

	"github.com/valyala/fasthttp"

	"etcd/actors"
	"etcd/apierror"
	"etcd/httpfront"
	"etcd/store/tree"
)

const typeLines = "application/x-ndjson"

// streamFormat returns the format in which the client wants a stream; nil: it wants one event.
func streamFormat(f httpfront.Form, h *fasthttp.RequestHeader) (httpfront.StreamFormat, *httpfront.Error) {
	var format httpfront.StreamFormat
	asked := httpfront.AcceptsEvents(h)
	if asked {
		format = httpfront.ServerSent{JSON: eventJSON{}}
	}
	value, given := f.Get("stream")
	if given {
		stream, err := strconv.ParseBool(value)
		switch {
		case err != nil:
			return nil, httpfront.NewError(apierror.InvalidField, `invalid value for "stream"`)
		case !stream:
			return nil, nil
		case !asked:
			format = lines{}
		}
	}
	if h.IsPost() {
		if given {
			return nil, httpfront.NewError(apierror.InvalidField, "a stream is a GET")
		}
		return nil, nil
	}
	return format, nil
}

// lines is a stream of JSON objects, one a line. A heartbeat has no action, and an error has an
// errorCode.
type lines struct{}

func (lines) ContentType() string { return typeLines }

func (s lines) AppendStart(to []byte, index uint64) []byte { return s.AppendHeartbeat(to, index) }

func (lines) Beats() bool { return true }

func (lines) Cut() bool { return false }

func (lines) AppendEvent(to []byte, gaps *httpfront.Gaps, m *actors.Machine, e *tree.Event) []byte {
	return append(eventJSON{}.AppendEvent(to, gaps, m, e), '\n')
}

func (lines) AppendHeartbeat(to []byte, index uint64) []byte {
	return append(strconv.AppendUint(append(to, `{"heartbeat":`...), index, 10), "}\n"...)
}

func (lines) AppendError(to []byte, err error, index uint64) []byte {
	return append(eventJSON{}.AppendError(to, err, index), '\n')
}

// Refuse implements [httpfront.StreamFormat].
func (lines) Refuse(_ *actors.Machine, err error, index uint64) httpfront.Answer {
	return streamRefusal{watchError(err).Status, newStreamError(err, index)}
}

// streamRefusal is the answer to a request whose stream does not begin.
type streamRefusal struct {
	status int
	error  streamError
}

func (a streamRefusal) Write(resp *fasthttp.Response) {
	resp.SetStatusCode(a.status)
	httpfront.WriteJSON(resp, a.error)
}

// streamError is the error with which a stream ends.
type streamError struct {
	apierror.Error
	Index uint64 `json:"index,omitempty"` // after which the client can go on
}

func newStreamError(err error, index uint64) streamError {
	e := streamError{Error: watchError(err).Error, Index: index}
	if httpfront.Lost(err) { // however that has happened, it is the same to the client
		e.Error = apierror.New(apierror.IndexCleared, e.Cause)
	}
	return e
}

// eventJSON implements [httpfront.EventJSON].
type eventJSON struct{}

func (eventJSON) AppendEvent(to []byte, gaps *httpfront.Gaps, m *actors.Machine, e *tree.Event) []byte {
	answer := eventAnswer(e, m.LogTime())
	return answer.append(to, gaps)
}

func (eventJSON) AppendError(to []byte, err error, index uint64) []byte {
	text, marshalErr := json.Marshal(newStreamError(err, index))
	if marshalErr != nil {
		panic(marshalErr) // of our own types, which always marshal
	}
	return append(to, text...)
}
