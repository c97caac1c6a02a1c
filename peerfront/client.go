package peerfront

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"

	"etcd/apierror"
	"etcd/endpoint"
	"etcd/httpfront"
	"etcd/store"
	"etcd/transport"
	"etcd/version"
)

const (
	joinPath = "/join"
	// maxJoinAnswer bounds the answer to a request to join.
	maxJoinAnswer = 1 << 20
	// maxReason bounds how much of the reason for a refusal is quoted.
	maxReason = 1 << 10
)

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
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint.Scheme(request.PeerURL)+"://"+addr+joinPath, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", httpfront.TypeJSON)
	connect := func(ctx context.Context, _, addr string) (net.Conn, error) { return s.Dial(ctx, addr) }
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
		refusal := apierror.Error{Message: strings.TrimSpace(string(data))}
		_ = json.Unmarshal(data, &refusal) // otherwise the text says what it says
		reason := strings.TrimSpace(refusal.Message + " " + refusal.Cause)
		reason = reason[:min(len(reason), maxReason)]
		err := fmt.Errorf("%s answers %d: %s", addr, cmp.Or(refusal.Code, resp.StatusCode), reason)
		switch {
		case resp.StatusCode >= http.StatusInternalServerError:
			return nil, err
		case refusal.Code == transport.StatusUncertified:
			return nil, fmt.Errorf("%w: %w", ErrUncertified, err)
		case refusal.Code == http.StatusConflict, refusal.Code == http.StatusGone, refusal.Code == apierror.MaxMachines, refusal.Code == apierror.InvalidField:
			return nil, fmt.Errorf("%w: %w", ErrRefused, err)
		}
		return nil, fmt.Errorf("%s %w: it answers %d: %s", addr, ErrNoMember, resp.StatusCode, reason)
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
