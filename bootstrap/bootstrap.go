package bootstrap

import (
	"cmp"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/raft/v3"

	"etcd/endpoint"
	"etcd/store"
)

// Cluster is what follows from a list of founders and a token.
type Cluster struct {
	ID      uint64
	Token   string
	Members []store.Member // in the order of their IDs, without client URLs; one at least
}

// maxList bounds a list, in bytes.
const maxList = 64 << 10

// Parse reads a list of founders. The error says what is wrong with which of them, and quotes
// nothing but what a terminal shows as it is.
func Parse(list, token string) (Cluster, error) {
	if len(list) > maxList {
		return Cluster{}, fmt.Errorf("it is longer than %d bytes", maxList)
	}
	c := Cluster{Token: token}
	for entry := range strings.SplitSeq(list, ",") {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		name, url, found := strings.Cut(entry, "=")
		if !found {
			return Cluster{}, fmt.Errorf("%q is not NAME=URL, such as infra0=http://10.0.0.1:2380", entry)
		}
		if err := endpoint.CheckName(name); err != nil {
			return Cluster{}, fmt.Errorf("%q: not a valid name: %w", entry, err)
		}
		if err := endpoint.CheckURL(url); err != nil {
			return Cluster{}, fmt.Errorf("%q: not a valid peer URL: %w", entry, err)
		}
		c.Members = append(c.Members, store.Member{ID: MemberID(url, token), Name: name, PeerURL: url})
	}
	switch {
	case len(c.Members) == 0:
		return Cluster{}, errors.New("it names no machine; want NAME=URL, comma separated")
	case len(c.Members) > store.MaxMembers:
		return Cluster{}, fmt.Errorf("it names %d machines, and a cluster has at most %d", len(c.Members), store.MaxMembers)
	}
	if err := c.check(); err != nil {
		return Cluster{}, err
	}
	slices.SortFunc(c.Members, func(a, b store.Member) int { return cmp.Compare(a.ID, b.ID) })
	c.ID = clusterID(c.Members)
	return c, nil
}

// check refuses a list in which two machines could be taken for one.
func (c Cluster) check() error {
	names, urls, ids := map[string]string{}, map[string]string{}, map[uint64]string{}
	for _, m := range c.Members {
		if url, taken := names[m.Name]; taken {
			return fmt.Errorf("the name %s is given to %s and to %s: each machine has one name and one peer URL", m.Name, url, m.PeerURL)
		}
		if name, taken := urls[m.PeerURL]; taken {
			return fmt.Errorf("%s and %s have the same peer URL %s", name, m.Name, m.PeerURL)
		}
		if name, taken := ids[m.ID]; taken || m.ID == raft.None || m.ID >= raft.LocalApplyThread {
			return fmt.Errorf("the ID that follows for %s is not usable (%016x %s): choose another token", m.Name, m.ID, name)
		}
		if scheme := endpoint.Scheme(m.PeerURL); scheme != endpoint.Scheme(c.Members[0].PeerURL) {
			return fmt.Errorf("%s is reached by %s and %s by another scheme: all machines of a cluster have the same", m.Name, scheme, c.Members[0].Name)
		}
		names[m.Name], urls[m.PeerURL], ids[m.ID] = m.PeerURL, m.Name, m.Name
	}
	return nil
}

// MemberID returns the ID of the founder with a peer URL. It is the start of the SHA-1 of the URL
// and the token, as in etcd (server/etcdserver/api/membership, NewMember).
func MemberID(peerURL, token string) uint64 {
	hash := sha1.Sum([]byte(peerURL + token))
	return binary.BigEndian.Uint64(hash[:])
}

// clusterID returns the ID of the cluster of members that are sorted by their IDs, from which it
// is made as in etcd (genID).
func clusterID(members []store.Member) uint64 {
	var ids []byte
	for _, m := range members {
		ids = binary.BigEndian.AppendUint64(ids, m.ID)
	}
	hash := sha1.Sum(ids)
	return binary.BigEndian.Uint64(hash[:])
}

// Named returns the member with a name.
func (c Cluster) Named(name string) (store.Member, bool) {
	return c.find(func(m store.Member) bool { return m.Name == name })
}

// At returns the member with a peer URL.
func (c Cluster) At(peerURL string) (store.Member, bool) {
	return c.find(func(m store.Member) bool { return m.PeerURL == peerURL })
}

func (c Cluster) find(is func(store.Member) bool) (store.Member, bool) {
	at := slices.IndexFunc(c.Members, is)
	if at < 0 {
		return store.Member{}, false
	}
	return c.Members[at], true
}

// PeerURLs returns those of all members.
func (c Cluster) PeerURLs() []string {
	urls := make([]string, len(c.Members))
	for i, m := range c.Members {
		urls[i] = m.PeerURL
	}
	return urls
}

// String is the list, in the order of the names.
func (c Cluster) String() string { return Format(c.Members) }

// Format writes a list of members, in the order of their names. Those that have not told their name
// yet are their URL only.
func Format(members []store.Member) string {
	entries := make([]string, len(members))
	for i, m := range members {
		if entries[i] = m.PeerURL; m.Name != "" {
			entries[i] = m.Name + "=" + m.PeerURL
		}
	}
	slices.Sort(entries)
	return strings.Join(entries, ",")
}
