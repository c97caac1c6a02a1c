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

	// maxAsking bounds how many machines are asked at a time whether it was they who
	// dialled, and maxAskingFor those among them that one host has given cause to ask.
	maxAsking    = 64
	maxAskingFor = 16
	// saidBurst is how many addresses are dialled at once because a host has said that a
	// member is there; then it is one in every tenth of [Config.Dead]. maxSaying bounds
	// the hosts that are told apart.
	saidBurst = 20
	maxSaying = 1000
)

// token is what only this process can say to a member that it dials at addr. That member asks
// for it where it knows this one to be: see [Confirm].
func (c *Config) token(to uint64, addr string) string {
	mac := hmac.New(sha256.New, c.Secret)
	_, _ = fmt.Fprintf(mac, "%016x %016x %016x %s", c.ClusterID, c.MemberID, to, addr) // never fails
	return hex.EncodeToString(mac.Sum(nil))[:tokenSize]
}

// Dialled says whether this process says token to a member when it dials one of addrs. Somebody
// who has had himself dialled in the place of a member, at another address, has a token that
// is worth nothing to the member.
func (c *Config) Dialled(to uint64, addrs []string, token string) bool {
	return slices.ContainsFunc(addrs, func(addr string) bool { return hmac.Equal([]byte(token), []byte(c.token(to, addr))) })
}

// Confirmation is what came of asking back.
type Confirmation struct {
	// At is the address at which the member says that it has dialled, host:port; empty if
	// it was found at none of them.
	At string
	// Denied says that the member was found, and has not dialled.
	Denied bool
}

// Confirm asks at addresses, one after the other, whether member has dialled: a member is who
// answers at its address. The first answer of the member counts, because the addresses come in
// the order in which they are believed.
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

// errBusy says that this side asks too many already.
var errBusy = errors.New("too many machines are being asked whether it was they who dialled")

// asking is a question under way, for all handshakes of one process of a member.
type asking struct {
	done   chan struct{} // closed when result is set
	result Confirmation
}

// askID is what one answer is good for.
type askID struct {
	member, nonce uint64
	token, addr   string
}

// askBack asks whether it was the member that has said h: where it is known to be, and then
// where it says it is.
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
		if !slices.Contains(known, addr) && !r.maySay(host) {
			return Presence{}, errBusy
		}
		// All of it takes no longer than the other side waits.
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

// maySay says whether one more address may be dialled because a host has named it: otherwise
// anybody could have this machine dial whatever it likes.
func (r *Receiver) maySay(host netip.Prefix) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.said.take(host, time.Since(r.started))
	return ok
}
