package httpfront

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"etcd/actors"
	"etcd/endpoint"
	"etcd/raftnode"
	"etcd/store"
	"etcd/transport"
)

// What machines ask each other over HTTP, besides the streams.

const (
	joinPath = "/join"
	// maxJoinAnswer bounds the answer to a request to join.
	maxJoinAnswer = 1 << 20
	// maxWhy bounds what is repeated of why somebody does not let a machine join.
	maxWhy = 1 << 10
)

// JoinRequest asks a member to take a machine into its cluster. A machine that asks
// again with the ID it has asked with before gets the same answer.
type JoinRequest struct {
	MemberID  uint64 `json:"memberId,string"`
	Name      string `json:"name"`
	PeerURL   string `json:"peerUrl"`
	ClientURL string `json:"clientUrl"`
}

// JoinAnswer is what a machine needs to know to take part.
type JoinAnswer struct {
	ClusterID uint64         `json:"clusterId,string"`
	Term      uint64         `json:"term"`
	Members   []store.Member `json:"members"`
}

var (
	// ErrRefused says that the cluster does not want this machine: trying again does not
	// help, here or at another member.
	ErrRefused = errors.New("the cluster refuses this machine")
	// ErrUncertified says that the certificate of this machine is not taken for one of its
	// address, by the member that was asked or any other. Whether it is a member already was
	// not looked at.
	ErrUncertified = errors.New("the cluster refuses the certificate of this machine")
	// ErrNoMember says that at this address nobody lets machines join: it is a wrong one,
	// and trying again there does not help.
	ErrNoMember = errors.New("is none that can be joined")
)

// Join asks the member at addr (host:port of its peer port), to which dial connects,
// over TLS if that is what the cluster speaks.
func Join(ctx context.Context, dial func(ctx context.Context, addr string) (net.Conn, error), addr string, ask JoinRequest) (*JoinAnswer, error) {
	body, err := json.Marshal(ask)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, scheme(ask.PeerURL)+"://"+addr+joinPath, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", TypeJSON)
	connect := func(ctx context.Context, _, addr string) (net.Conn, error) { return dial(ctx, addr) }
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       connect,
		DialTLSContext:    connect,
	}}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxJoinAnswer))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		refusal := Error{Message: strings.TrimSpace(string(data))}
		_ = json.Unmarshal(data, &refusal) // otherwise the text says what it says
		why := strings.TrimSpace(refusal.Message + " " + refusal.Cause)
		why = why[:min(len(why), maxWhy)]
		err := fmt.Errorf("%s answers %d: %s", addr, refusal.Code, why)
		switch {
		case resp.StatusCode >= http.StatusInternalServerError:
			return nil, err
		case refusal.Code == transport.StatusUncertified:
			return nil, fmt.Errorf("%w: %w", ErrUncertified, err)
		case refusal.Code == http.StatusConflict, refusal.Code == http.StatusGone, refusal.Code == CodeMaxMachines, refusal.Code == CodeInvalidField:
			return nil, fmt.Errorf("%w: %w", ErrRefused, err)
		}
		return nil, fmt.Errorf("%s %w: it answers %d: %s", addr, ErrNoMember, resp.StatusCode, why)
	}
	answer := &JoinAnswer{}
	if err := json.Unmarshal(data, answer); err != nil {
		return nil, fmt.Errorf("%s %w: it answers what makes no sense: %w", addr, ErrNoMember, err)
	}
	// Members that an earlier version has let in could not be reached either.
	answer.Members = slices.DeleteFunc(answer.Members, func(m store.Member) bool {
		return endpoint.CheckMember(m.Name, m.PeerURL, m.ClientURL) != nil
	})
	return answer, nil
}

// join takes a machine into the cluster. Any member may be asked. It has to be asked in a type
// that the form of a web page cannot have, and its script not without asking first.
func join(x *Exchange) Answer {
	mediaType, _, err := mime.ParseMediaType(string(x.Header().ContentType()))
	if err != nil || mediaType != TypeJSON {
		return HTTPError(http.StatusUnsupportedMediaType, "a machine asks to join in "+TypeJSON)
	}
	var ask JoinRequest
	if err := json.Unmarshal([]byte(x.Body), &ask); err != nil || ask.MemberID == 0 || ask.MemberID >= 1<<63 {
		return NewError(CodeInvalidField, `a machine asks to join with a JSON object that has "memberId" (a decimal number in quotes), "name", "peerUrl" and "clientUrl"`)
	}
	if err := endpoint.CheckMember(ask.Name, ask.PeerURL, ask.ClientURL); err != nil {
		return NewError(CodeInvalidField, err.Error())
	}
	if theirs, ours := scheme(ask.PeerURL), x.server.cfg.scheme(); theirs != ours {
		x.Report(refusedScheme, fmt.Errorf("%s at %s; the machines of this cluster reach each other by %s", ask.Name, ask.PeerURL, ours))
		return HTTPError(http.StatusConflict, fmt.Sprintf(
			"the machines of this cluster reach each other by %s, and this one only by %s; start it like them, with -serverCert and -serverKey or without", ours, theirs))
	}
	v := visitor{x: x}
	if certified := v.certified(); certified != nil {
		if err := certified(urlHost(ask.PeerURL)); err != nil {
			return uncertified(x, err)
		}
	}
	if err := x.Sync(); err != nil {
		return Unserved(err)
	}
	member := store.Member{ID: ask.MemberID, Name: ask.Name, PeerURL: ask.PeerURL, ClientURL: ask.ClientURL}
	status, err := x.Status()
	if err != nil {
		return Unserved(err)
	}
	if !slices.Contains(status.Members, member) { // otherwise it has asked before
		if refused := checkApart(member, status.Members); refused != nil {
			return refused
		}
		reply := x.Join(member)
		if errors.As(reply.Err, new(*raftnode.TakenError)) {
			_ = x.Sync() // by whom, this machine may not have heard yet
		}
		latest, err := x.Status()
		switch {
		case err == nil:
			status = latest
		case reply.Err == nil:
			return Unserved(err)
		}
		if reply.Err != nil {
			return refusedJoin(reply.Err, status.Raft.MemberID, status.Members)
		}
	}
	return Document{JoinAnswer{ClusterID: x.Machine().ClusterID, Term: status.Raft.Term, Members: status.Members}}
}

