package e2e

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// bystander is a client that behaves well, while others do not.
type bystander struct {
	t    testing.TB
	stop func()
	took chan []time.Duration // of its requests, once it has stopped
}

// bystander sends requests in turn, on a connection of their own and with a pause after each, until report is
// called. Each of them has to succeed.
func (s *server) bystander(pause time.Duration, requests ...request) *bystander {
	s.t.Helper()
	c := s.dial()
	stop := make(chan struct{})
	b := &bystander{s.t, sync.OnceFunc(func() { close(stop) }), make(chan []time.Duration, 1)}
	var ended sync.WaitGroup
	s.t.Cleanup(func() { // before its server is killed
		b.stop()
		ended.Wait()
	})
	ended.Go(func() {
		var took []time.Duration
		defer func() { b.took <- took }()
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			case <-time.After(pause):
			}
			r := requests[n%len(requests)]
			began := time.Now()
			answer, err := c.roundTrip(r)
			if err == nil && answer.status >= 300 {
				err = fmt.Errorf("%d %s", answer.status, answer.body)
			}
			if err != nil {
				s.t.Errorf("a client that behaves well: %s %s: %v", r.method, r.target, err)
				return
			}
			took = append(took, time.Since(began))
		}
	})
	return b
}

// report stops the client and logs how long its requests have taken.
func (b *bystander) report(beside string) {
	b.t.Helper()
	b.stop()
	took := <-b.took
	if len(took) == 0 {
		b.t.Errorf("beside %s no request of a client that behaves well was answered", beside)
		return
	}
	b.t.Logf("beside %s: %d requests of a client that behaves well, p50 %s, p99 %s, the slowest %s",
		beside, len(took), percentile(took, 50), percentile(took, 99), percentile(took, 100))
}
