package actors

// pinned runs the mailbox of one actor on a goroutine of its own. The library
// starts a goroutine for every burst of messages, whose small stack then has to
// grow again on the way into Raft or the store; under load that is a tenth of the
// machine's work.
type pinned struct {
	runs chan func()
	quit chan struct{}
}

func newPinned() *pinned {
	// One place is enough: a mailbox schedules itself again only after its last run
	// has found it empty.
	p := &pinned{runs: make(chan func(), 1), quit: make(chan struct{})}
	go p.loop()
	return p
}

func (p *pinned) loop() {
	for {
		select {
		case run := <-p.runs:
			run()
		case <-p.quit:
			return
		}
	}
}

// Schedule implements actor.Dispatcher.
func (p *pinned) Schedule(run func()) {
	select {
	case p.runs <- run:
	case <-p.quit:
	}
}

// Throughput implements actor.Dispatcher: how many messages are handled before
// others get their turn.
func (p *pinned) Throughput() int { return 300 }

// stop ends the goroutine after the current run. What is scheduled later is for an
// actor that has stopped, and is dropped.
func (p *pinned) stop() { close(p.quit) }