// checkApart refuses a machine that could not reach the members, or they it, because one
// of them is at an address such as 0.0.0.0, which means another machine on every host.
// This is up to the member that is asked, which runs on one of the hosts.
func checkApart(joining store.Member, members []store.Member) Answer {
	nowhere := func(host string) bool {
		ip := net.ParseIP(host)
		return ip != nil && ip.IsUnspecified()
	}
	for _, m := range members {
		its, theirs := urlHost(joining.PeerURL), urlHost(m.PeerURL)
		switch {
		case nowhere(its) && !OnThisHost(theirs):
			return HTTPError(http.StatusConflict, fmt.Sprintf("member %s (%s) is on another host, and could not reach this machine at %s; "+
				"start it with an address that it can reach (-h, or -s)", m.Name, m.PeerURL, joining.PeerURL))
		case nowhere(theirs) && !OnThisHost(its):
			return HTTPError(http.StatusConflict, fmt.Sprintf("this machine could not reach member %s at %s from another host; "+
				"start that one with an address that this one can reach (-h, or -s)", m.Name, m.PeerURL))
		}
	}
	return nil
}

// urlHost is the host of a URL; empty if it has none.
func urlHost(memberURL string) string {
	u, err := url.Parse(memberURL)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// refusedJoin words why the leader does not take a machine in. asked is the member that
// says so.
func refusedJoin(err error, asked uint64, members []store.Member) Answer {
	if errors.Is(err, raftnode.ErrRemoved) {
		return HTTPError(http.StatusGone, "this machine was removed from the cluster; wipe its data directory (-f) and let it join again")
	}
	taken, ok := errors.AsType[*raftnode.TakenError](err)
	if !ok {
		return Unserved(err)
	}
	by, own := memberOf(taken.By, members), memberOf(asked, members)
	if by.Name == "" {
		return HTTPError(http.StatusConflict, fmt.Sprintf("%v, and this machine does not know more of it yet: ask again", taken))
	}
	has := fmt.Sprintf("%v: member %s has the name %s and the addresses %s and %s",
		taken.Err, actors.MemberID(by.ID), by.Name, by.PeerURL, by.ClientURL)
	if by.ID == own.ID {
		return HTTPError(http.StatusConflict, has+", and it is the one that answers this: start yours with a name (-n) and addresses (-s, -c) of its own")
	}
	// By the URL of the one that answers: the other one may be the machine that asks.
	return HTTPError(http.StatusConflict, fmt.Sprintf("%s. If this is that machine and it has lost its data, "+
		"remove it first (curl -X DELETE %s/v2/members/%s), then start it again", has, own.ClientURL, actors.MemberID(by.ID)))
}

// memberOf is the member with an ID, which may have gone since.
func memberOf(id uint64, members []store.Member) store.Member {
	for _, m := range members {
		if m.ID == id {
			return m
		}
	}
	return store.Member{ID: id}
}

// misdirected tells a machine that has come to the port for clients where to go.
func misdirected(x *Exchange) Answer {
	status, err := x.Status()
	if err != nil {
		return Unserved(err)
	}
	own := memberOf(status.Raft.MemberID, status.Members)
	return HTTPError(http.StatusMisdirectedRequest, "this is the port for clients; other machines reach this one at "+own.PeerURL+", so give that to -C")
}

// scheme is that of a URL.
func scheme(url string) string {
	scheme, _, _ := strings.Cut(url, "://")
	return scheme
}

// scheme is that of the URLs of this port.
func (c *Config) scheme() string {
	if c.TLS != nil {
		return "https"
	}
	return "http"
}

func acceptStream(x *Exchange) Answer {
	v := visitor{x: x}
	x.Machine().Receiver.Stream(x.Fasthttp(), v.certified())
	v.refused()
	return nil
}

func acceptSnapshot(x *Exchange) Answer {
	m, v := x.Machine(), visitor{x: x}
	m.Receiver.Snapshot(x.Fasthttp(), v.certified(), transport.Intake{Offered: m.OfferSnapshot, Receive: m.ReceiveSnapshot})
	v.refused()
	return nil
}

func presence(x *Exchange) Answer {
	m, v := x.Machine(), visitor{x: x}
	admit := func(addr string) error { return m.Inbox.Belongs(v.certified(), addr) }
	m.Receiver.Presence(x.Fasthttp(), admit, m.Inbox.Places(), m.Inbox.Trusted)
	v.refused()
	return nil
}
