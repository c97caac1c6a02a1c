package endpoint

import (
	"net"
	"net/netip"
)

// HostOf returns what counts as one host for limits per host: an address, or for IPv6 its /64,
// which is what a host is assigned.
func HostOf(addr net.Addr) netip.Prefix {
	full, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return netip.Prefix{} // all without an IP address are one host
	}
	ip := full.Addr().Unmap().WithZone("")
	bits := ip.BitLen()
	if ip.Is6() {
		bits = 64
	}
	host, err := ip.Prefix(bits)
	if err != nil {
		panic(err) // the bits are those of the address
	}
	return host
}
