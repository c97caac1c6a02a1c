package e2e

import (
	"bytes"
	"errors"
	"io"
	"net"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"etcd/internal/freeport"
)

// link is the state of the network from one machine to another, in one direction.
type link struct {
	held  bool          // bytes wait until the link is healed, as TCP does when packets are lost
	cut   bool          // connections break and none is made
	delay time.Duration // of every byte
}

// network stands between the peers of a cluster: one proxy for each machine, at
// its advertised peer address. The dialer of a stream is known from the
// handshake of the peer protocol; requests without one are let through unless
// their target is cut off from all machines.
type network struct {
	t     testing.TB
	slots int

	mu      sync.Mutex
	changed chan struct{} // closed when a link changes
	links   map[[2]int]link
	ids     map[uint64]int // slots of member IDs
	conns   map[*proxied]bool
	wg      sync.WaitGroup
	closed  bool
}

// proxied is a connection between two machines.
type proxied struct {
	from, to int // from is -1 if it is not known
	ends     [2]net.Conn
}

// anybody stands for a machine that has not identified itself.
const anybody = -1

// newNetwork puts proxies before the peer ports of all members, which must
// not have been started yet.
func newNetwork(c *cluster) *network {
	c.t.Helper()
	n := &network{
		t: c.t, slots: len(c.members), changed: make(chan struct{}),
		links: map[[2]int]link{}, ids: map[uint64]int{}, conns: map[*proxied]bool{},
	}
	var listeners []net.Listener
	for slot, s := range c.members {
		s.listen = freeport.Address(c.t)
		l, err := net.Listen("tcp", s.peer)
		if err != nil {
			c.t.Fatal(err)
		}
		listeners = append(listeners, l)
		target := s.listen
		n.wg.Go(func() { n.accept(l, slot, target) })
	}
	c.t.Cleanup(func() {
		for _, l := range listeners {
			l.Close()
		}
		n.close()
		n.wg.Wait()
	})
	return n
}

// learn reads the member IDs of the cluster, without which dialers cannot be
// told apart. Earlier connections are closed, so that they are dialled again.
func (n *network) learn(c *cluster) {
	n.t.Helper()
	list, err := c.members[0].list()
	if err != nil {
		n.t.Fatal(err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, m := range list {
		id, err := strconv.ParseUint(m.ID, 16, 64)
		slot := slices.IndexFunc(c.members, func(s *server) bool { return s.name == m.Name })
		if err != nil || slot < 0 {
			n.t.Fatalf("member %+v: slot %d, %v", m, slot, err)
		}
		n.ids[id] = slot
	}
	if len(n.ids) != n.slots {
		n.t.Fatalf("the IDs of %d of %d machines are known", len(n.ids), n.slots)
	}
	for p := range n.conns {
		p.close()
	}
}

// set changes the link from one machine to another.
func (n *network) set(from, to int, l link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.links[[2]int{from, to}] = l
	if l.cut {
		for p := range n.conns {
			if p.from == from && p.to == to || p.from == to && p.to == from {
				p.close()
			}
		}
	}
	n.notify()
}

// setAll changes all links from a machine (out) and to it (in).
func (n *network) setAll(slot int, out, in link) {
	for other := range n.slots {
		if other != slot {
			n.set(slot, other, out)
			n.set(other, slot, in)
		}
	}
}

// heal resets all links.
func (n *network) heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.links)
	n.notify()
}

func (n *network) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	for p := range n.conns {
		p.close()
	}
	n.notify()
}

func (n *network) notify() {
	close(n.changed)
	n.changed = make(chan struct{})
}

// link returns the state of a link and a channel that is closed when any link
// changes. An unknown dialer is only affected if all machines are.
func (n *network) link(from, to int) (l link, changed <-chan struct{}, closed bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if from != anybody && to != anybody {
		return n.links[[2]int{from, to}], n.changed, n.closed
	}
	l = link{held: true, cut: true}
	for other := range n.slots {
		ends := [2]int{other, to}
		if to == anybody {
			ends = [2]int{from, other}
		}
		if ends[0] != ends[1] {
			one := n.links[ends]
			l.held, l.cut = l.held && one.held, l.cut && one.cut
		}
	}
	return l, n.changed, n.closed
}

