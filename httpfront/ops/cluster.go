package ops

import (
	"cmp"
	"slices"
	"strings"

	"etcd/actors"
	"etcd/apierror"
	"etcd/endpoint"
	"etcd/httpfront"
	"etcd/store"
)

// The machines of the cluster, and which of them leads.

// Members are listed by address or by URL. One that an earlier version has accepted with
// something that is not a URL is left out: it could pass for another member, or for several.

// asAddress returns a URL without its scheme; ok is false if it is not one of a machine.
func asAddress(url string) (told string, ok bool) {
	addr, err := endpoint.Address(url)
	return addr, err == nil
}

func asURL(url string) (told string, ok bool) { return url, endpoint.CheckURL(url) == nil }

// leader answers with the peer URL of the leader, without its scheme.
func leader(x *httpfront.Exchange) httpfront.Answer { return leaderAnswer(x, asAddress) }

func leaderURL(x *httpfront.Exchange) httpfront.Answer { return leaderAnswer(x, asURL) }

// leaderAnswer waits for a leader until the request times out.
func leaderAnswer(x *httpfront.Exchange, render func(url string) (told string, ok bool)) httpfront.Answer {
	if err := x.Sync(); err != nil {
		return httpfront.Unserved(err)
	}
	status, err := x.Status()
	if err != nil {
		return httpfront.Unserved(err)
	}
	m, ok := status.Member(status.Raft.Leader)
	if !ok {
		return httpfront.NewError(apierror.LeaderElect, "")
	}
	told, ok := render(m.PeerURL)
	if !ok {
		return httpfront.NewError(apierror.RaftInternal, "the peer URL of the leader is invalid")
	}
	return httpfront.Text(told)
}

// machines answers with the client URLs without their scheme, this machine's first.
func machines(_ *httpfront.Exchange, status *actors.StatusReply) httpfront.Answer {
	return httpfront.Text(strings.Join(clientURLs(status, status.Raft.MemberID, asAddress), ","))
}

// machineURLs answers with the client URLs, the leader's first.
func machineURLs(_ *httpfront.Exchange, status *actors.StatusReply) httpfront.Answer {
	return httpfront.Text(strings.Join(clientURLs(status, status.Raft.Leader, asURL), ", "))
}

func clientURLs(status *actors.StatusReply, first uint64, render func(url string) (told string, ok bool)) []string {
	members := slices.Clone(status.Members)
	slices.SortFunc(members, func(a, b store.Member) int {
		if (a.ID == first) != (b.ID == first) {
			if a.ID == first {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Name, b.Name)
	})
	urls := make([]string, 0, len(members))
	for _, m := range members {
		if told, ok := render(m.ClientURL); ok {
			urls = append(urls, told)
		}
	}
	return urls
}
