package transport

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"

	"github.com/valyala/fasthttp"

	"etcd/apierror"
	"etcd/endpoint"
)

// PresencePath is where a machine tells which member it is, with GET, to those that know the
// ID of its cluster.
const PresencePath = "/raft/member"

// ErrNoMember is returned when whatever answers is no machine of a cluster, or not its peer
// port.
var ErrNoMember = errors.New("this is no machine's address for other machines (-s)")

// presenceRefusals are the statuses of machines that do not tell who they are: one of another
// cluster, one that was asked at its client port, and [StatusUncertified].
var presenceRefusals = []int{http.StatusPreconditionFailed, http.StatusMisdirectedRequest, StatusUncertified}

// Presence tells which member a machine is, and where it knows others to be.
type Presence struct {
	Member uint64 `json:"memberId,string"`
	// Dialled is set if the process has dialled the one that asks, with the token in the
	// question.
	Dialled bool    `json:"dialled,omitempty"`
	Others  []Place `json:"others"`
}

// maxOthers bounds the other members that a machine tells of.
const maxOthers = 200

// Place is where a member listens for other machines, host:port.
type Place struct {
	Member uint64 `json:"memberId,string"`
	Addr   string `json:"addr"`
	// Told is set if this is known only from the member itself, or from a member that is
	// itself known in no better way.
	Told bool `json:"told,omitempty"`
}

// Ask asks the machine that listens at addr which member of the cluster of cfg it is, and,
// unless token is empty, whether it has dialled the machine of cfg with that token. It takes
// [Config.Dead] at most. The error is a *RefusedError from a machine of another cluster, from
// a client port, and from a machine of this cluster that does not take this one for a machine;
// ErrNoMember from anything else.
func Ask(ctx context.Context, cfg Config, addr, token string) (Presence, error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.Dead)
	defer cancel()
	raw, err := cfg.dial(ctx, addr)
	if err != nil {
		return Presence{}, err
	}
	defer raw.Close()
	defer context.AfterFunc(ctx, func() { _ = raw.Close() })() // it is closed anyway
	c := newTimedConn(raw, cfg.Dead)
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s: %s\r\n%s: %x\r\n%s: %s\r\n%s: %x\r\n%s: %s\r\n\r\n",
		PresencePath, addr, headerProtocol, Protocol, headerCluster, cfg.ClusterID, headerAddr, cfg.Addr,
		headerFrom, cfg.MemberID, headerToken, token); err != nil {
		return Presence{}, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(io.LimitReader(c, maxAnswer)), nil)
	if err != nil {
		return Presence{}, noEOF(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return Presence{}, noEOF(err)
	}
	var p Presence
	var e apierror.Error
	switch {
	case slices.Contains(presenceRefusals, resp.StatusCode) && json.Unmarshal(body, &e) == nil:
		return Presence{}, &RefusedError{resp.StatusCode, legible(e.Cause)}
	case resp.StatusCode != http.StatusOK || json.Unmarshal(body, &p) != nil || p.Member == 0:
		return Presence{}, fmt.Errorf("%w: it answers %d", ErrNoMember, resp.StatusCode)
	}
	for _, other := range p.Others {
		if err := endpoint.CheckAddress(other.Addr); err != nil {
			return Presence{}, fmt.Errorf("%w: it says of another one where it is: %w", ErrNoMember, err)
		}
	}
	p.Others = p.Others[:min(len(p.Others), maxOthers)]
	return p, nil
}

// Presence is the handler for GET on [PresencePath]. admit decides about a caller that claims
// to be at addr, host:port, or is empty if it claims nothing. others is what this machine knows,
// and trusted returns the addresses of a member that are known not only from itself.
func (r *Receiver) Presence(ctx *fasthttp.RequestCtx, admit func(addr string) error, others []Place, trusted func(member uint64) []string) {
	ctx.SetContentType("application/json")
	ctx.SetConnectionClose()
	if cluster, err := strconv.ParseUint(string(ctx.Request.Header.Peek(headerCluster)), 16, 64); err != nil || cluster != r.cfg.ClusterID {
		// Without the ID of this one: a caller that does not know it must not learn it here.
		ctx.SetStatusCode(http.StatusPreconditionFailed)
		ctx.Response.SetBodyRaw(newErrorBody(http.StatusPreconditionFailed, "this is a machine of another cluster"))
		return
	}
	said := string(ctx.Request.Header.Peek(headerAddr))
	if err := admit(said); err != nil {
		ctx.SetStatusCode(StatusUncertified)
		ctx.Response.SetBodyRaw(newErrorBody(StatusUncertified, err.Error()))
		return
	}
	p := Presence{Member: r.cfg.MemberID, Others: others[:min(len(others), maxOthers)]}
	if from, err := strconv.ParseUint(string(ctx.Request.Header.Peek(headerFrom)), 16, 64); err == nil {
		p.Dialled = r.cfg.Dialled(from, append(trusted(from), said), string(ctx.Request.Header.Peek(headerToken)))
	}
	body, err := json.Marshal(p)
	if err != nil {
		panic(err) // integers and strings always marshal
	}
	ctx.Response.SetBodyRaw(body)
}
