package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// killInBursts kills one, two or all machines, again and again, also while
// they start. TestChaos kills machines that serve.
func (o *ordeal) killInBursts() {
	for range o.times(2, 4) {
		victims := slices.Clone(o.c.members)
		o.rng.Shuffle(len(victims), func(i, j int) { victims[i], victims[j] = victims[j], victims[i] })
		victims = victims[:1+o.rng.IntN(len(victims))]
		o.c.kill(victims...)
		for range 3 {
			for _, s := range victims {
				s.launch()
			}
			pause(o.t, time.Duration(o.rng.IntN(120))*time.Millisecond)
			o.c.kill(victims...)
		}
		o.c.start(victims...)
		o.progress()
	}
}

// diskCalls are the system calls by which a machine changes its disk.
const diskCalls = "pwrite64,fdatasync,fsync,fallocate,renameat,unlinkat"

// killAtCall kills a machine at its N-th call that changes the disk since its
// start, so that the kill hits a repair, a snapshot or a batch; and a machine
// that joins, so that it hits the first steps on an empty disk.
func (o *ordeal) killAtCall() {
	for range o.times(1, 5) {
		s := o.any()
		o.c.kill(s)
		o.killedAt(s, 1+o.rng.IntN(60))
		o.c.start(s)
	}
	s := o.any()
	o.c.kill(s)
	o.leave(s)
	if err := os.RemoveAll(s.data); err != nil {
		o.t.Fatal(err)
	}
	for range o.times(1, 3) {
		o.killedAt(s, 1+o.rng.IntN(8))
	}
	s.start()
	o.c.waitVoters()
}

// killedAt starts a machine that is killed at the N-th call to the disk of one
// of its threads.
func (o *ordeal) killedAt(s *server, call int) {
	o.t.Helper()
	s.launchToDie(call)
	if code := s.proc.waitExit(startLimit); code != -1 {
		o.t.Errorf("%s was to be killed at its call %d to the disk and ended with exit code %d:\n%s", s.name, call, code, s.proc.stderr())
	}
}

// launchToDie launches a machine that is killed at the N-th call to the disk of one of its threads.
func (s *server) launchToDie(call int) {
	s.t.Helper()
	s.under = []string{"strace", "-D", "-f", "-o", "/dev/null", "-e", "trace=" + diskCalls,
		"-e", fmt.Sprintf("inject=%s:signal=KILL:when=%d", diskCalls, call)}
	s.launch()
	s.under = nil
}

// killAroundSnapshot kills a machine while it receives a snapshot, and then the
// sender.
func (o *ordeal) killAroundSnapshot() {
	late := o.c.follower()
	others := o.c.others(late)
	o.leaveBehind(late)
	receiving := func() {
		late.launch()
		waitUntil(o.t, late.name+" receives a snapshot", func() bool {
			// A start removes the partial file of the process before.
			started := strings.Contains(late.proc.stderr(), "msg=recovered")
			files, err := filepath.Glob(filepath.Join(late.data, "*.snap.tmp"))
			if err != nil || !late.runs() {
				o.t.Fatalf("%s receives no snapshot: %v\n%s", late.name, err, late.proc.stderr())
			}
			return started && len(files) > 0
		})
	}
	late.under = []string{"strace", "-D", "-f", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=pwrite64",
		"-e", "inject=pwrite64:delay_enter=40000"}
	for range o.times(1, 3) {
		receiving()
		o.c.kill(late)
	}
	receiving()
	sender := o.c.leader(others...)
	o.c.kill(sender)
	o.c.start(sender)
	o.mustAccept(late)
	if !snapshotReceived.MatchString(late.proc.stderr()) {
		o.t.Errorf("%s does not say that it received a snapshot:\n%s", late.name, late.proc.stderr())
	}
	o.c.kill(late)
	late.under = nil
	o.c.start(late)
}

// leaveBehind kills a machine and makes sure that it needs a snapshot to catch
// up, one that takes a moment to receive.
func (o *ordeal) leaveBehind(late *server) {
	o.t.Helper()
	others := o.c.others(late)
	o.c.kill(late)
	value := strings.Repeat("x", 256<<10)
	for i := range 4 {
		waitUntil(o.t, "a large value is accepted", func() bool {
			answer, err := exchange(others[0].client, post("/v1/keys/large/"+strconv.Itoa(i), "value", value))
			return err == nil && answer.status == 200
		})
	}
	for range 2 { // the first one may have begun before these writes
		before := map[*server]string{}
		for _, s := range others {
			before[s] = newestSnapshot(o.t, s.data)
		}
		for _, s := range others {
			waitUntil(o.t, s.name+" has written a snapshot", func() bool { return newestSnapshot(o.t, s.data) > before[s] })
		}
	}
	// After a restart, machines keep no entries before their snapshot in memory.
	o.c.kill(others...)
	o.c.start(others...)
}

