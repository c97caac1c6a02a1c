package peerfront

import (
	"net/http"

	"etcd/httpfront"
)

// maxAsking bounds the requests that wait for the cluster at a time, other than those for
// streams.
const maxAsking = 16

// fewAtATime refuses a request while maxAsking others wait for the cluster. Without a leader
// each of them waits for the whole request timeout, while the election of one needs
// connections with other machines.
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
