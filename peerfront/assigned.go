package peerfront

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"etcd/actors"
	"etcd/apierror"
	"etcd/endpoint"
	"etcd/httpfront"
	"etcd/store"
	"etcd/transport"
)

// assignedPath is where a machine that was added to the cluster before its first start learns the
// ID it was given, by its peer URL.
const assignedPath = "/assigned"

type assignedRequest struct {
	PeerURL string `json:"peerUrl"`
}

type assignedAnswer struct {
	MemberID  uint64 `json:"memberId,string"`
	HasRun    bool   `json:"hasRun,omitempty"` // that it was started before
	ClientURL string `json:"clientUrl"`        // of the one that answers
}

// ErrNotAdded says that no member of the cluster has the peer URL of this machine.
var ErrNotAdded = errors.New("no member of the cluster has this peer URL")

// assigned answers which member has a peer URL.
func (f *front) assigned(x *httpfront.Exchange) httpfront.Answer {
	if refused := wantJSON(x, "for an ID"); refused != nil {
		return refused
	}
	var request assignedRequest
	if err := json.Unmarshal([]byte(x.Body), &request); err != nil || endpoint.CheckURL(request.PeerURL) != nil {
		return httpfront.NewError(apierror.InvalidField, `this is a JSON object with "peerUrl"`)
	}
	if refused := f.refuseCaller(x, request.PeerURL, request.PeerURL); refused != nil {
		return refused
	}
	if err := x.Sync(); err != nil {
		return httpfront.Unserved(err)
	}
	status, err := x.Status()
	if err != nil {
		return httpfront.Unserved(err)
	}
	own := memberOf(status.Raft.MemberID, status.Members).ClientURL
	at := slices.IndexFunc(status.Members, func(m store.Member) bool { return m.PeerURL == request.PeerURL })
	if at < 0 {
		return httpfront.HTTPError(http.StatusConflict, fmt.Sprintf("%v: add it first "+
			`(curl %s/v2/members -H "Content-Type: application/json" -d '{"peerURLs":["%s"]}')`, ErrNotAdded, own, request.PeerURL))
	}
	id := status.Members[at].ID
	hasRun, _ := x.Machine().Inbox.HasRun(id)
	return httpfront.Document{Value: assignedAnswer{MemberID: id, HasRun: hasRun, ClientURL: own}}
}

// Assigned asks one seed after the other, as Join does, for the ID that this machine was given when it
// was added to the cluster. It fails with ErrBootstrapped if the member has run before, unless it is
// begun: the one that this machine has begun to be.
func (s Seeds) Assigned(ctx context.Context, peerURL string, begun uint64) (id uint64, err error) {
	err = s.untilOne(ctx, "cannot learn the ID of this machine yet", func(ctx context.Context, addr string) error {
		status, data, err := s.Dial.post(ctx, endpoint.Scheme(peerURL)+"://"+addr+assignedPath, assignedRequest{PeerURL: peerURL})
		if err != nil {
			return err
		}
		if status != http.StatusOK {
			return refused(addr, status, data)
		}
		var answer assignedAnswer
		if err := json.Unmarshal(data, &answer); err != nil || answer.MemberID == 0 {
			return fmt.Errorf("%s %w: its answer is malformed", addr, ErrNoMember)
		}
		if answer.HasRun && answer.MemberID != begun {
			return fmt.Errorf("%w: member %s %w, and here is no data of it. If its data is in another directory, give that one (-d, --data-dir). If its data is lost, %s",
				ErrRefused, actors.MemberID(answer.MemberID), ErrBootstrapped, replace(answer.MemberID, peerURL, answer.ClientURL))
		}
		id = answer.MemberID
		return nil
	})
	return id, err
}

// refused returns why a seed has refused a request: the error tells whether to retry it, and where.
func refused(addr string, status int, answer []byte) error {
	code, reason := refusal(status, answer)
	err := fmt.Errorf("%s answers %d: %s", addr, code, reason)
	switch {
	case status >= http.StatusInternalServerError:
		return err
	case code == transport.StatusUncertified:
		return fmt.Errorf("%w: %w", ErrUncertified, err)
	case code == http.StatusConflict, code == http.StatusGone, code == apierror.MaxMachines, code == apierror.InvalidField:
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return fmt.Errorf("%s %w: it answers %d: %s", addr, ErrNoMember, status, reason)
}
