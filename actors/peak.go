package actors

import (
	"sync"
	"sync/atomic"
	"time"
)

// peakWindow is for how long a peak is remembered, at least. It is longer than the interval at which
// metrics are scraped, as a rule, so that no scrape misses one, whoever else scrapes.
const peakWindow = time.Minute

// peak is the highest value of the last one or two peakWindows, and since it was last read.
type peak struct {
	highest atomic.Int64 // in the current window

	mu       sync.Mutex
	previous int64 // in the window before
	began    time.Time
}

// note notes a value.
func (p *peak) note(value int64) {
	for {
		highest := p.highest.Load()
		if value <= highest || p.highest.CompareAndSwap(highest, value) {
			return
		}
	}
}

// read returns the highest value. present is the one at this moment.
func (p *peak) read(now time.Time, present int64) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.began) >= peakWindow {
		p.previous, p.began = p.highest.Swap(present), now
	}
	return max(p.previous, p.highest.Load(), present)
}
