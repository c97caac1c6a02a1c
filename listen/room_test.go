package listen

import (
	"net"
	"slices"
	"testing"

	"etcd/endpoint"
)

// roomTest is a room whose connections have names.
type roomTest struct {
	room Room[*Conn]
	all  map[*Conn]string
	gone []string
}

func (c *roomTest) dial(addr, name string) *Conn {
	one := &Conn{host: endpoint.HostOf(&net.TCPAddr{IP: net.ParseIP(addr), Port: 4711})}
	c.all[one] = name
	if victim := c.room.Add(one); victim != nil {
		c.gone = append(c.gone, c.all[victim])
	}
	return one
}

// A host that opens many connections gets its own evicted, however many hosts do; those of
// other hosts, and those that were admitted, stay.
func TestRoom(t *testing.T) {
	c := &roomTest{room: Room[*Conn]{Limit: 4}, all: make(map[*Conn]string)}
	c.dial("10.0.0.1", "member")
	for _, name := range []string{"a1", "a2", "a3", "a4", "a5"} {
		c.dial("10.6.6.6", name)
	}
	if want := []string{"a1", "a2"}; !slices.Equal(c.gone, want) {
		t.Errorf("after five of one host %v have gone, want %v", c.gone, want)
	}
	c.gone = nil
	for _, name := range []string{"b1", "b2", "b3"} {
		c.dial("2001:db8::"+name, name) // one network
	}
	if want := []string{"a3", "a4", "b1"}; !slices.Equal(c.gone, want) {
		t.Errorf("after three of another host %v have gone, want %v", c.gone, want)
	}
	c.gone = nil
	in := c.dial("10.0.0.2", "second member")
	c.room.Remove(in) // it was admitted
	for _, addr := range []string{"10.0.1.1", "10.0.1.2", "10.0.1.3", "10.0.1.4", "10.0.1.5"} {
		c.dial(addr, addr)
	}
	if slices.Contains(c.gone, "second member") {
		t.Error("a connection over which somebody was let in has gone")
	}
	if len(c.room.conns) != 4 {
		t.Errorf("%d are counted, want 4", len(c.room.conns))
	}
	for one := range c.all {
		c.room.Remove(one)
	}
	if len(c.room.conns) > 0 || len(c.room.count) > 0 {
		t.Errorf("after all have gone %d are counted, of %d hosts", len(c.room.conns), len(c.room.count))
	}
}
