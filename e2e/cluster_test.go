package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// fastElections are flags for clusters that lose their leaders often.
var fastElections = []string{"-heartbeat", "20ms", "-election", "200ms", "-request-timeout", "1s"}

// cluster is a group of servers that replicate each other. Slots stay; the
// server in a slot may be replaced by a new machine.
type cluster struct {
	t       testing.TB
	args    []string // flags of every server
	members []*server
	named   int // how many names were given out
}

// startCluster starts n machines, which join through the first of them, and
// returns once all of them are voters.
func startCluster(t testing.TB, n int, args ...string) *cluster {
	t.Helper()
	c := &cluster{t: t, args: args}
	for range n {
		c.members = append(c.members, c.newMember())
	}
	c.form()
	return c
}

// newMember prepares a machine of the cluster without starting it.
func (c *cluster) newMember() *server {
	c.t.Helper()
	c.named++
	return newMachine(c.t, fmt.Sprintf("node%d", c.named), slices.Clone(c.args)...)
}

// form starts all machines for the first time, one after the other.
func (c *cluster) form() {
	c.t.Helper()
	c.members[0].start()
	for _, s := range c.members[1:] {
		s.args = append(s.args, "-C", c.members[0].peer)
		s.start()
	}
	c.waitVoters()
}

// start starts machines together, because they may need each other for a
// quorum, and waits until all of them serve.
func (c *cluster) start(members ...*server) {
	c.t.Helper()
	for _, s := range members {
		s.launch()
	}
	for _, s := range members {
		s.waitServing()
	}
}

// kill ends machines together, as a power cut would.
func (c *cluster) kill(members ...*server) {
	c.t.Helper()
	for _, s := range members {
		s.proc.signal(syscall.SIGKILL)
	}
	for _, s := range members {
		s.proc.waitExit(stopLimit)
	}
}

// addresses returns the client addresses of all slots.
func (c *cluster) addresses() []string {
	addresses := make([]string, len(c.members))
	for i, s := range c.members {
		addresses[i] = s.client
	}
	return addresses
}

// others returns all members but one.
func (c *cluster) others(s *server) []*server {
	return slices.DeleteFunc(slices.Clone(c.members), func(m *server) bool { return m == s })
}

// leader waits for a leader and returns it, as the first of the given machines
// (by default all) that answers sees it. It must be running and among them.
func (c *cluster) leader(among ...*server) *server {
	c.t.Helper()
	if len(among) == 0 {
		among = c.members
	}
	var leader *server
	waitUntil(c.t, "a leader", func() bool {
		leader = c.leaderSeenBy(among)
		return leader != nil
	})
	return leader
}

func (c *cluster) leaderSeenBy(among []*server) *server {
	for _, s := range among {
		if !s.runs() {
			continue
		}
		answer, err := exchange(s.client, get("/leader"))
		if err != nil || answer.status != 200 {
			continue
		}
		for _, m := range among {
			if m.peer == answer.body && m.runs() {
				return m
			}
		}
	}
	return nil
}

// follower returns a machine that is not the leader.
func (c *cluster) follower() *server {
	c.t.Helper()
	return c.others(c.leader())[0]
}

// clusterMember is a machine as /v2/members shows it.
type clusterMember struct {
	ID         string   `json:"id"`
	Name       string   `json:"name"`
	Learner    bool     `json:"learner"`
	PeerURLs   []string `json:"peerURLs"`
	ClientURLs []string `json:"clientURLs"`
}

// list returns the members that a server knows.
func (s *server) list() ([]clusterMember, error) {
	answer, err := exchange(s.client, get("/v2/members"))
	if err != nil {
		return nil, err
	}
	var body struct{ Members []clusterMember }
	if err := json.Unmarshal([]byte(answer.body), &body); answer.status != 200 || err != nil {
		return nil, fmt.Errorf("/v2/members: %d %s (%v)", answer.status, answer.body, err)
	}
	return body.Members, nil
}

// waitVoters returns once every machine lists exactly the machines of the
// cluster, all of them as voters.
func (c *cluster) waitVoters() {
	c.t.Helper()
	for _, s := range c.members {
		waitUntil(c.t, s.name+" sees that all machines vote", func() bool {
			list, err := s.list()
			return err == nil && len(list) == len(c.members) && !slices.ContainsFunc(list, func(m clusterMember) bool {
				return m.Learner || !slices.ContainsFunc(c.members, func(s *server) bool { return s.name == m.Name })
			})
		})
	}
}

// remove removes a machine by a request to another member and waits until it
// has ended, which it does by itself and with a message.
func (c *cluster) remove(s, ask *server) {
	c.t.Helper()
	waitUntil(c.t, s.name+" is no member any more", func() bool {
		list, err := ask.list()
		if err != nil {
			return false
		}
		i := slices.IndexFunc(list, func(m clusterMember) bool { return m.Name == s.name })
		if i < 0 {
			return true
		}
		// Without a leader the request fails and is retried; also while the leader has
		// not heard from machines that have just restarted.
		answer, err := exchange(ask.client, del("/v2/members/"+list[i].ID))
		notYet := answer.status == 500 || answer.status == 404 || strings.Contains(answer.body, "no majority")
		if err == nil && answer.status >= 300 && !notYet {
			c.t.Fatalf("DELETE /v2/members/%s: %d %s", list[i].ID, answer.status, answer.body)
		}
		return false
	})
	if code := s.proc.waitExit(waitLimit); code != 0 && code != 1 {
		c.t.Errorf("the removed machine ended with exit code %d", code)
	}
	if !strings.Contains(s.proc.stderr(), "removed") {
		c.t.Errorf("the removed machine does not say so:\n%s", s.proc.stderr())
	}
}

// stateHash is the answer of /hash on the peer port.
type stateHash struct {
	Index  uint64
	SHA256 string `json:"sha256"`
}

func (s *server) hash() (stateHash, error) {
	answer, err := exchange(s.peerListen(), get("/hash"))
	if err != nil {
		return stateHash{}, err
	}
	var h stateHash
	if err := json.Unmarshal([]byte(answer.body), &h); answer.status != 200 || err != nil || h.Index == 0 || h.SHA256 == "" {
		return stateHash{}, fmt.Errorf("/hash: %d %s (%v)", answer.status, answer.body, err)
	}
	return h, nil
}

// checkSameState waits until all machines have applied the same index, and
// checks that their states have the same hash at it.
func (c *cluster) checkSameState() {
	c.t.Helper()
	var last []string
	waitUntil(c.t, "all machines are at the same index", func() bool {
		hashes := map[uint64]string{}
		last = last[:0]
		for _, s := range c.members {
			h, err := s.hash()
			last = append(last, fmt.Sprintf("%s %d %s %v", s.name, h.Index, h.SHA256, err))
			if err != nil {
				return false
			}
			if other, ok := hashes[h.Index]; ok && other != h.SHA256 {
				c.t.Fatalf("the states at index %d differ:\n%s", h.Index, strings.Join(last, "\n"))
			}
			hashes[h.Index] = h.SHA256
		}
		return len(hashes) == 1
	})
}

// pause waits for a moment that is part of a test's schedule, or for its end.
func pause(t testing.TB, d time.Duration) {
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}
