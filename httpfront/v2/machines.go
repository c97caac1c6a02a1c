package v2

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"etcd/actors"
	"etcd/endpoint"
	"etcd/httpfront"
)

// machines answers with the client URLs of the members.
func machines(x *httpfront.Exchange) httpfront.Answer {
	status, err := statusWithClients(x)
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

// statusWithClients is Status with the client URL of this machine. A client that asks a machine which has
// just founded its cluster, or joined it, would else be told of no machine at all.
func statusWithClients(x *httpfront.Exchange) (*actors.StatusReply, error) {
	status, err := x.Status()
	if err != nil {
		return nil, err
	}
	if own, _ := status.Member(status.Raft.MemberID); own.ClientURL != "" {
		return status, nil
	}
	timeout := time.NewTimer(time.Until(x.Deadline) / 2) // and then as it is
	defer timeout.Stop()
	select {
	case <-x.Machine().Ready:
	case <-timeout.C:
	}
	return x.Status()
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
