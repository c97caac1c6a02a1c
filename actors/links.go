package actors

import (
	"maps"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// links are the streams to the other members, for metrics.
type links struct {
	mu sync.Mutex
	by map[uint64]*link
}

// link is that to one member.
type link struct {
	control, bulk Stream
	roundTrip     prometheus.Histogram
}

func newLink(member uint64) *link {
	return &link{roundTrip: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "etcd_network_peer_round_trip_time_seconds", Help: "How long a ping to a peer and its answer take.",
		ConstLabels: prometheus.Labels{"To": MemberID(member)}, Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16),
	})}
}

func (ls *links) add(member uint64, l *link) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.by == nil {
		ls.by = make(map[uint64]*link)
	}
	ls.by[member] = l
}

func (ls *links) remove(member uint64) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	delete(ls.by, member)
}

// each calls f for all links, in the order of members.
func (ls *links) each(f func(member uint64, l *link)) {
	ls.mu.Lock()
	by := maps.Clone(ls.by)
	ls.mu.Unlock()
	for _, member := range slices.Sorted(maps.Keys(by)) {
		f(member, by[member])
	}
}
