package peerfront

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"etcd/actors"
	"etcd/apierror"
	"etcd/bootstrap"
	"etcd/endpoint"
	"etcd/httpfront"
)

// foundersPath is where a machine with an empty data directory asks the others with which it is to
// found a cluster, see [Founders].
const foundersPath = "/founders"

// foundersRequest is what it says of itself.
type foundersRequest struct {
	ClusterID uint64 `json:"clusterId,string"`
	MemberID  uint64 `json:"memberId,string"`
	PeerURL   string `json:"peerUrl"`
	List      string `json:"list"` // as [bootstrap.Format] writes it, for people
}

// foundersAnswer is what another machine of the same cluster knows of it.
type foundersAnswer struct {
	MemberID uint64 `json:"memberId,string"`   // of the one that answers
	HasRun   bool   `json:"hasRun,omitempty"`  // that it was a member before
	Removed  bool   `json:"removed,omitempty"` // that it was removed from the cluster
	// ClientURL is where clients reach the one that answers, empty if it has no data either.
	ClientURL string `json:"clientUrl,omitempty"`
}

// Founding is what a machine that has no data yet tells others that have none: which cluster it is
// about to found with them.
type Founding struct{ begun atomic.Pointer[begun] }

type begun struct {
	bootstrap.Cluster
	self uint64 // the ID of this machine
}

// Begin sets the cluster, and the ID of this machine in it.
func (f *Founding) Begin(c bootstrap.Cluster, self uint64) { f.begun.Store(&begun{c, self}) }

// founders answers a machine that asks before it founds a cluster with this one.
func (f *front) founders(x *httpfront.Exchange) httpfront.Answer {
	if refused := wantJSON(x, "to found a cluster"); refused != nil {
		return refused
	}
	var request foundersRequest
	if err := json.Unmarshal([]byte(x.Body), &request); err != nil || request.MemberID == 0 || endpoint.CheckURL(request.PeerURL) != nil {
		return httpfront.NewError(apierror.InvalidField, `this is a JSON object with "clusterId", "memberId" (decimal numbers in quotes), "peerUrl" and "list"`)
	}
	if refused := f.refuseCaller(x, request.PeerURL, request.PeerURL); refused != nil {
		return refused
	}
	if x.Machine() != nil {
		return f.foundersMember(x, request)
	}
	own := f.founding.begun.Load()
	switch {
	case own == nil:
		return httpfront.HTTPError(http.StatusServiceUnavailable, "this machine is still starting")
	case own.ID != request.ClusterID:
		return otherFounders(request.List, own.String())
	}
	return httpfront.Document{Value: foundersAnswer{MemberID: own.self}}
}

// foundersMember is founders for a machine that has data. It does not ask the cluster: that may have no
// leader before the one that asks is there.
func (f *front) foundersMember(x *httpfront.Exchange, request foundersRequest) httpfront.Answer {
	m := x.Machine()
	if m.ClusterID != request.ClusterID {
		return otherFounders(request.List, bootstrap.Format(m.Inbox.Members()))
	}
	hasRun, removed := m.Inbox.HasRun(request.MemberID)
	return httpfront.Document{Value: foundersAnswer{MemberID: m.Inbox.Self().ID, HasRun: hasRun, Removed: removed, ClientURL: m.Inbox.Self().ClientURL}}
}

// otherFounders tells a machine that it does not belong to the cluster of this one.
func otherFounders(theirs, ours string) httpfront.Answer {
	if urlsIn(theirs) == urlsIn(ours) {
		return httpfront.HTTPError(http.StatusConflict, fmt.Sprintf("this machine belongs to another cluster of the same machines (%s): their --initial-cluster-token differs", ours))
	}
	return httpfront.HTTPError(http.StatusConflict, fmt.Sprintf("this machine belongs to another cluster, of %s, and not of %s", ours, theirs))
}

// urlsIn returns a list without the names in it, from which no IDs follow.
func urlsIn(list string) string {
	urls := strings.Split(list, ",")
	for i, entry := range urls {
		urls[i] = entry[strings.LastIndexByte(entry, '=')+1:]
	}
	slices.Sort(urls)
	return strings.Join(urls, ",")
}

// refuseCaller refuses a machine that cannot speak with the others of this cluster: one that is
// reached by another scheme, or whose certificate does not name its host. who names it in the log.
func (f *front) refuseCaller(x *httpfront.Exchange, peerURL, who string) httpfront.Answer {
	if theirs, ours := endpoint.Scheme(peerURL), x.Scheme(); theirs != ours {
		x.Report(refusedScheme, fmt.Errorf("%s; the machines of this cluster reach each other by %s", who, ours))
		return httpfront.HTTPError(http.StatusConflict, fmt.Sprintf(
			"the machines of this cluster reach each other by %s, and this one only by %s; start it like them, with -serverCert and -serverKey or without", ours, theirs))
	}
	if certified := f.caller(x).certified(); certified != nil {
		if err := certified(endpoint.HostOfURL(peerURL)); err != nil {
			return uncertified(x, err)
		}
	}
	return nil
}

// replace says how a member is replaced whose data is gone. through is the client URL of another one.
func replace(id uint64, peerURL, through string) string {
	return fmt.Sprintf("remove it (curl -X DELETE %s/v2/members/%s), add it again "+
		`(curl %[1]s/v2/members -H "Content-Type: application/json" -d '{"peerURLs":["%[3]s"]}'), and start it with --initial-cluster-state existing`,
		through, actors.MemberID(id), peerURL)
}
