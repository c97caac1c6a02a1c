package e2e

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	chaosTime = flag.Duration("chaos", 15*time.Second, "how long TestChaos disturbs each cluster")
	chaosSeed = flag.Uint64("chaos.seed", 0, "seed of TestChaos, 0 for a new one each run")
)

// disturbance is a step of the schedule: a fault of some members that ends
// after a while.
type disturbance struct {
	what         string
	target       int // first member, if it is not the leader
	hold, settle time.Duration
}

func (d disturbance) String() string {
	return fmt.Sprintf("%s (slot %d) for %s, then %s", d.what, d.target, d.hold, d.settle)
}

// disturbances returns the faults that a cluster of n machines can take.
func disturbances(n int) []string {
	all := []string{
		"kill the leader", "kill one", "kill all", "kill a majority", "stop the leader",
		"pause the leader", "pause one", "pause a majority",
	}
	if n >= 5 {
		all = append(all, "replace the leader", "replace one", "kill two", "pause two")
	}
	return all
}

// schedule returns random steps that fill a time. All of it is decided in
// advance, so that a seed gives the same steps again.
func schedule(rng *rand.Rand, members int, length time.Duration) []disturbance {
	names := disturbances(members)
	var steps []disturbance
	for total := time.Duration(0); total < length; {
		// Every kind comes once before any comes again.
		rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		for _, name := range names {
			d := disturbance{
				what:   name,
				target: rng.IntN(members),
				hold:   time.Duration(50+rng.IntN(900)) * time.Millisecond,
				settle: time.Duration(100+rng.IntN(500)) * time.Millisecond,
			}
			steps = append(steps, d)
			total += d.hold + d.settle
		}
	}
	return steps
}

// TestChaos lets clients use a cluster through all members while members are
// killed, paused, restarted and replaced, and checks that the answers are
// linearizable and that nothing acknowledged is lost.
func TestChaos(t *testing.T) {
	for _, n := range []int{3, 5} {
		t.Run(fmt.Sprintf("%d machines", n), func(t *testing.T) {
			t.Parallel()
			testChaos(t, n)
		})
	}
}

func testChaos(t *testing.T, n int) {
	seed := *chaosSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("go test -run '%s' -chaos=%s -chaos.seed=%d", t.Name(), *chaosTime, seed)
	steps := schedule(rand.New(rand.NewPCG(seed, 0)), n, *chaosTime)

	c := startCluster(t, n, append(slices.Clone(fastElections), "-snapshot-count", "300")...)
	w, txns := startWorkload(t, 2*n, seed, c.addresses()), startTransactions(t, 2, seed, c.addresses())
	begin := time.Now()
	end := begin.Add(*chaosTime)
	taken := 0
	for _, d := range steps {
		if time.Now().After(end) {
			break
		}
		for _, s := range c.members {
			if !s.runs() {
				t.Fatalf("%s has ended by itself with exit code %d", s.name, s.proc.cmd.ProcessState.ExitCode())
			}
		}
		before := w.done()
		at := time.Since(begin)
		c.disturb(d, w)
		pause(t, d.settle)
		taken++
		t.Logf("%6.2fs %s: %d done meanwhile", at.Seconds(), d, w.done()-before)
		if t.Failed() {
			t.FailNow()
		}
	}
	t.Logf("%d disturbances in %s", taken, time.Since(begin).Round(time.Millisecond))
	w.check(c.members)
	txns.check()
	c.checkSameState()
	for _, s := range c.members {
		if e := s.event(post("/v1/keys/end", "value", s.name)); e.Action != "SET" {
			t.Errorf("%s at the end: %+v", s.name, e)
		}
	}
}

// disturb carries out one step and undoes it.
func (c *cluster) disturb(d disturbance, w *workload) {
	c.t.Helper()
	n := len(c.members)
	targets := []*server{c.members[d.target]}
	for i := 1; i < n; i++ {
		targets = append(targets, c.members[(d.target+i)%n])
	}
	action, whom, _ := strings.Cut(d.what, " ")
	switch whom {
	case "the leader":
		targets = []*server{c.leader()}
	case "one":
		targets = targets[:1]
	case "two":
		targets = targets[:2]
	case "a majority":
		targets = targets[:n/2+1]
	}
	switch action {
	case "kill":
		c.kill(targets...)
		pause(c.t, d.hold)
		c.start(targets...)
	case "stop":
		targets[0].stop()
		pause(c.t, d.hold)
		c.start(targets...)
	case "pause":
		for _, s := range targets {
			s.proc.signal(sigStop)
		}
		pause(c.t, d.hold)
		for _, s := range targets {
			s.proc.signal(sigCont)
		}
	case "replace":
		c.replace(targets[0])
		w.move(c.addresses())
		pause(c.t, d.hold)
	}
}

// replace removes a machine, and has a new one join in its slot.
func (c *cluster) replace(old *server) {
	c.t.Helper()
	rest := c.others(old)
	c.remove(old, rest[0])
	fresh := c.newMember()
	var peers []string
	for _, s := range rest {
		peers = append(peers, s.peer)
	}
	fresh.args = append(fresh.args, "-C", strings.Join(peers, ","))
	c.members[slices.Index(c.members, old)] = fresh
	fresh.start()
	c.waitVoters()
}
