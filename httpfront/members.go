package httpfront

import (
	"errors"
	"net/http"
	"slices"
	"strconv"

	"etcd/actors"
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

func listMembers(r *request) answer {
	if r.path != "/v2/members" {
		return notFound(r)
	}
	status, err := r.session.status()
	if err != nil {
		return unserved(err)
	}
	list := make([]memberAnswer, len(status.Members))
	for i, m := range status.Members {
		list[i] = memberAnswer{
			ID: actors.MemberID(m.ID), Name: m.Name, PeerURLs: []string{m.PeerURL}, ClientURLs: []string{m.ClientURL},
			Learner: slices.Contains(status.Raft.Learners, m.ID),
		}
	}
	return document{struct {
		Members []memberAnswer `json:"members"`
	}{list}}
}

// removeMember removes a machine for ever. Removing one that was removed already is
// 410, as in the v2 API.
func removeMember(r *request) answer {
	key, _ := under(r.path, "/v2/members")
	id, err := strconv.ParseUint(key[1:], 16, 64)
	if err != nil {
		return notFound(r)
	}
	reply := r.session.leave(id)
	switch {
	case errors.Is(reply.Err, raftnode.ErrRemoved):
		return httpError(http.StatusGone, "member "+actors.MemberID(id)+" was removed already")
	case errors.Is(reply.Err, raftnode.ErrUnknownMember), errors.Is(reply.Err, raftnode.ErrReservedID):
		return httpError(http.StatusNotFound, "no member "+actors.MemberID(id))
	case reply.Err != nil:
		return unserved(reply.Err)
	}
	return noContent{}
}
