package e2e

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	crueltyTime = flag.Duration("cruelty", 0, "how long TestCruelty goes on, 0 for every case once")
	crueltySeed = flag.Uint64("cruelty.seed", 0, "seed of TestCruelty, 0 for a new one each run")
)

// cruelty is a case: something that happens to machines in the field. It leaves
// three machines running that can serve.
type cruelty struct {
	name  string
	needs []need
	run   func(*ordeal)
}

// need is a requirement of a case.
type need struct {
	what   string
	absent func() bool
}

var (
	needStrace = need{"strace (package strace)", func() bool {
		return exec.Command("strace", "-o", os.DevNull, "true").Run() != nil
	}}
	// strace may trace what it starts; attaching to a running process needs more rights.
	needAttach = need{"the right to trace a running process (root, or kernel.yama.ptrace_scope=0)", func() bool {
		scope, err := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope")
		return err == nil && strings.TrimSpace(string(scope)) != "0" && os.Getuid() != 0
	}}
	needMount = need{"linux and the privilege to mount a tmpfs (root)", func() bool { return !canMount() }}
	needClock = need{"linux on amd64 and the right to write to the memory of a child, to set its wall clock", func() bool {
		return !canShiftClocks()
	}}
)

// missing returns the requirement that is not met here, "" if all are.
func (k cruelty) missing() string {
	var lacks []string
	for _, n := range k.needs {
		if n.absent() {
			lacks = append(lacks, n.what)
		}
	}
	return strings.Join(lacks, " and ")
}

var cruelties = []cruelty{
	{"kill -9 in bursts", nil, (*ordeal).killInBursts},
	{"kill -9 at a call to the disk", []need{needStrace}, (*ordeal).killAtCall},
	{"kill -9 around a snapshot from the leader", []need{needStrace}, (*ordeal).killAroundSnapshot},
	{"paused machines", nil, (*ordeal).pauseMachines},
	{"full disk", []need{needMount}, (*ordeal).fillDisk},
	{"failing fsync", []need{needStrace, needAttach}, (*ordeal).failSync},
	{"slow disk", []need{needStrace, needAttach}, (*ordeal).slowDisk},
	{"jumping clocks", []need{needClock}, (*ordeal).jumpClocks},
	{"no descriptors left", nil, (*ordeal).exhaustDescriptors},
	{"damaged data directory", nil, (*ordeal).damageDirectory},
}

// TestCruelty does to three real processes what happens to them in the field,
// while clients use all of them. After every case nothing acknowledged may be
// lost, the answers must be linearizable, the machines must hold the same state,
// and all must serve. Without -cruelty every case runs once, in a random
// variant, on a cluster of its own; with it, clusters go through all variants of
// all cases in random order.
func TestCruelty(t *testing.T) {
	seed := *crueltySeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("go test ./e2e -run '%s' -cruelty=%s -cruelty.seed=%d", t.Name(), *crueltyTime, seed)
	if *crueltyTime > 0 {
		crueltyRounds(t, seed)
		return
	}
	for _, k := range cruelties {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			if lacks := k.missing(); lacks != "" {
				t.Skip("this needs " + lacks)
			}
			o := startOrdeal(t, seed)
			o.endure(k)
			o.finish()
		})
	}
}

// crueltyRounds runs all cases on one cluster after another, until the time is
// over.
func crueltyRounds(t *testing.T, seed uint64) {
	end := time.Now().Add(*crueltyTime)
	count := map[string]int{}
	operations := 0
	for round := uint64(0); time.Now().Before(end) && !t.Failed(); round++ {
		t.Run(fmt.Sprintf("round %d", round), func(t *testing.T) {
			o := startOrdeal(t, seed+round)
			o.long = true
			cases := slices.Clone(cruelties)
			o.rng.Shuffle(len(cases), func(i, j int) { cases[i], cases[j] = cases[j], cases[i] })
			for _, k := range cases {
				if lacks := k.missing(); lacks != "" {
					t.Logf("%s: left out, it needs %s", k.name, lacks)
					continue
				}
				if time.Now().After(end) {
					break
				}
				o.endure(k)
				count[k.name]++
			}
			o.finish()
			for _, w := range o.past {
				operations += len(w.ops)
			}
		})
	}
	for _, k := range cruelties {
		t.Logf("%s: %d times", k.name, count[k.name])
	}
	t.Logf("%d operations on keys in use", operations)
}

// ordeal is a cluster that goes through cases, and the clients of each.
type ordeal struct {
	t    *testing.T
	c    *cluster
	rng  *rand.Rand
	seed uint64
	long bool        // all variants of a case, not one
	w    *workload   // of the case
	past []*workload // of earlier cases
	txns *transactions
}

