package httpfront

import (
	"net/http"
	"slices"
	"strconv"

	"etcd/actors"
	"etcd/store"
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
		return httpError(http.StatusNotFound, r.path)
	}
	status := r.session.status()
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
		return httpError(http.StatusNotFound, r.path)
	}
	if err := r.session.sync(); err != nil {
		return unserved(err)
	}
	status := r.session.status()
	// A machine that asked to join once more while it was being removed may be left in
	// Raft, without a vote: it can be removed again.
	learner := slices.Contains(status.Raft.Learners, id)
	if !learner && slices.Contains(status.Removed, id) {
		return httpError(http.StatusGone, "member "+actors.MemberID(id)+" was removed already")
	}
	if !learner && !slices.ContainsFunc(status.Members, func(m store.Member) bool { return m.ID == id }) {
		return httpError(http.StatusNotFound, "no member "+actors.MemberID(id))
	}
	if reply := r.session.leave(id); reply.Err != nil {
		return unserved(reply.Err)
	}
	return noContent{}
}