// newestSnapshot returns the index in the name of the newest snapshot in a data
// directory, "" if there is none. Indexes are written so that they sort.
func newestSnapshot(t testing.TB, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, snapshotFiles))
	if err != nil {
		t.Fatal(err)
	}
	newest := ""
	for _, f := range files {
		// <term>-<index>.snap: the index decides.
		_, index, _ := strings.Cut(filepath.Base(f), "-")
		newest = max(newest, index)
	}
	return newest
}

// pauseMachines stops machines for longer than an election takes, as a
// hypervisor does. A leader that resumes does not know that it was replaced.
func (o *ordeal) pauseMachines() {
	leader := o.c.leader()
	followers := o.c.others(leader)
	reader, writer := leader.dial(), leader.dial()
	o.write(leader, "/paused", "old")
	for _, c := range []*conn{reader, writer} { // the server has accepted them
		if answer, err := c.roundTrip(get("/version")); err != nil || answer.status != 200 {
			o.t.Fatalf("GET /version: %d %v", answer.status, err)
		}
	}

	// A paused leader.
	o.stopped(leader)
	o.write(followers[0], "/paused", "new")
	for c, q := range map[*conn]request{
		reader: get("/v1/keys/paused"),
		writer: post("/v1/keys/paused-write", "value", "late"),
	} {
		if err := c.send(q); err != nil {
			o.t.Fatal(err)
		}
	}
	leader.proc.signal(sigCont)
	for c, check := range map[*conn]func(reply){
		reader: func(r reply) {
			if e, err := r.event(); err != nil || r.status == 200 && e.Value != "new" {
				o.t.Errorf("a leader that was paused serves a stale read: %d %s", r.status, r.body)
			}
		},
		writer: func(r reply) {
			if r.status != 200 {
				return
			}
			for _, s := range o.c.members {
				if e := o.read(s, "/paused-write"); e.Value != "late" {
					o.t.Errorf("%s lacks what a leader that was paused has acknowledged: %+v", s.name, e)
				}
			}
		},
	} {
		c.SetReadDeadline(time.Now().Add(waitLimit))
		answer, err := c.receive("GET")
		if err != nil {
			o.t.Fatalf("a leader that was paused does not answer: %v", err)
		}
		check(answer)
	}
	o.mustAccept(o.c.members...)

	// A paused follower.
	leader = o.c.leader()
	follower := o.c.others(leader)[0]
	o.stopped(follower)
	o.write(leader, "/paused", "newer")
	pause(o.t, time.Duration(300+o.rng.IntN(600))*time.Millisecond)
	o.write(o.c.leader(o.c.others(follower)...), "/paused", "newest")
	follower.proc.signal(sigCont)
	if r := follower.do(get("/v1/keys/paused")); r.status == 200 && !strings.Contains(r.body, `"value":"newest"`) {
		o.t.Errorf("a follower that was paused serves a stale read: %s", r.body)
	}
	o.mustAccept(o.c.members...)

	// A leader without a follower.
	leader = o.c.leader()
	o.stopped(o.c.others(leader)...)
	for _, q := range []request{post("/v1/keys/alone", "value", "1"), get("/v1/keys/paused")} {
		if r := leader.do(q); r.status == 200 {
			o.t.Errorf("%s %s is served while both followers are paused: %s", q.method, q.target, r.body)
		}
	}
	for _, s := range o.c.others(leader) {
		s.proc.signal(sigCont)
	}
}

// write sets a key, and retries until it is acknowledged.
func (o *ordeal) write(s *server, key, value string) {
	o.t.Helper()
	waitUntil(o.t, "a write to "+s.name, func() bool {
		answer, err := exchange(s.client, post("/v1/keys"+key, "value", value))
		return err == nil && answer.status == 200
	})
}

// read reads a key, and retries while there is no leader.
func (o *ordeal) read(s *server, key string) event {
	o.t.Helper()
	var e event
	waitUntil(o.t, "a read from "+s.name, func() bool {
		answer, err := exchange(s.client, get("/v1/keys"+key))
		if err != nil || answer.status != 200 && answer.status != 404 {
			return false
		}
		e, err = answer.event()
		return err == nil
	})
	return e
}

// stopped pauses machines and returns when all their threads have stopped.
func (o *ordeal) stopped(machines ...*server) {
	o.t.Helper()
	for _, s := range machines {
		s.proc.signal(sigStop)
	}
	for _, s := range machines {
		waitUntil(o.t, s.name+" is paused", func() bool {
			threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", s.proc.cmd.Process.Pid))
			if err != nil || len(threads) == 0 {
				o.t.Fatalf("threads of %s: %d, %v", s.name, len(threads), err)
			}
			return !slices.ContainsFunc(threads, func(path string) bool {
				stat, err := os.ReadFile(path)
				_, rest, _ := strings.Cut(string(stat), ") ")
				return err == nil && !strings.HasPrefix(rest, "T")
			})
		})
	}
}
