package e2e

import (
	"slices"
	"testing"
	"time"
)

// partitionElection is the election timeout of TestPartitions.
const partitionElection = 300 * time.Millisecond

// startPartitionable starts a cluster whose peer connections go through
// proxies that can disturb them.
func startPartitionable(t testing.TB, n int, args ...string) (*cluster, *network) {
	t.Helper()
	c := &cluster{t: t, args: args}
	for range n {
		c.members = append(c.members, c.newMember())
	}
	net := newNetwork(c)
	c.form()
	net.learn(c)
	c.waitVoters()
	return c, net
}

// slot returns the slot of a server in the cluster.
func (c *cluster) slot(s *server) int { return slices.Index(c.members, s) }

// TestPartitions disturbs the network between three machines in many ways
// while clients use all of them, and checks that the answers are linearizable,
// that two connected machines go on, and that all three serve when the network
// is healed.
func TestPartitions(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed of the clients: %d", seed)
	c, net := startPartitionable(t, 3, "-heartbeat", "30ms", "-election", partitionElection.String(),
		"-request-timeout", "1s", "-snapshot-count", "500")
	w, txns := startWorkload(t, 6, seed, c.addresses()), startTransactions(t, 4, seed, c.addresses())

	held, cut, good := link{held: true}, link{cut: true}, link{}
	tests := []struct {
		name     string
		follower bool // the disturbed machine is a follower, not the leader
		out, in  link
	}{
		{name: "the leader is cut off", out: cut, in: cut},
		{name: "packets of and to the leader are lost", out: held, in: held},
		{name: "the leader hears and is not heard", out: held, in: good},
		{name: "the leader is heard and does not hear", out: good, in: held},
		{name: "a follower is cut off", follower: true, out: cut, in: cut},
		{name: "a follower hears and is not heard", follower: true, out: held, in: good},
		{name: "a follower is heard and does not hear", follower: true, out: good, in: held},
		{name: "the way to the leader is slow", out: link{delay: 40 * time.Millisecond}, in: link{delay: 20 * time.Millisecond}},
	}
	for _, test := range tests {
		leader := c.leader()
		target := leader
		if test.follower {
			target = c.others(leader)[0]
		}
		before := w.done()
		net.setAll(c.slot(target), test.out, test.in)
		begin := time.Now()
		// The two others must go on, whatever the third does.
		for _, s := range c.others(target) {
			waitUntil(t, test.name+": "+s.name+" accepts writes", func() bool { return s.accepts() })
		}
		went := time.Since(begin)
		early := w.done() - before
		// Clients may have to wait for a request that went to a former leader to
		// time out.
		waitUntil(t, test.name+": clients get things done", func() bool { return w.done() > before })
		pause(t, 2*partitionElection)
		during := w.done() - before
		net.heal()
		healed := time.Now()
		for _, s := range c.members {
			waitUntil(t, test.name+": "+s.name+" accepts writes after healing", func() bool { return s.accepts() })
		}
		recovery := time.Since(healed)
		t.Logf("%s: the others went on after %s; %d operations done until then and %d in all; all serve %s after healing (%.1f election timeouts)",
			test.name, went.Round(time.Millisecond), early, during, recovery.Round(time.Millisecond),
			float64(recovery)/float64(partitionElection))
	}
	w.check(c.members)
	txns.check()
	c.checkSameState()
}

// accepts reports whether a server acknowledges a write and a linearizable read.
func (s *server) accepts() bool {
	for _, q := range []request{post("/v1/keys/accepts", "value", "1"), get("/v1/keys/accepts")} {
		if answer, err := exchange(s.client, q); err != nil || answer.status != 200 {
			return false
		}
	}
	return true
}

// TestWithoutQuorum checks the answers of a machine that cannot reach a
// quorum: local reads at once, all else an error that says whether the outcome
// is unknown, and nothing that was refused is done later.
func TestWithoutQuorum(t *testing.T) {
	t.Parallel()
	const timeout = time.Second
	c, net := startPartitionable(t, 3, "-heartbeat", "30ms", "-election", "300ms", "-request-timeout", timeout.String())
	c.members[0].event(post("/v1/keys/a", "value", "before"))
	for _, role := range []string{"follower", "leader"} {
		leader := c.leader()
		alone := leader
		if role == "follower" {
			alone = c.others(leader)[0]
		}
		rest := c.others(alone)
		last := alone.event(get("/v1/keys/a")).Value // the machine is up to date
		net.setAll(c.slot(alone), link{cut: true}, link{cut: true})

		// Sent while the leader does not know yet that it is alone, or that
		// the follower has lost its leader.
		early := alone.background(post("/v1/keys/"+role+"-early", "value", "1"))
		if e := alone.event(get("/v1/keys/a?quorum=false")); e.Value != last {
			t.Errorf("%s: local read: %+v", role, e)
		}
		var fresh event
		waitUntil(t, "the others go on", func() bool {
			answer, err := exchange(rest[0].client, post("/v1/keys/a", "value", role+" alone"))
			if err != nil || answer.status != 200 {
				return false
			}
			fresh, err = answer.event()
			return err == nil
		})

		answer := early.wait(t)
		refusal, err := answer.event()
		if e := refusal; err != nil || answer.status != 500 || e.ErrorCode != 300 && e.ErrorCode != 301 {
			t.Errorf("%s: a write just before the machine knew: %d %s", role, answer.status, answer.body)
		}
		for _, q := range []request{get("/v1/keys/a"), post("/v1/keys/"+role+"-late", "value", "1")} {
			begin := time.Now()
			answer := alone.do(q)
			took := time.Since(begin)
			if e, err := answer.event(); err != nil || answer.status != 500 || e.ErrorCode != 301 {
				t.Errorf("%s: %s without a leader: %d %s", role, q.method, answer.status, answer.body)
			}
			if took < timeout*3/4 {
				t.Errorf("%s: %s without a leader is given up after %s, the request timeout is %s", role, q.method, took, timeout)
			}
		}
		net.heal()
		waitUntil(t, "the machine is back", alone.accepts)
		if e := alone.event(get("/v1/keys/a")); e.Value != fresh.Value {
			t.Errorf("%s: after healing: %+v", role, e)
		}
		refused := []string{"-late"}
		if refusal.ErrorCode == 301 {
			refused = append(refused, "-early")
		}
		for _, key := range refused {
			if answer := alone.do(get("/v1/keys/" + role + key)); answer.status != 404 {
				t.Errorf("%s: the write %s was refused and was done later: %d %s", role, key, answer.status, answer.body)
			}
		}
		t.Logf("%s: a write just before the machine knew is answered %d %s", role, answer.status, answer.body)
	}
}
