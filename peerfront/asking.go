package peerfront

import (
	"net/http"

	"etcd/httpfront"
)

// maxAsking is how many requests may wait for the cluster at a time, other than those for
// streams.
const maxAsking = 16

// fewAtATime refuses a request while as many as there may be wait for the cluster. Without
// a leader each of them takes as long as a request may, and it takes connections of other
// machines to get one.
func (f *front) fewAtATime(h httpfront.Handler) httpfront.Handler {
	return func(x *httpfront.Exchange) httpfront.Answer {
		select {
		case f.asking <- struct{}{}:
			defer func() { <-f.asking }()
			return h(x)
		default:
			return httpfront.HTTPError(http.StatusServiceUnavailable, "too many ask this machine at the same time; ask again")
		}
	}
}
