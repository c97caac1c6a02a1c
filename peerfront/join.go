package peerfront

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"

	"etcd/actors"
	"etcd/apierror"
	"etcd/endpoint"
	"etcd/httpfront"
	"etcd/raftnode"
	"etcd/store"
)

// wantJSON refuses a request of another content type: JSON is one that a form in a web page cannot
// send, and a script only after a CORS preflight.
func wantJSON(x *httpfront.Exchange, to string) httpfront.Answer {
	mediaType, _, err := mime.ParseMediaType(string(x.Header().ContentType()))
	if err != nil || mediaType != httpfront.TypeJSON {
		return httpfront.HTTPError(http.StatusUnsupportedMediaType, "a request "+to+" must be "+httpfront.TypeJSON)
	}
	return nil
}

// join adds a machine to the cluster, through any member.
func (f *front) join(x *httpfront.Exchange) httpfront.Answer {
	if refused := wantJSON(x, "to join"); refused != nil {
		return refused
	}
	var request JoinRequest
	if err := json.Unmarshal([]byte(x.Body), &request); err != nil || request.MemberID == 0 {
		return httpfront.NewError(apierror.InvalidField, `a request to join is a JSON object with "memberId" (a decimal number in quotes), "name", "peerUrl" and "clientUrl"`)
	}
	if err := endpoint.CheckMember(request.Name, request.PeerURL, request.ClientURL); err != nil {
		return httpfront.NewError(apierror.InvalidField, err.Error())
	}
	if refused := f.refuseCaller(x, request.PeerURL, request.Name+" at "+request.PeerURL); refused != nil {
		return refused
	}
	if err := x.Sync(); err != nil {
		return httpfront.Unserved(err)
	}
	member := store.Member{ID: request.MemberID, Name: request.Name, PeerURL: request.PeerURL, ClientURL: request.ClientURL}
	status, err := x.Status()
	if err != nil {
		return httpfront.Unserved(err)
	}
	if err := actors.CheckUnderstood(request.Understood, status.Version); err != nil {
		return httpfront.HTTPError(http.StatusConflict, err.Error())
	}
	if !slices.Contains(status.Members, member) { // otherwise this is a retry
		if refused := checkReachable(member, status.Members); refused != nil {
			return refused
		}
		reply := x.Join(member, request.Understood.Commands)
		if errors.As(reply.Err, new(*raftnode.TakenError)) {
			_ = x.Sync() // this machine may not have applied yet whose it is
		}
		latest, err := x.Status()
		switch {
		case err == nil:
			status = latest
		case reply.Err == nil:
			return httpfront.Unserved(err)
		}
		if reply.Err != nil {
			return joinError(reply.Err, status.Raft.MemberID, status.Members)
		}
	}
	return httpfront.Document{Value: JoinAnswer{ClusterID: x.Machine().ClusterID, Term: status.Raft.Term, Members: status.Members}}
}

// checkReachable refuses a machine that could not reach the members, or they it, because one
// of them is at an address such as 0.0.0.0, which means another machine on every host.
// The member that is asked checks it, because it runs on one of the hosts.
func checkReachable(joining store.Member, members []store.Member) httpfront.Answer {
	nowhere := func(host string) bool { return host != "" && endpoint.Unspecified(host) }
	for _, m := range members {
		its, theirs := endpoint.HostOfURL(joining.PeerURL), endpoint.HostOfURL(m.PeerURL)
		switch {
		case nowhere(its) && !endpoint.OnThisHost(theirs):
			return httpfront.HTTPError(http.StatusConflict, fmt.Sprintf("member %s (%s) is on another host, and could not reach this machine at %s; "+
				"start it with an address that it can reach (-h, or -s)", m.Name, m.PeerURL, joining.PeerURL))
		case nowhere(theirs) && !endpoint.OnThisHost(its):
			return httpfront.HTTPError(http.StatusConflict, fmt.Sprintf("this machine could not reach member %s at %s from another host; "+
				"start that one with an address that this one can reach (-h, or -s)", m.Name, m.PeerURL))
		}
	}
	return nil
}

// joinError returns why the leader does not add a machine, for people. asked is the member
// that answers.
func joinError(err error, asked uint64, members []store.Member) httpfront.Answer {
	if errors.Is(err, raftnode.ErrRemoved) {
		return httpfront.HTTPError(http.StatusGone, "this machine was removed from the cluster; wipe its data directory (-f) and let it join again")
	}
	if errors.Is(err, raftnode.ErrVersion) { // it was raised meanwhile
		return httpfront.HTTPError(http.StatusConflict, "the version of this cluster was just raised to one that the program of this machine does not understand: start a newer program")
	}
	if errors.Is(err, raftnode.ErrReservedID) {
		return httpfront.NewError(apierror.InvalidField, err.Error())
	}
	taken, ok := errors.AsType[*raftnode.TakenError](err)
	if !ok {
		return httpfront.Unserved(err)
	}
	by, own := memberOf(taken.By, members), memberOf(asked, members)
	switch {
	case by.PeerURL == "":
		return httpfront.HTTPError(http.StatusConflict, fmt.Sprintf("%v, and this machine does not know that member yet: retry", taken))
	case by.ClientURL == "":
		return httpfront.HTTPError(http.StatusConflict, fmt.Sprintf("member %s was added for this peer URL, and was not started yet: start this machine with "+
			"--initial-cluster and --initial-cluster-state existing, and not with -C", actors.MemberID(by.ID)))
	}
	has := fmt.Sprintf("%v: member %s has the name %s and the addresses %s and %s",
		taken.Err, actors.MemberID(by.ID), by.Name, by.PeerURL, by.ClientURL)
	if by.ID == own.ID {
		return httpfront.HTTPError(http.StatusConflict, has+", and it is the one that answers this: start yours with a name (-n) and addresses (-s, -c) of its own")
	}
	// By the URL of the member that answers: the other URL may be that of the joining machine.
	return httpfront.HTTPError(http.StatusConflict, fmt.Sprintf("%s. If this is that machine and it has lost its data, "+
		"remove it first (curl -X DELETE %s/v2/members/%s), then start it again", has, own.ClientURL, actors.MemberID(by.ID)))
}

// memberOf returns the member with an ID, which may have been removed since.
func memberOf(id uint64, members []store.Member) store.Member {
	for _, m := range members {
		if m.ID == id {
			return m
		}
	}
	return store.Member{ID: id}
}

// misdirected tells a machine that has dialled the client port which one to dial.
func misdirected(x *httpfront.Exchange) httpfront.Answer {
	status, err := x.Status()
	if err != nil {
		return httpfront.Unserved(err)
	}
	own := memberOf(status.Raft.MemberID, status.Members)
	return httpfront.HTTPError(http.StatusMisdirectedRequest, "this is the client port; other machines reach this one at "+own.PeerURL+", so give that to -C")
}
