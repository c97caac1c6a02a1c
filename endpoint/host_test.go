package endpoint

import (
	"net"
	"testing"
)

// TestHosts: all spellings of an address are one host, and so is an IPv6 network.
func TestHosts(t *testing.T) {
	host := func(addr string) any { return HostOf(&net.TCPAddr{IP: net.ParseIP(addr), Port: 1}) }
	for _, same := range [][2]string{{"10.0.0.1", "::ffff:10.0.0.1"}, {"2001:db8::1", "2001:db8::ffff:1"}} {
		if host(same[0]) != host(same[1]) {
			t.Errorf("%s and %s are two hosts", same[0], same[1])
		}
	}
	for _, two := range [][2]string{{"10.0.0.1", "10.0.0.2"}, {"2001:db8::1", "2001:db8:0:1::1"}} {
		if host(two[0]) == host(two[1]) {
			t.Errorf("%s and %s are one host", two[0], two[1])
		}
	}
	if HostOf(&net.UnixAddr{Name: "x", Net: "unix"}).IsValid() {
		t.Error("an address of another kind is one of IP")
	}
}
