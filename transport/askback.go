package transport

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"etcd/endpoint"
)

const (
	// tokenSize is the length of a token in a handshake, in hexadecimal digits.
	tokenSize = 32

	// maxAsking bounds the members that are being asked back at a time, and maxAskingFor
	// those among them because of the handshakes of one host.
	maxAsking    = 64
	maxAskingFor = 16
	// claimBurst is how many addresses are dialled at once because a host claims that a
	// member is there; then it is one in every tenth of [Config.Dead]. maxClaimants bounds
	// the hosts that are told apart.
	claimBurst   = 20
	maxClaimants = 1000
)

// token authenticates this process to a member that it dials at addr: nobody else can make it.
// The member asks this one back about it, at its known address: see [Confirm].
func (c *Config) token(to uint64, addr string) string {
	mac := hmac.New(sha256.New, c.Secret)
	_, _ = fmt.Fprintf(mac, "%016x %016x %016x %s", c.ClusterID, c.MemberID, to, addr) // never fails
	return hex.EncodeToString(mac.Sum(nil))[:tokenSize]
}

// Dialled reports whether token is what this process sends to a member when it dials one of
// addrs. Whoever got this process to dial another address, in place of the member, has a token
// that is worth nothing to the member.
func (c *Config) Dialled(to uint64, addrs []string, token string) bool {
	return slices.ContainsFunc(addrs, func(addr string) bool { return hmac.Equal([]byte(token), []byte(c.token(to, addr))) })
}

// Confirmation is the result of asking back.
type Confirmation struct {
	// At is the address at which the member confirmed that it has dialled, host:port; empty
	// if it was found at none of them.
	At string
	// Denied is set if the member was found and denied that it has dialled.
	Denied bool
}

// Confirm asks at one address after the other whether member has dialled: a member is the
// machine that answers at its address. The member's first answer counts, because the addresses
// come in the order in which they are trusted.
func Confirm(member uint64, addrs []string, ask func(addr string) (Presence, error)) Confirmation {
	for _, addr := range addrs {
		if p, err := ask(addr); err == nil && p.Member == member {
			if p.Dialled {
				return Confirmation{At: addr}
			}
			return Confirmation{Denied: true}
		}
	}
	return Confirmation{}
}

// errBusy refuses a handshake while too many members are being asked back.
var errBusy = errors.New("too many machines are being asked whether it was they who dialled")

// asking is a question in flight, shared by all handshakes of one process of a member.
type asking struct {
	done   chan struct{} // closed when result is set
	result Confirmation
}

// askID identifies the handshakes that share an answer.
type askID struct {
	member, nonce uint64
	token, addr   string
}

// askBack asks the member itself whether it has sent h: at its known addresses, and then at the
// one that h claims.
func (r *Receiver) askBack(ctx context.Context, by net.Addr, h Hello, known []string) (Confirmation, error) {
	id := askID{h.From, h.Nonce, h.Token, h.Addr}
	host := endpoint.HostOf(by)
	r.mu.Lock()
	under, ok := r.asking[id]
	if !ok {
		if len(r.asking) >= maxAsking || r.askingFor[host] >= maxAskingFor {
			r.mu.Unlock()
			return Confirmation{}, errBusy
		}
		under = &asking{done: make(chan struct{})}
		r.asking[id] = under
		r.askingFor[host]++
	}
	r.mu.Unlock()
	if ok {
		<-under.done
		return under.result, nil
	}
	addrs := slices.Clone(known)
	if !slices.Contains(addrs, h.Addr) {
		addrs = append(addrs, h.Addr)
	}
	under.result = Confirm(h.From, addrs, func(addr string) (Presence, error) {
		if !slices.Contains(known, addr) && !r.mayDialClaim(host) {
			return Presence{}, errBusy
		}
		// All addresses together take no longer than the dialer waits.
		asking, cancel := context.WithTimeout(ctx, r.cfg.Dead/time.Duration(len(addrs)))
		defer cancel()
		return r.ask(asking, addr, h.Token)
	})
	r.mu.Lock()
	delete(r.asking, id)
	if r.askingFor[host]--; r.askingFor[host] == 0 {
		delete(r.askingFor, host)
	}
	r.mu.Unlock()
	close(under.done)
	return under.result, nil
}

// mayDialClaim reports whether one more address may be dialled because a host claims it: without
// a limit, anybody could have this machine dial whatever they like.
func (r *Receiver) mayDialClaim(host netip.Prefix) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.claims.take(host, time.Since(r.started))
	return ok
}
