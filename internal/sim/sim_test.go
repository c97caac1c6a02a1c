package sim

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "run this `seed` and nothing else")
	skipFlag  = flag.String("skip", "", "leave out the faults with these `numbers`, comma separated")
	traceFlag = flag.String("trace", "", "write everything that happens to this `file`")
	seedsFlag = flag.Int("seeds", defaultSeeds, "run so `many` seeds")
	fromFlag  = flag.Uint64("from", 0, "the `first` of the seeds")
	soakFlag  = flag.Duration("soak", 0, "go on with seeds for this `long`")
)

func TestMain(m *testing.M) {
	flag.Parse()
	if share := os.Getenv(workerVar); share != "" {
		work(share)
		return
	}
	only := ""
	switch {
	case given("seed"):
		only = "^TestSeed$"
	case given("soak"):
		only = "^TestSeeds$"
	}
	if only != "" {
		if err := flag.Set("test.run", only); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

func given(name string) bool {
	found := false
	flag.Visit(func(f *flag.Flag) { found = found || f.Name == name })
	return found
}

// TestSeed runs one seed: go test ./internal/sim -v -seed N. If it fails, it shrinks the
// faults to those without which the run does not fail, and prints them.
func TestSeed(t *testing.T) {
	cfg := Config{Seed: *seedFlag, Skip: skipped(t)}
	if *traceFlag != "" {
		f, err := os.Create(*traceFlag)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		cfg.Trace = f
	}
	r := Run(cfg)
	t.Logf("seed %d: %.1f s simulated, %d messages, %d entries, trace %016x", r.Seed, r.Simulated.Seconds(), r.Steps, r.Entries, r.Trace)
	if r.Failure == nil {
		return
	}
	cfg.Trace = nil
	skip := shrink(cfg, len(r.Faults))
	var left []string
	for i, f := range r.Faults {
		if !slices.Contains(skip, i) {
			left = append(left, "\n\t"+f)
		}
	}
	t.Errorf("seed %d: %v\nit also fails with only these faults:%s\n%s", r.Seed, r.Failure, strings.Join(left, ""), replay(r.Seed, skip))
}

func skipped(t *testing.T) (skip []int) {
	for number := range strings.SplitSeq(*skipFlag, ",") {
		if number == "" {
			continue
		}
		n, err := strconv.Atoi(number)
		if err != nil {
			t.Fatal(err)
		}
		skip = append(skip, n)
	}
	return skip
}

// shrink returns the faults that can be left out of a failing run so that it still fails,
// trying one after another.
func shrink(cfg Config, faults int) []int {
	for i := range faults {
		if slices.Contains(cfg.Skip, i) {
			continue
		}
		less := cfg
		less.Skip = append(slices.Clone(cfg.Skip), i)
		if Run(less).Failure != nil {
			cfg.Skip = less.Skip
		}
	}
	return cfg.Skip
}

// replay returns the command that runs a seed again.
func replay(seed uint64, skip []int) string {
	command := fmt.Sprintf("go test ./internal/sim -v -seed %d", seed)
	if len(skip) > 0 {
		command += " -skip " + strings.Trim(strings.ReplaceAll(fmt.Sprint(skip), " ", ","), "[]")
	}
	return command
}

// A seed is a run, byte for byte.
func TestSeedsAreRepeatable(t *testing.T) {
	for seed := range uint64(5) {
		first, second := Run(Config{Seed: seed}), Run(Config{Seed: seed})
		if first.Trace != second.Trace || first.Steps != second.Steps {
			t.Errorf("seed %d: %d messages and trace %x, then %d and %x", seed, first.Steps, first.Trace, second.Steps, second.Trace)
		}
	}
	if a, b := Run(Config{Seed: 1}), Run(Config{Seed: 2}); a.Trace == b.Trace {
		t.Error("two seeds have the same trace")
	}
}

// rare lists the events that have to occur somewhere in the seeds that CI runs.
var rare = []string{
	"append rejected", "bit flipped", "claim confirmed", "claim confirmed elsewhere", "claim unanswered", "damage to the last record", "damage without effect",
	"damaged snapshot passed over", "directory listed from a view", "directory restored", "disk full", "disk lost", "founder comes late", "founder crashes while it founds", "fsync failed", "history cleared",
	"history lost by a snapshot", "join refused: removed", "key expired", "keyspace compacted", "leader gone", "leader steps down: slow disk", "leader transfer",
	"learner added", "learner promoted", "log full", "machine replaced", "member joined", "member removed", "message on a severed link",
	"killed after voting", "killed while syncing", "message late", "message lost", "message duplicated", "power cut during a write", "pre-vote",
	"process ended: disk fails", "query answered from a view", "query refused", "unsynced writes kept in memory after a failed sync", "read index of a follower", "read refused", "removal refused",
	"removed machine stops by itself", "restored machine refused", "snapshot cut off", "snapshot installed", "snapshot lost in flight", "start from a snapshot",
	"stranger dials", "stranger claims the identity of its target", "start refused: damage found", "start refused: disk fails", "state replaced by a snapshot", "states compared",
	"stream refused", "time taken from a wall clock", "torn tail truncated", "transaction with several changes", "transaction refused as a whole", "unknown machine confirmed", "users and roles changed", "watch broken", "watch ended without a quorum", "watch moved",
	"watcher gets a full ready list", "watcher gets a sign of life", "watcher stalls", "watchers caught up", "write of unknown outcome",
	"write checked with former users and roles", "write over the quota refused", "write refused", "write unanswered", "write while users and roles are on",
}

// enough is how many seeds suffice for every rare event to occur.
const enough = 300

// TestSeeds runs many seeds, or for a long time (-soak 30m -timeout 0).
func TestSeeds(t *testing.T) {
	start := time.Now()
	total := runSeeds(t, *fromFlag, *seedsFlag, *soakFlag)
	t.Logf("%d seeds in %v: %.1f hours simulated, %d messages, %d entries, %d operations found linearizable", total.seeds,
		time.Since(start).Round(time.Second), total.simulated.Hours(), total.steps, total.entries, total.operations)
	for _, what := range total.names() {
		t.Logf("%9d %s", total.counts[what], what)
	}
	for _, r := range total.failed {
		t.Errorf("seed %d: %s\n%s", r.Seed, r.Failure, replay(r.Seed, nil))
	}
	for _, seed := range total.unrepeatable {
		t.Errorf("seed %d was a different run when repeated", seed)
	}
	if total.seeds < enough {
		return
	}
	for _, what := range rare {
		if total.counts[what] == 0 {
			t.Errorf("in %d seeds this rare event has not occurred: %s", total.seeds, what)
		}
	}
	for _, k := range faultKinds {
		if total.counts["fault: "+k.name] == 0 {
			t.Errorf("in %d seeds this fault has not occurred: %s", total.seeds, k.name)
		}
	}
}
