package peerfront

import (
	"net/http"

	"etcd/httpfront"
)

// maxInFlight bounds the requests that wait for the cluster at a time, other than those for
// streams.
const maxInFlight = 16

// limitInFlight refuses a request while maxInFlight others wait for the cluster. Without a leader
// each of them waits for the whole request timeout, while the election of one needs
// connections with other machines.
func (f *front) limitInFlight(h httpfront.Handler) httpfront.Handler {
	return func(x *httpfront.Exchange) httpfront.Answer {
		select {
		case f.inFlight <- struct{}{}:
			defer func() { <-f.inFlight }()
			return h(x)
		default:
			return httpfront.HTTPError(http.StatusServiceUnavailable, "too many requests are waiting for the cluster; retry")
		}
	}
}
