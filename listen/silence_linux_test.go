package listen

import (
	"testing"
	"time"
)

// A client that takes nothing of what is sent to it is gone after the limit, and whoever has parked
// the connection is told.
func TestLimitSilence(t *testing.T) {
	poller := nativePoller(t)
	c, _ := connected(t, nil)
	if err := c.LimitSilence(100 * time.Millisecond); err != nil {
		t.Fatal(err)
	}
	readable := make(told, 2)
	if _, err := poller.Arm(c, readable); err != nil {
		t.Fatal(err)
	}
	if all, err := c.TryWrite(make([]byte, 32<<20)); all || err != nil { // more than the buffers of a socket hold
		t.Fatalf("all at once: %t, %v", all, err)
	}
	<-readable
	if n, err := c.TryRead(make([]byte, 1)); err == nil {
		t.Errorf("read %d bytes and no error", n)
	}
	poller.Forget(c)
}
