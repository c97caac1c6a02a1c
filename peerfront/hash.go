package peerfront

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"etcd/endpoint"
	"etcd/httpfront"
	"etcd/store"
)

// hashCache computes the hash of the state for one request at a time, since it reads all of it.
// Requests that arrive meanwhile wait for it, and get the same hash if nothing was written.
type hashCache struct {
	lock  chan struct{} // holds one while a request computes, which owns the other fields
	index uint64
	sum   string // of the state after index; empty: none was computed
}

// stateHash answers the hash of the current state, and the index up to which it was applied.
// Machines that have applied the same entries answer the same.
func (f *front) stateHash(x *httpfront.Exchange) httpfront.Answer {
	h := &f.hashes
	wait := time.NewTimer(time.Until(x.Deadline))
	defer wait.Stop()
	select {
	case h.lock <- struct{}{}:
		defer func() { <-h.lock }()
	case <-wait.C:
		return httpfront.HTTPError(http.StatusServiceUnavailable, "the hash of a large state is being computed for other requests; retry")
	}
	state, err := x.Freeze()
	if err != nil {
		return httpfront.Unserved(err)
	}
	if h.sum == "" || h.index != state.Index() {
		hash := sha256.New()
		if _, err := state.WriteTo(hash); err != nil {
			panic(err) // writing to a hash never fails
		}
		h.index, h.sum = state.Index(), hex.EncodeToString(hash.Sum(nil))
	}
	return httpfront.Document{Value: struct {
		Index  uint64 `json:"index"`
		SHA256 string `json:"sha256"`
	}{h.index, h.sum}}
}

// fromMembersHost restricts a handler to clients on this host or on that of another member.
// Where machines are verified by certificates, membersOnly has checked them instead.
func (f *front) fromMembersHost(h httpfront.Handler) httpfront.Handler {
	return func(x *httpfront.Exchange) httpfront.Answer {
		if f.caller(x).certified() == nil && !f.isMembersHost(x.Conn().RemoteAddr(), x.Machine().Inbox.Members()) {
			return httpfront.HTTPError(http.StatusForbidden,
				"this is for the machines of the cluster: ask on the host of this machine, or on that of another member")
		}
		return h(x)
	}
}

func (f *front) isMembersHost(remote net.Addr, members []store.Member) bool {
	addr, err := netip.ParseAddrPort(remote.String())
	if err != nil {
		return false
	}
	ip := addr.Addr().Unmap().WithZone("")
	if endpoint.OnThisHost(ip.String()) {
		return true
	}
	var hosts []string
	for _, m := range members {
		if host := endpoint.HostOfURL(m.PeerURL); host != "" {
			hosts = append(hosts, host)
		}
	}
	return slices.Contains(f.memberIPs.resolve(hosts), ip)
}

// Limits of resolving the hosts of members, so that refused clients cannot make this machine
// query a name server all the time.
const (
	lookupTimeout = 2 * time.Second
	lookupTTL     = 10 * time.Second
)

// memberIPs caches the addresses of the members' hosts.
type memberIPs struct {
	lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	now    func() time.Time

	mu      sync.Mutex
	hosts   []string
	ips     []netip.Addr // of these
	expires time.Time
}

// resolve returns the addresses of hosts, which may be addresses themselves. A name that is not
// resolved in time has none.
func (m *memberIPs) resolve(hosts []string) []netip.Addr {
	m.mu.Lock()
	defer m.mu.Unlock()
	if slices.Equal(hosts, m.hosts) && m.now().Before(m.expires) {
		return m.ips
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	m.hosts, m.ips = hosts, nil
	for _, host := range hosts {
		if ip, err := netip.ParseAddr(host); err == nil {
			m.ips = append(m.ips, ip.Unmap().WithZone(""))
			continue
		}
		found, _ := m.lookup(ctx, host) // a member that does not resolve cannot be told from a stranger
		for _, ip := range found {
			m.ips = append(m.ips, ip.Unmap().WithZone(""))
		}
	}
	m.expires = m.now().Add(lookupTTL)
	return m.ips
}
