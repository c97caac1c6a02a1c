package listen

import "testing"

// A connection that was closed does nothing to the one that has its descriptor now.
func TestPollerAfterTheEnd(t *testing.T) {
	poller := nativePoller(t)
	c, client := connected(t, nil)
	readable, never := make(told, 2), make(told, 2)
	if _, err := poller.Arm(c, readable); err != nil {
		t.Fatal(err)
	}
	dead := &Conn{polled: true, fd: c.fd, turn: c.turn - 1}
	if arrived, err := poller.Arm(dead, never); arrived || err != nil {
		t.Errorf("armed after the end: %t, %v", arrived, err)
	}
	poller.Forget(dead)
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	<-readable
	if len(never) > 0 {
		t.Error("the dead connection is told")
	}
	poller.Forget(c)
}
