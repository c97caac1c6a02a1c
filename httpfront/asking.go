package httpfront

import (
	"net/http"
	"time"
)

// peerTime bounds, at the port for machines, everything up to the end of a request, a TLS
// handshake included; the next request of a connection; and writing an answer. Streams and
// snapshots have deadlines of their own.
const peerTime = 5 * time.Second

const (
	// maxAsking is how many requests may wait for the cluster at a time at the port for
	// machines, other than those for streams.
	maxAsking = 16
	// maxDismissed is how many requests may be under way, beyond those that are counted,
	// over connections that have ended.
	maxDismissed = 256
)

// fewAtATime refuses a request while as many as there may be wait for the cluster. Without
// a leader each of them takes as long as a request may, and it takes connections of other
// machines to get one.
func fewAtATime(h Handler) Handler {
	return func(x *Exchange) Answer {
		select {
		case x.server.asking <- struct{}{}:
			defer func() { <-x.server.asking }()
			return h(x)
		default:
			return HTTPError(http.StatusServiceUnavailable, "too many ask this machine at the same time; ask again")
		}
	}
}
