package httpfront

import (
	"testing"

	"etcd/actors"
)

// A watch behind which too much was sent is answered without its event, which may come meanwhile: the race
// detector would tell.
func TestTooMuchAheadWhileTheEventComes(t *testing.T) {
	c := &conn{parking: parking{watch: &parkedWatch{tooMuch: true}, phase: answering}}
	came := make(chan struct{})
	go func() {
		defer close(came)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.reply = &actors.WatchReply{}
	}()
	if c.hasHuge() {
		t.Error("it is answered with its event")
	}
	<-came
}
