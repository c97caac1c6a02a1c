package httpfront

import (
	"strconv"

	"etcd/actors"
	"etcd/store/tree"
)

// EventJSON is how an API writes an event, and the error with which a stream ends, as one line of
// JSON. Equal values write equal bytes.
type EventJSON interface {
	AppendEvent(to []byte, gaps *Gaps, m *actors.Machine, e *tree.Event) []byte
	// AppendError appends the error; the client can go on after the index, which is 0 if that is not
	// known.
	AppendError(to []byte, err error, index uint64) []byte
}

// ServerSent is a stream of server-sent events, as the HTML standard has them. The ID of each is its
// index. A heartbeat is a comment, and an ID without data: a browser remembers it and shows it to
// nobody.
type ServerSent struct{ JSON EventJSON }

// ContentType implements [StreamFormat].
func (ServerSent) ContentType() string { return typeEvents }

// Beats implements [StreamFormat].
func (ServerSent) Beats() bool { return true }

// Cut implements [StreamFormat].
func (ServerSent) Cut() bool { return false }

// AppendStart says as well after how many milliseconds a client should come back.
func (s ServerSent) AppendStart(to []byte, index uint64) []byte {
	return s.AppendHeartbeat(append(to, "retry: 1000\n"...), index)
}

// AppendEvent implements [StreamFormat].
func (s ServerSent) AppendEvent(to []byte, gaps *Gaps, m *actors.Machine, e *tree.Event) []byte {
	return append(s.JSON.AppendEvent(append(appendID(to, e.Index), "data: "...), gaps, m, e), "\n\n"...)
}

// AppendHeartbeat implements [StreamFormat].
func (ServerSent) AppendHeartbeat(to []byte, index uint64) []byte {
	return append(appendID(append(to, ": heartbeat\n"...), index), '\n')
}

// AppendError names the event "gone" if the client may have missed something, and "closing" if it
// can just go on at another machine.
func (s ServerSent) AppendError(to []byte, err error, index uint64) []byte {
	name := "closing"
	if Lost(err) {
		name = "gone"
	}
	if index > 0 {
		to = appendID(to, index)
	}
	to = append(append(append(to, "retry: 1000\nevent: "...), name...), "\ndata: "...)
	return append(s.JSON.AppendError(to, err, index), "\n\n"...)
}

// Refuse implements [StreamFormat]: a browser that gets anything but a stream never comes
// back. With one that ends it does, after the index where it can go on.
func (ServerSent) Refuse(*actors.Machine, error, uint64) Answer { return nil }

func appendID(to []byte, index uint64) []byte {
	return append(strconv.AppendUint(append(to, "id: "...), index, 10), '\n')
}
