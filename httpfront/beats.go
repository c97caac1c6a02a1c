package httpfront

import (
	"sync"
	"time"
)

// streamTimes are the times of streams. The tests have others.
var streamTimes = struct {
	// heartbeatEvery is how long nothing may be written to a stream. It is less than what proxies wait.
	heartbeatEvery time.Duration
	// deadAfter is how long a client may take nothing at all of what is written to its stream.
	deadAfter time.Duration
}{15 * time.Second, time.Minute}

// beats are the streams to which nothing is being written, in the order of their last writes. The
// hub is asked for a sign of life for those whose time has come.
type beats struct {
	every time.Duration
	ask   func(subscriber uint64)

	mu          sync.Mutex
	first, last *following
	timer       *time.Timer
	runs        bool // the timer does, as long as there are any, and perhaps a little longer
	closed      bool
}

// add adds a stream to which something was just written.
func (b *beats) add(f *following) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	f.lastWrite, f.prev = time.Now(), b.last
	if b.last == nil {
		b.first = f
	} else {
		b.last.next = f
	}
	b.last = f
	b.wake(b.every)
}

// remove removes a stream, if it is there.
func (b *beats) remove(f *following) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.first == f || f.prev != nil {
		b.drop(f)
	}
}

func (b *beats) drop(f *following) {
	if f.prev == nil {
		b.first = f.next
	} else {
		f.prev.next = f.next
	}
	if f.next == nil {
		b.last = f.prev
	} else {
		f.next.prev = f.prev
	}
	f.prev, f.next = nil, nil
}

// wake sets the timer, unless it runs.
func (b *beats) wake(in time.Duration) {
	if b.runs {
		return
	}
	b.runs = true
	if b.timer == nil {
		b.timer = time.AfterFunc(in, b.beat)
		return
	}
	b.timer.Reset(in)
}

// beat asks for a sign of life for each stream that is due. The write that this leads to adds it
// again.
func (b *beats) beat() {
	for _, id := range b.due(time.Now().Add(-b.every)) {
		b.ask(id)
	}
}

// due removes the streams to which nothing was written since a time.
func (b *beats) due(since time.Time) (ids []uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.runs = false
	for b.first != nil && !b.first.lastWrite.After(since) {
		ids = append(ids, b.first.id)
		b.drop(b.first)
	}
	if b.first != nil && !b.closed {
		b.wake(b.first.lastWrite.Sub(since))
	}
	return ids
}

// close ends the signs of life.
func (b *beats) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if b.timer != nil {
		b.timer.Stop()
	}
}