func (n *network) accept(l net.Listener, to int, target string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		n.wg.Go(func() { n.serve(c, to, target) })
	}
}

// senderLine matches the header in which a request of the peer protocol names its sender.
var senderLine = regexp.MustCompile(`(?i)\r\nX-Etcd-From: *([0-9a-f]+)\r\n`)

// serve forwards one connection until it ends.
func (n *network) serve(in net.Conn, to int, target string) {
	defer in.Close()
	in.SetReadDeadline(time.Now().Add(waitLimit))
	head, err := readHead(in)
	in.SetReadDeadline(time.Time{})
	if err != nil {
		return
	}
	p := &proxied{from: anybody, to: to}
	if m := senderLine.FindSubmatch(head); m != nil {
		id, _ := strconv.ParseUint(string(m[1]), 16, 64)
		n.mu.Lock()
		if slot, ok := n.ids[id]; ok {
			p.from = slot
		}
		n.mu.Unlock()
	}
	there, _, _ := n.link(p.from, p.to)
	back, _, _ := n.link(p.to, p.from)
	if there.cut || back.cut {
		return
	}
	out, err := net.DialTimeout("tcp", target, waitLimit)
	if err != nil {
		return
	}
	defer out.Close()
	p.ends = [2]net.Conn{in, out}
	n.mu.Lock()
	n.conns[p] = true
	closed := n.closed
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		delete(n.conns, p)
		n.mu.Unlock()
	}()
	if closed {
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() { n.carry(out, io.MultiReader(bytes.NewReader(head), in), p.from, p.to); p.close() })
	wg.Go(func() { n.carry(in, out, p.to, p.from); p.close() })
	wg.Wait()
}

func (p *proxied) close() {
	for _, c := range p.ends {
		if c != nil {
			c.Close()
		}
	}
}

// maxHead bounds the head of a request in bytes.
const maxHead = 64 << 10

// readHead reads at least the head of a request.
func readHead(c net.Conn) ([]byte, error) {
	var head []byte
	b := make([]byte, 4096)
	for !bytes.Contains(head, []byte("\r\n\r\n")) {
		n, err := c.Read(b)
		head = append(head, b[:n]...)
		if err != nil {
			return nil, err
		}
		if len(head) > maxHead {
			return nil, errors.New("the head of a request is too long")
		}
	}
	return head, nil
}

// piece is some bytes in flight.
type piece struct {
	bytes []byte
	read  time.Time
}

// carry forwards one direction of a connection as its link allows, until it
// breaks.
func (n *network) carry(out net.Conn, in io.Reader, from, to int) {
	pieces := make(chan piece, 64)
	done := make(chan struct{})
	defer close(done)
	n.wg.Go(func() {
		defer close(pieces)
		for {
			b := make([]byte, 32<<10)
			k, err := in.Read(b)
			if k > 0 {
				select {
				case pieces <- piece{b[:k], time.Now()}:
				case <-done:
					return
				}
			}
			if err != nil {
				return
			}
		}
	})
	for p := range pieces {
		if !n.wait(from, to, p.read) {
			return
		}
		if _, err := out.Write(p.bytes); err != nil {
			return
		}
	}
}

// wait returns when a piece that was read at the given time may be forwarded,
// and false if it never may.
func (n *network) wait(from, to int, read time.Time) bool {
	for {
		l, changed, closed := n.link(from, to)
		left := time.Until(read.Add(l.delay))
		switch {
		case closed || l.cut:
			return false
		case l.held:
			<-changed
		case left > 0:
			select {
			case <-changed:
			case <-time.After(left):
			}
		default:
			return true
		}
	}
}
