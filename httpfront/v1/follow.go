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

const (
	typeLines  = "application/x-ndjson"
	typeEvents = "text/event-stream"
)

// streamFormat returns the format in which the client wants a stream; nil: it wants one event.
func streamFormat(f httpfront.Form, h *fasthttp.RequestHeader) (httpfront.StreamFormat, *httpfront.Error) {
	var format httpfront.StreamFormat
	asked := acceptsEvents(h)
	if asked {
		format = serverSent{}
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

func (lines) AppendEvent(to []byte, m *actors.Machine, e *tree.Event) []byte {
	answer := eventAnswer(e, m.LogTime())
	return append(answer.append(to), '\n')
}

func (lines) AppendHeartbeat(to []byte, index uint64) []byte {
	return append(strconv.AppendUint(append(to, `{"heartbeat":`...), index, 10), "}\n"...)
}

func (lines) AppendError(to []byte, err error, index uint64) []byte {
	return append(appendStreamError(to, err, index), '\n')
}

// Refuse implements [httpfront.StreamFormat].
func (lines) Refuse(err error, index uint64) httpfront.Answer {
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

// serverSent is a stream of server-sent events, as the HTML standard has them. The ID of each is its
// index. A heartbeat is a comment, and an ID without data: a browser remembers it and shows it to
// nobody.
type serverSent struct{}

func (serverSent) ContentType() string { return typeEvents }

// AppendStart says as well after how many milliseconds a client should come back.
func (s serverSent) AppendStart(to []byte, index uint64) []byte {
	return s.AppendHeartbeat(append(to, "retry: 1000\n"...), index)
}

func (serverSent) AppendEvent(to []byte, m *actors.Machine, e *tree.Event) []byte {
	answer := eventAnswer(e, m.LogTime())
	return append(answer.append(append(appendID(to, e.Index), "data: "...)), "\n\n"...)
}

func (serverSent) AppendHeartbeat(to []byte, index uint64) []byte {
	return append(appendID(append(to, ": heartbeat\n"...), index), '\n')
}

// AppendError names the event "gone" if the client may have missed something, and "closing" if it
// can just go on at another machine.
func (serverSent) AppendError(to []byte, err error, index uint64) []byte {
	name := "closing"
	if httpfront.Lost(err) {
		name = "gone"
	}
	if index > 0 {
		to = appendID(to, index)
	}
	to = append(append(append(to, "retry: 1000\nevent: "...), name...), "\ndata: "...)
	return append(appendStreamError(to, err, index), "\n\n"...)
}

// Refuse implements [httpfront.StreamFormat]: a browser that gets anything but a stream never comes
// back. With one that ends it does, after the index where it can go on.
func (serverSent) Refuse(error, uint64) httpfront.Answer { return nil }

func appendID(to []byte, index uint64) []byte {
	return append(strconv.AppendUint(append(to, "id: "...), index, 10), '\n')
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

func appendStreamError(to []byte, err error, index uint64) []byte {
	text, marshalErr := json.Marshal(newStreamError(err, index))
	if marshalErr != nil {
		panic(marshalErr) // of our own types, which always marshal
	}
	return append(to, text...)
}
