package ops

import (
	"errors"
	"net/http"
	"slices"
	"strconv"

	"etcd/actors"
	"etcd/httpfront"
	"etcd/raftnode"
)

// The members of the cluster, as in the v2 API.

type memberAnswer struct {
	ID         string   `json:"id"`
	Name       string   `json:"name"`
	PeerURLs   []string `json:"peerURLs"`
	ClientURLs []string `json:"clientURLs"`
	Learner    bool     `json:"learner,omitempty"` // it has no vote yet
}

func listMembers(x *httpfront.Exchange) httpfront.Answer {
	if x.Key != "/" {
		return httpfront.NotFound(x)
	}
	status, err := x.Status()
	if err != nil {
		return httpfront.Unserved(err)
	}
	list := make([]memberAnswer, len(status.Members))
	for i, m := range status.Members {
		list[i] = memberAnswer{
			ID: actors.MemberID(m.ID), Name: m.Name, PeerURLs: []string{m.PeerURL}, ClientURLs: []string{m.ClientURL},
			Learner: slices.Contains(status.Raft.Learners, m.ID),
		}
	}
	return httpfront.Document{Value: struct {
		Members []memberAnswer `json:"members"`
	}{list}}
}

// removeMember removes a member for good. The answer is 410 if it was removed already, as in
// the v2 API.
func removeMember(x *httpfront.Exchange) httpfront.Answer {
	id, err := strconv.ParseUint(x.Key[1:], 16, 64)
	if err != nil {
		return httpfront.NotFound(x)
	}
	reply := x.Leave(id)
	switch {
	case errors.Is(reply.Err, raftnode.ErrRemoved):
		return httpfront.HTTPError(http.StatusGone, "member "+actors.MemberID(id)+" was removed already")
	case errors.Is(reply.Err, raftnode.ErrUnknownMember), errors.Is(reply.Err, raftnode.ErrReservedID):
		return httpfront.HTTPError(http.StatusNotFound, "no member "+actors.MemberID(id))
	case reply.Err != nil:
		return httpfront.Unserved(reply.Err)
	}
	return httpfront.NoContent{}
}
