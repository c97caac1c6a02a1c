package listen

import (
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// exhaustedListener has no descriptor for the first connections.
type exhaustedListener struct {
	net.Listener
	left  atomic.Int64
	tried chan struct{} // receives after a failed accept
}

func newExhaustedListener(t *testing.T, times int64) *exhaustedListener {
	l := &exhaustedListener{Listener: loopback(t), tried: make(chan struct{}, 1)}
	l.left.Store(times)
	return l
}

func (l *exhaustedListener) Accept() (net.Conn, error) {
	if l.left.Add(-1) >= 0 {
		select {
		case l.tried <- struct{}{}:
		default:
		}
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return l.Listener.Accept()
}

// A port that is out of descriptors serves again once there are some, and logs what to do
// once.
func TestDescriptorsExhausted(t *testing.T) {
	l := newExhaustedListener(t, 3)
	p := open(t, l, Config{MaxConnections: 10}, nil)
	p.greeted(l)
	if log := p.log.take(); strings.Count(log, "level=ERROR") != 1 || !strings.Contains(log, "ulimit -n") || !strings.Contains(log, "too many open files") {
		t.Errorf("logged:\n%s", log)
	}
}

// A port that waits for descriptors can be stopped.
func TestStopWhileExhausted(t *testing.T) {
	l := newExhaustedListener(t, 1<<40)
	p := open(t, l, Config{MaxConnections: 10}, nil)
	<-l.tried
	p.Drain()
	<-p.stopped
}