// crueltyFlags make snapshots frequent and elections quick, but not so quick
// that a machine under strace or the race detector cannot lead.
var crueltyFlags = []string{"-heartbeat", "30ms", "-election", "300ms", "-request-timeout", "1s", "-snapshot-count", "200"}

func startOrdeal(t *testing.T, seed uint64) *ordeal {
	t.Helper()
	c := startCluster(t, 3, crueltyFlags...)
	return &ordeal{t: t, c: c, seed: seed, rng: rand.New(rand.NewPCG(seed, 0)), txns: startTransactions(t, 2, seed, c.addresses())}
}

// endure runs a case under load and checks what must hold after every case.
func (o *ordeal) endure(k cruelty) {
	o.t.Helper()
	begin := time.Now()
	o.w = startWorkloadIn(o.t, fmt.Sprintf("/case%d", len(o.past)), 6, o.seed+uint64(len(o.past)), o.c.addresses())
	k.run(o)
	o.mustRun()
	o.mustAccept(o.c.members...)
	o.txns.pause()
	o.w.check(o.c.members)
	o.c.checkSameState()
	o.txns.resume()
	o.past = append(o.past, o.w)
	if o.t.Failed() {
		o.t.FailNow()
	}
	o.t.Logf("%s: endured in %s", k.name, time.Since(begin).Round(time.Millisecond))
}

// finish checks that nothing that was acknowledged in any case was lost in a later one.
func (o *ordeal) finish() {
	o.t.Helper()
	o.txns.check()
	for _, w := range o.past {
		for _, s := range o.c.members {
			w.checkAppended(s)
		}
	}
}

// mustRun checks that no machine has ended by itself.
func (o *ordeal) mustRun() {
	o.t.Helper()
	for _, s := range o.c.members {
		if !s.runs() {
			o.t.Fatalf("%s has ended by itself with exit code %d:\n%s", s.name, s.proc.cmd.ProcessState.ExitCode(), s.proc.stderr())
		}
	}
}

// mustAccept waits until each of the machines serves writes and linearizable
// reads.
func (o *ordeal) mustAccept(machines ...*server) {
	o.t.Helper()
	for _, s := range machines {
		waitUntil(o.t, s.name+" accepts writes", s.accepts)
	}
}

// mustEnd waits until a machine has ended by itself, and checks that it did so
// with exit code 1 and logged why and what to do.
func (o *ordeal) mustEnd(s *server, says ...string) {
	o.t.Helper()
	code := s.proc.waitExit(startLimit)
	log := s.proc.stderr()
	if code != 1 {
		o.t.Errorf("%s ended with exit code %d, want 1:\n%s", s.name, code, log)
	}
	for _, part := range says {
		if !strings.Contains(log, part) {
			o.t.Errorf("%s ended and does not say %q:\n%s", s.name, part, log)
		}
	}
}

// progress waits until clients have completed some operations.
func (o *ordeal) progress() {
	o.t.Helper()
	goal := o.w.done() + 100
	waitUntil(o.t, "clients get things done", func() bool { return o.w.done() >= goal })
}

// any returns a random machine.
func (o *ordeal) any() *server { return o.c.members[o.rng.IntN(len(o.c.members))] }

// inRole returns the leader or a follower.
func (o *ordeal) inRole(role string) *server {
	o.t.Helper()
	if role == "leader" {
		return o.c.leader()
	}
	return o.c.follower()
}

// makeRole makes a machine the leader or a follower.
func (o *ordeal) makeRole(s *server, role string) {
	o.t.Helper()
	switch {
	case role == "leader":
		o.lead(s)
	case o.c.leader() == s:
		o.lead(o.c.others(s)[0])
	}
}

// lead makes a machine the leader: the old leader is stopped and hands over to
// the most up-to-date follower, so the third machine is paused.
func (o *ordeal) lead(s *server) {
	o.t.Helper()
	for range 20 {
		leader := o.c.leader()
		if leader == s {
			return
		}
		third := o.c.others(leader)[0]
		if third == s {
			third = o.c.others(leader)[1]
		}
		o.stopped(third)
		o.write(leader, "/lead", s.name)
		leader.stop()
		third.proc.signal(sigCont)
		o.c.start(leader)
	}
	o.t.Fatalf("%s does not become the leader", s.name)
}

// roles returns the roles in which a machine goes through a case.
func (o *ordeal) roles() []string { return variants(o, 1, []string{"follower", "leader"}) }

// variants returns all variants of a case, or some in a short run, in random
// order.
func variants[V any](o *ordeal, some int, all []V) []V {
	all = slices.Clone(all)
	o.rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	if o.long {
		return all
	}
	return all[:some]
}

// times returns how often a case does something.
func (o *ordeal) times(short, long int) int {
	if o.long {
		return long
	}
	return short
}
