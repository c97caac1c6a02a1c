package v2

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strconv"

	"github.com/valyala/fasthttp"

	"etcd/actors"
	"etcd/endpoint"
	"etcd/httpfront"
	"etcd/raftnode"
	"etcd/store"
	"etcd/version"
)

var membersNotAllowed = httpfront.NotAllowed("GET,POST,DELETE,PUT")

// memberAnswer is a member as the API shows it.
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

// document is an answer in JSON about the cluster.
type document struct {
	value     any
	status    int // 0 is 200
	clusterID string
}

func (d document) Write(resp *fasthttp.Response) {
	if d.status != 0 {
		resp.SetStatusCode(d.status)
	}
	httpfront.WriteJSON(resp, d.value)
	resp.SetBodyRaw(append(resp.Body(), '\n'))
	resp.Header.Set(httpfront.HeaderClusterID, d.clusterID)
}

// getMembers lists the members, or answers with the one that leads.
func getMembers(x *httpfront.Exchange) httpfront.Answer {
	if x.Key != "/" && x.Key != "/leader" {
		return newHTTPError(x, http.StatusNotFound, "Not found")
	}
	status, err := statusWithClients(x)
	if err != nil {
		return unservedHTTP(x, err)
	}
	if x.Key == "/leader" {
		m, ok := status.Member(status.Raft.Leader)
		if !ok {
			return newHTTPError(x, http.StatusServiceUnavailable, "During election")
		}
		return document{value: newMemberAnswer(m), clusterID: clusterID(x)}
	}
	list := make([]memberAnswer, len(status.Members))
	for i, m := range status.Members {
		list[i] = newMemberAnswer(m)
		list[i].Learner = slices.Contains(status.Raft.Learners, m.ID)
	}
	return document{value: struct {
		Members []memberAnswer `json:"members"`
	}{list}, clusterID: clusterID(x)}
}

// addMember adds a machine that will be started with --initial-cluster-state existing. It has no
// vote before it has caught up, so a machine that never comes costs the cluster nothing.
func (a *api) addMember(x *httpfront.Exchange) httpfront.Answer {
	if x.Key != "/" {
		return newHTTPError(x, http.StatusNotFound, "Not found")
	}
	url, status, bad := askedURL(x)
	switch {
	case bad != nil:
		return bad
	case status.Version < store.VersionOfFounders:
		return newHTTPError(x, http.StatusConflict, "a member of this cluster runs an older program, which does not know members that were not started yet, or is not running: "+
			"update, start or remove it first, or start the new machine with -C")
	}
	m := store.Member{ID: a.cfg.NewID(), PeerURL: url}
	if bad := join(x, m, version.Range{}); bad != nil {
		return bad
	}
	return document{value: newMemberAnswer(m), status: http.StatusCreated, clusterID: clusterID(x)}
}

// updateMember changes the peer URL of a member.
func updateMember(x *httpfront.Exchange) httpfront.Answer {
	id, bad := memberID(x)
	if bad != nil {
		return bad
	}
	url, status, bad := askedURL(x)
	if bad != nil {
		return bad
	}
	m, ok := status.Member(id)
	if !ok {
		return noSuchMember(x, actors.MemberID(id))
	}
	m.PeerURL = url
	if bad := join(x, m, version.Range{}); bad != nil {
		return bad
	}
	return httpfront.NoContent{}
}

// askedURL returns the peer URL in the body of a request, which must be one that members of this cluster
// can have, and a linearizable status.
func askedURL(x *httpfront.Exchange) (url string, status *actors.StatusReply, bad httpfront.Answer) {
	contentType := string(x.Header().ContentType())
	if mediaType, _, err := mime.ParseMediaType(contentType); err != nil || mediaType != httpfront.TypeJSON {
		return "", nil, newHTTPError(x, http.StatusUnsupportedMediaType, fmt.Sprintf("Bad Content-Type %.100s, accept %s", contentType, httpfront.TypeJSON))
	}
	var request struct {
		PeerURLs []string `json:"peerURLs"`
	}
	if err := json.Unmarshal([]byte(x.Body), &request); err != nil || len(request.PeerURLs) != 1 {
		return "", nil, newHTTPError(x, http.StatusBadRequest, `want a JSON object with one peer URL, such as {"peerURLs":["http://10.0.0.10:2380"]}`)
	}
	url = request.PeerURLs[0]
	err := endpoint.CheckURL(url)
	if err == nil && endpoint.Unspecified(endpoint.HostOfURL(url)) {
		err = errors.New("its host stands for every machine, and the others could not reach this one there")
	}
	if err != nil {
		return "", nil, newHTTPError(x, http.StatusBadRequest, "peerURLs: "+err.Error())
	}
	if err := x.Sync(); err != nil {
		return "", nil, unservedHTTP(x, err)
	}
	status, err = x.Status()
	if err != nil {
		return "", nil, unservedHTTP(x, err)
	}
	own, _ := status.Member(status.Raft.MemberID)
	if ours := endpoint.Scheme(own.PeerURL); endpoint.Scheme(url) != ours {
		return "", nil, newHTTPError(x, http.StatusBadRequest, "peerURLs: the machines of this cluster reach each other by "+ours)
	}
	return url, status, nil
}

// join adds or updates a member.
func join(x *httpfront.Exchange, m store.Member, commands version.Range) httpfront.Answer {
	reply := x.Join(m, commands)
	switch {
	case errors.As(reply.Err, new(*raftnode.TakenError)):
		return newHTTPError(x, http.StatusConflict, "membership: peerURL exists")
	case reply.Err != nil:
		return unservedHTTP(x, reply.Err)
	}
	return nil
}

// memberID returns the member in the path of a request.
func memberID(x *httpfront.Exchange) (uint64, httpfront.Answer) {
	if x.Key == "/" {
		return 0, membersNotAllowed("")
	}
	id, err := strconv.ParseUint(x.Key[1:], 16, 64)
	if err != nil {
		return 0, noSuchMember(x, x.Key[1:])
	}
	return id, nil
}

func noSuchMember(x *httpfront.Exchange, id string) httpfront.Answer {
	return newHTTPError(x, http.StatusNotFound, "No such member: "+id)
}

// removeMember removes a member for good.
func removeMember(x *httpfront.Exchange) httpfront.Answer {
	id, bad := memberID(x)
	if bad != nil {
		return bad
	}
	reply := x.Leave(id)
	switch {
	case errors.Is(reply.Err, raftnode.ErrRemoved):
		return newHTTPError(x, http.StatusGone, "Member permanently removed: "+actors.MemberID(id))
	case errors.Is(reply.Err, raftnode.ErrUnknownMember), errors.Is(reply.Err, raftnode.ErrReservedID):
		return noSuchMember(x, actors.MemberID(id))
	case reply.Err != nil:
		return unservedHTTP(x, reply.Err)
	}
	return httpfront.NoContent{}
}
