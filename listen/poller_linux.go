package listen

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// readiness is how many connections are taken from the kernel at a time.
const readiness = 128

// epoll is a descriptor on which one goroutine waits, as on any connection, for some of the
// others. The kernel tells of a connection each time that something arrives, see epoll(7) about
// EPOLLET, so arming it again takes no call.
type epoll struct {
	file *os.File
	raw  syscall.RawConn
	over chan struct{} // closed when the goroutine has ended

	mu     sync.Mutex
	fd     int      // of file; -1: it is closed
	polled []polled // by descriptor
}

// polled is a connection that the kernel tells of, at its descriptor.
type polled struct {
	reader  Readable // nil: it is not armed
	arrived bool     // something has, since it was armed last
	// turn tells the connections apart that have had this descriptor.
	turn int32
}

// NewPoller returns the poller of this system. It is always one that can be used: the error
// says why it is not the one that it should be.
func NewPoller() (Poller, error) {
	all := make(epolls, max(1, runtime.GOMAXPROCS(0)/2))
	for i := range all {
		var err error
		if all[i], err = newEpoll(); err != nil {
			return Peeks{}, errors.Join(err, all[:i].Close())
		}
	}
	return all, nil
}

// epolls share the connections, so that no single goroutine has to tell of all of them.
type epolls []*epoll

// Arm implements [Poller].
func (all epolls) Arm(c *Conn, r Readable) (arrived bool, err error) {
	if c.polled {
		return all.of(c.fd).arm(c, r), nil
	}
	return all.armFirst(c, r)
}

// armFirst arms a connection of which the kernel does not know.
func (all epolls) armFirst(c *Conn, r Readable) (arrived bool, err error) {
	s, ok := rawConn(c.Conn).(syscall.Conn)
	if !ok {
		return Peeks{}.Arm(c, r)
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return false, err
	}
	if controlErr := raw.Control(func(fd uintptr) { err = all.of(int(fd)).add(c, int(fd), r) }); controlErr != nil {
		return false, controlErr
	}
	return false, err
}

func (all epolls) of(fd int) *epoll { return all[fd%len(all)] }

// Forget implements [Poller].
func (all epolls) Forget(c *Conn) {
	if c.polled {
		all.of(c.fd).forget(c)
	}
}

// Release implements [Poller]. The kernel would go on telling of all that arrives, and wake a goroutine
// each time.
func (all epolls) Release(c *Conn) {
	if !c.polled {
		return
	}
	all.Forget(c)
	c.polled = false
	raw, err := rawConn(c.Conn).(syscall.Conn).SyscallConn()
	if err != nil {
		return // it is closed, and the kernel has forgotten it
	}
	p := all.of(c.fd)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fd < 0 {
		return // it is closed
	}
	_ = raw.Control(func(fd uintptr) { _ = unix.EpollCtl(p.fd, unix.EPOLL_CTL_DEL, int(fd), nil) }) // the same holds
}

// Close implements [Poller].
func (all epolls) Close() (err error) {
	for _, p := range all {
		err = errors.Join(err, p.close())
	}
	return err
}

func newEpoll() (*epoll, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err == nil {
		err = unix.SetNonblock(fd, true) // so that the runtime can wait for it
	}
	if err != nil {
		return nil, fmt.Errorf("listen: epoll: %w", err)
	}
	p := &epoll{file: os.NewFile(uintptr(fd), "epoll"), fd: fd, over: make(chan struct{})}
	if p.raw, err = p.file.SyscallConn(); err != nil {
		return nil, errors.Join(fmt.Errorf("listen: epoll: %w", err), p.file.Close())
	}
	go p.tell()
	return p, nil
}

// add has the kernel tell of a connection: at once, if something has arrived.
func (p *epoll) add(c *Conn, fd int, r Readable) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if fd >= len(p.polled) {
		p.polled = append(p.polled, make([]polled, fd+1-len(p.polled))...)
	}
	at := &p.polled[fd]
	*at = polled{reader: r, turn: at.turn + 1}
	c.turn = at.turn
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET&(1<<32-1), Fd: int32(fd), Pad: at.turn}
	if err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		at.reader = nil
		return fmt.Errorf("listen: epoll: %w", err)
	}
	c.polled, c.fd = true, fd
	return nil
}

func (p *epoll) arm(c *Conn, r Readable) (arrived bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := &p.polled[c.fd]
	switch {
	case at.turn != c.turn: // c is closed, and another connection may have the descriptor
		return false
	case at.arrived:
		at.arrived = false
		return true
	}
	at.reader = r
	return false
}

func (p *epoll) forget(c *Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at := &p.polled[c.fd]; at.turn == c.turn {
		*at = polled{turn: at.turn + 1}
	}
}

// tell tells of connections until the poller is closed.
func (p *epoll) tell() {
	defer close(p.over)
	events := make([]unix.EpollEvent, readiness)
	for {
		var n int
		err := p.raw.Read(func(fd uintptr) bool {
			var err error
			n, err = unix.EpollWait(int(fd), events, 0)
			return n > 0 || err != nil && !errors.Is(err, unix.EINTR)
		})
		if err != nil {
			return // it was closed
		}
		for _, e := range events[:max(0, n)] {
			if r := p.take(e); r != nil {
				r.Readable()
			}
		}
	}
}

func (p *epoll) take(e unix.EpollEvent) Readable {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := &p.polled[e.Fd]
	if at.turn != e.Pad {
		return nil
	}
	r := at.reader
	// The kernel does not tell again that the client has gone, which may come with its last bytes.
	gone := e.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0
	at.reader, at.arrived = nil, r == nil || gone
	return r
}

func (p *epoll) close() error {
	p.mu.Lock()
	closed := p.fd < 0
	p.fd = -1
	p.mu.Unlock()
	if closed {
		return nil
	}
	err := p.file.Close()
	<-p.over
	return err
}
