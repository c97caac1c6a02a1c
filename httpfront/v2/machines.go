package v2

import (
	"net/http"
	"slices"
	"strings"

	"etcd/endpoint"
	"etcd/httpfront"
)

// machines answers with the client URLs of the members.
func machines(x *httpfront.Exchange) httpfront.Answer {
	status, err := x.Status()
	if err != nil {
		return unservedHTTP(x, err)
	}
	var urls []string
	for _, m := range status.Members {
		if endpoint.CheckURL(m.ClientURL) == nil { // it was started
			urls = append(urls, m.ClientURL)
		}
	}
	slices.Sort(urls)
	return httpfront.Text(strings.Join(urls, ", "))
}

// leader answers with the peer URL of the leader, as etcd 0.4 did.
func leader(x *httpfront.Exchange) httpfront.Answer {
	if err := x.Sync(); err != nil {
		return unservedHTTP(x, err)
	}
	status, err := x.Status()
	if err != nil {
		return unservedHTTP(x, err)
	}
	m, ok := status.Member(status.Raft.Leader)
	if !ok {
		return newHTTPError(x, http.StatusServiceUnavailable, "During election")
	}
	return httpfront.Text(m.PeerURL)
}
