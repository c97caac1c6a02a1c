package sim

import (
	"container/heap"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"
)

// scheduler decides what happens next. Every task has a goroutine, of which one runs at a
// time; time passes only when no task is runnable.
type scheduler struct {
	now time.Duration
	// rnd decides the order of steps, and nothing else.
	rnd *rand.Rand
	// lag is the probability that a task with work is delayed by up to maxLag.
	lag float64

	timers   timers
	nextSeq  uint64
	runnable []*task
	ending   []*task // of machines that have ended
	current  *task
	yielded  chan struct{}
	steps    int
	still    int // steps since time has passed
	trace    trace
}

func newScheduler(rnd *rand.Rand) *scheduler {
	return &scheduler{rnd: rnd, yielded: make(chan struct{})}
}

// maxLag is the upper bound of the delay of a task with work.
const maxLag = 30 * time.Millisecond

// task is an actor, or the start of a machine. It does one step at a time when the scheduler
// says so, and may sleep in the middle of it.
type task struct {
	s    *scheduler
	life *life
	name string
	// lag is the task's own probability of a delay; the scheduler's counts if it is higher.
	lag float64
	// step does the next piece of work and reports whether there is more.
	step func() (more bool)

	resume  chan bool // false: it has to end
	queued  bool      // it is, or will be, among the runnable
	inside  bool      // in the middle of a step
	started bool
	ended   bool
}

func (s *scheduler) newTask(l *life, name string, step func() bool) *task {
	return &task{s: s, life: l, name: name, step: step, resume: make(chan bool)}
}

// ready makes t runnable, after a lag now and then.
func (s *scheduler) ready(t *task) {
	if t.queued || t.inside || t.ended {
		return
	}
	t.queued = true
	if lag := max(s.lag, t.lag); lag > 0 && s.rnd.Float64() < lag {
		s.after(time.Duration(s.rnd.Int64N(int64(maxLag))), func() { s.runnable = append(s.runnable, t) })
		return
	}
	s.runnable = append(s.runnable, t)
}

// run runs tasks and timers until the time is until, or stop returns true.
func (s *scheduler) run(until time.Duration, stop func() bool) {
	for !stop() {
		s.endTasks()
		if len(s.runnable) > 0 {
			i := s.rnd.IntN(len(s.runnable))
			t := s.runnable[i]
			last := len(s.runnable) - 1
			s.runnable[i], s.runnable[last] = s.runnable[last], nil
			s.runnable = s.runnable[:last]
			s.turn(t)
			continue
		}
		if len(s.timers) == 0 || s.timers[0].at > until {
			s.now = until
			return
		}
		t := heap.Pop(&s.timers).(*timer)
		if t.at > s.now {
			s.now, s.still = t.at, 0
		}
		if !t.stopped {
			t.stopped = true
			t.f()
		}
	}
}

// turn lets t do a step, or continue the one that it sleeps in.
func (s *scheduler) turn(t *task) {
	t.queued = false
	switch {
	case t.ended || t.life.dead:
		return
	case t.life.paused:
		t.queued = true
		t.life.held = append(t.life.held, t)
		return
	}
	s.steps++
	s.still++
	s.switchTo(t, true)
}

func (s *scheduler) switchTo(t *task, goOn bool) {
	if !t.started {
		t.started = true
		go t.loop()
	}
	s.current = t
	t.resume <- goOn
	<-s.yielded
	s.current = nil
}

// endTasks ends the tasks of machines that have ended, in the middle of a step if need be.
// That needs a moment in which no task runs, so stop only queues them.
func (s *scheduler) endTasks() {
	for len(s.ending) > 0 {
		t := s.ending[0]
		s.ending = s.ending[1:]
		if t.started && !t.ended {
			s.switchTo(t, false)
		}
		t.ended = true
	}
}

func (t *task) loop() {
	defer func() {
		t.ended = true
		t.s.yielded <- struct{}{}
	}()
	for <-t.resume {
		t.inside = true
		more := t.step()
		t.inside = false
		if more {
			t.s.ready(t)
		}
		t.s.yielded <- struct{}{}
	}
}

// sleep lets d pass in the middle of the current step. It does not return if the task's
// machine ends meanwhile.
func (t *task) sleep(d time.Duration) {
	t.s.after(d, func() {
		t.queued = true
		t.s.runnable = append(t.s.runnable, t)
	})
	t.s.yielded <- struct{}{}
	if !<-t.resume {
		runtime.Goexit()
	}
}

// timer is a call of f at a time.
type timer struct {
	at      time.Duration
	seq     uint64
	f       func()
	stopped bool
}

// after has the scheduler call f, outside all tasks, when d has passed.
func (s *scheduler) after(d time.Duration, f func()) *timer {
	t := &timer{at: s.now + max(d, 0), seq: s.nextSeq, f: f}
	s.nextSeq++
	heap.Push(&s.timers, t)
	return t
}

type timers []*timer

func (h timers) Len() int { return len(h) }
func (h timers) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].seq < h[j].seq
}
func (h timers) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *timers) Push(x any)   { *h = append(*h, x.(*timer)) }
func (h *timers) Pop() any {
	old := *h
	last := len(old) - 1
	t := old[last]
	old[last] = nil
	*h = slices.Delete(old, last, last+1)
	return t
}
