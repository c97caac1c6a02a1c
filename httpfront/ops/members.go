package ops

import (
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"slices"
	"strconv"

	"etcd/actors"
	"etcd/endpoint"
	"etcd/httpfront"
	"etcd/raftnode"
	"etcd/store"
	"etcd/version"
)

// The members of the cluster, as in the v2 API.

type memberAnswer struct {
	ID         string   `json:"id"`
	Name       string   `json:"name"`
	PeerURLs   []string `json:"peerURLs"`
	ClientURLs []string `json:"clientURLs"`
	Learner    bool     `json:"learner,omitempty"` // it has no vote yet
}

func newMemberAnswer(m store.Member) memberAnswer {
	a := memberAnswer{ID: actors.MemberID(m.ID), Name: m.Name, PeerURLs: []string{m.PeerURL}, ClientURLs: []string{}}
	if m.ClientURL != "" { // it was started
		a.ClientURLs = []string{m.ClientURL}
	}
	return a
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
		list[i] = newMemberAnswer(m)
		list[i].Learner = slices.Contains(status.Raft.Learners, m.ID)
	}
	return httpfront.Document{Value: struct {
		Members []memberAnswer `json:"members"`
	}{list}}
}

// addMember adds a machine that will be started with --initial-cluster-state existing. It has no
// vote before it has caught up, so a machine that never comes costs the cluster nothing.
func (o *ops) addMember(x *httpfront.Exchange) httpfront.Answer {
	if x.Key != "/" {
		return httpfront.NotFound(x)
	}
	if mediaType, _, err := mime.ParseMediaType(string(x.Header().ContentType())); err != nil || mediaType != httpfront.TypeJSON {
		return httpfront.HTTPError(http.StatusUnsupportedMediaType, "a request to add a member must be "+httpfront.TypeJSON)
	}
	var request struct {
		PeerURLs []string `json:"peerURLs"`
	}
	if err := json.Unmarshal([]byte(x.Body), &request); err != nil || len(request.PeerURLs) != 1 {
		return httpfront.HTTPError(http.StatusBadRequest, `want a JSON object with one peer URL, such as {"peerURLs":["http://10.0.0.10:2380"]}`)
	}
	m := store.Member{ID: o.cfg.NewID(), PeerURL: request.PeerURLs[0]}
	err := endpoint.CheckURL(m.PeerURL)
	if err == nil && endpoint.Unspecified(endpoint.HostOfURL(m.PeerURL)) {
		err = errors.New("its host stands for every machine, and the others could not reach this one there")
	}
	if err != nil {
		return httpfront.HTTPError(http.StatusBadRequest, "peerURLs: "+err.Error())
	}
	if err := x.Sync(); err != nil {
		return httpfront.Unserved(err)
	}
	status, err := x.Status()
	if err != nil {
		return httpfront.Unserved(err)
	}
	own, _ := status.Member(status.Raft.MemberID)
	switch ours := endpoint.Scheme(own.PeerURL); {
	case endpoint.Scheme(m.PeerURL) != ours:
		return httpfront.HTTPError(http.StatusBadRequest, "peerURLs: the machines of this cluster reach each other by "+ours)
	case status.Version < store.VersionOfFounders:
		return httpfront.HTTPError(http.StatusConflict, "a member of this cluster runs an older program, which does not know members that were not started yet, or is not running: "+
			"update, start or remove it first, or start the new machine with -C")
	}
	reply := x.Join(m, version.Range{})
	switch {
	case errors.As(reply.Err, new(*raftnode.TakenError)):
		return httpfront.HTTPError(http.StatusConflict, reply.Err.Error())
	case reply.Err != nil:
		return httpfront.Unserved(reply.Err)
	}
	return httpfront.Created{Value: newMemberAnswer(m)}
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
