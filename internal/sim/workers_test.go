package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
)

// workerVar makes the test binary a worker that runs a share of the seeds and prints the
// result of each. There is one run at a time in a process, because Raft's random numbers are
// global.
const workerVar = "SIM_WORKER"

// outcome is a Report as a worker prints it, in JSON.
type outcome struct {
	Report
	Failure string
	Again   bool // the run repeats one of another worker
}

// work runs every step-th seed from first on, n of them or until end, and repeats some of
// its neighbour's.
func work(share string) {
	var first, step uint64
	var n int
	var end int64
	if _, err := fmt.Sscan(share, &first, &step, &n, &end); err != nil {
		panic(err)
	}
	out := json.NewEncoder(os.Stdout)
	run := func(seed uint64, again bool) {
		r := Run(Config{Seed: seed})
		o := outcome{Report: *r, Again: again}
		o.Report.Failure = nil
		if r.Failure != nil {
			o.Failure = r.Failure.Error()
		}
		if err := out.Encode(o); err != nil {
			os.Exit(1) // nobody reads the pipe any more
		}
	}
	for seed, i := first, 0; i < n || time.Now().Unix() < end; seed, i = seed+step, i+1 {
		run(seed, false)
		if i%10 == 9 {
			run(seed^1, true)
		}
	}
}

// sum is the result of many runs.
type sum struct {
	seeds                      int
	simulated                  time.Duration
	steps, entries, operations int
	counts                     map[string]int
	failed                     []outcome
	traces                     map[uint64]uint64 // by seed
	unrepeatable               []uint64          // seeds whose repetition was another run
}

func (s *sum) names() []string { return slices.Sorted(maps.Keys(s.counts)) }

func (s *sum) add(o outcome) {
	if trace, ok := s.traces[o.Seed]; ok && trace != o.Trace {
		s.unrepeatable = append(s.unrepeatable, o.Seed)
	}
	s.traces[o.Seed] = o.Trace
	if o.Again {
		return
	}
	s.seeds++
	s.simulated += o.Simulated
	s.steps += o.Steps
	s.entries += o.Entries
	s.operations += o.Operations
	for what, n := range o.Counts {
		s.counts[what] += n
	}
	if o.Failure != "" {
		s.failed = append(s.failed, o)
	}
}

// runSeeds divides seeds among one worker per processor.
func runSeeds(t *testing.T, from uint64, n int, soak time.Duration) *sum {
	t.Helper()
	end := time.Now().Add(soak).Unix()
	if soak > 0 {
		n = 0
	}
	total := &sum{counts: make(map[string]int), traces: make(map[uint64]uint64)}
	var mu sync.Mutex
	var group sync.WaitGroup
	workers := runtime.NumCPU()
	for i := range workers {
		share := fmt.Sprint(from+uint64(i), workers, (n+workers-1-i)/workers, end)
		group.Go(func() {
			err := runWorker(os.Args[0], share, func(o outcome) error {
				mu.Lock()
				defer mu.Unlock()
				total.add(o)
				return nil
			})
			if err != nil {
				t.Errorf("worker %q: %v", share, err)
			}
		})
	}
	group.Wait()
	return total
}

// runWorker runs a share of the seeds in a process and calls see with each result, until it
// returns an error.
func runWorker(binary, share string, see func(outcome) error) error {
	cmd := exec.Command(binary)
	cmd.Env = append(os.Environ(), workerVar+"="+share, "GOMAXPROCS=2")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	in := json.NewDecoder(out)
	for in.More() {
		var o outcome
		if err := in.Decode(&o); err != nil {
			return errors.Join(err, cmd.Wait())
		}
		if err := see(o); err != nil {
			return errors.Join(err, cmd.Process.Kill(), cmd.Wait())
		}
	}
	return cmd.Wait()
}
