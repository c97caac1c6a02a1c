package peerfront

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"etcd/endpoint"
	"etcd/store"
	"etcd/version"
)

const joinPath = "/join"

// JoinRequest asks a member to add a machine to its cluster. It is idempotent: a retry with
// the same ID gets the same answer.
type JoinRequest struct {
	MemberID  uint64 `json:"memberId,string"`
	Name      string `json:"name"`
	PeerURL   string `json:"peerUrl"`
	ClientURL string `json:"clientUrl"`
	// Understood is the versions that the machine's program understands.
	Understood version.Understood `json:"understood"`
}

// JoinAnswer is what a machine needs to know to become a member.
type JoinAnswer struct {
	ClusterID uint64         `json:"clusterId,string"`
	Term      uint64         `json:"term"`
	Members   []store.Member `json:"members"`
}

var (
	// ErrRefused says that the cluster refuses this machine: a retry does not help, here or
	// at another member.
	ErrRefused = errors.New("the cluster refuses this machine")
	// ErrUncertified says that the certificate of this machine does not name its address, for
	// the member that was asked or any other. Whether the machine is a member already was not
	// checked.
	ErrUncertified = errors.New("the cluster refuses the certificate of this machine")
	// ErrNoMember says that the address is not that of a member's peer port: a retry there
	// does not help.
	ErrNoMember = errors.New("cannot be joined")
)

// joinVia asks the member at addr (host:port of its peer port), over TLS if that is
// what the cluster speaks.
func (s Seeds) joinVia(ctx context.Context, addr string, request JoinRequest) (*JoinAnswer, error) {
	status, data, err := s.Dial.post(ctx, endpoint.Scheme(request.PeerURL)+"://"+addr+joinPath, request)
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, refused(addr, status, data)
	}
	answer := &JoinAnswer{}
	if err := json.Unmarshal(data, answer); err != nil {
		return nil, fmt.Errorf("%s %w: its answer is malformed: %w", addr, ErrNoMember, err)
	}
	// Members that an earlier version has added could not be reached either.
	answer.Members = slices.DeleteFunc(answer.Members, func(m store.Member) bool {
		return endpoint.CheckListed(m.Name, m.PeerURL, m.ClientURL) != nil
	})
	return answer, nil
}
