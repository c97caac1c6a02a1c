package e2e

import (
	"encoding/json"
	"testing"
)

// leaderStats is what /v1/stats/leader answers. Latencies are in milliseconds.
type leaderStats struct {
	Leader    string `json:"leader"`
	Followers map[string]struct {
		Latency struct {
			Current           float64 `json:"current"`
			Average           float64 `json:"average"`
			StandardDeviation float64 `json:"standardDeviation"`
			Minimum           float64 `json:"minimum"`
			Maximum           float64 `json:"maximum"`
		} `json:"latency"`
		Counts struct {
			Fail    uint64 `json:"fail"`
			Success uint64 `json:"success"`
		} `json:"counts"`
	} `json:"followers"`
}

func (s *server) leaderStats() (stats leaderStats) {
	s.t.Helper()
	answer := s.do(get("/v1/stats/leader"))
	if err := json.Unmarshal([]byte(answer.body), &stats); err != nil || answer.status != 200 {
		s.t.Fatalf("%d %s: %v", answer.status, answer.body, err)
	}
	return stats
}

// TestLeaderStats: the leader reports the latencies and failures of its followers; the others
// report who leads.
func TestLeaderStats(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3, "-heartbeat", "20ms", "-election", "200ms")
	leader := c.leader()
	followers := c.others(leader)
	for range 20 {
		leader.event(post("/v1/keys/k", "value", "x"))
	}
	waitUntil(t, "both followers have answered 20 appends", func() bool {
		stats := leader.leaderStats()
		for _, f := range followers {
			s, ok := stats.Followers[f.name]
			if !ok || len(stats.Followers) != 2 || stats.Leader != leader.name {
				t.Fatalf("%+v", stats)
			}
			if l := s.Latency; s.Counts.Success > 0 && (l.Minimum <= 0 || l.Current < l.Minimum || l.Average < l.Minimum ||
				l.Maximum < l.Current || l.Maximum < l.Average || l.StandardDeviation > l.Maximum) {
				t.Fatalf("%s: %+v", f.name, s)
			}
			if s.Counts.Success < 20 {
				return false
			}
		}
		return true
	})
	if stats := followers[0].leaderStats(); stats.Leader != leader.name || len(stats.Followers) != 0 {
		t.Errorf("a follower answers %+v", stats)
	}

	before := leader.leaderStats().Followers[followers[0].name].Counts.Fail
	followers[0].kill()
	waitUntil(t, "the one that was killed fails", func() bool {
		leader.event(post("/v1/keys/k", "value", "x"))
		return leader.leaderStats().Followers[followers[0].name].Counts.Fail > before
	})
}
