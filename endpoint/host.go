package endpoint

import (
	"net"
	"net/netip"
)

// HostOf is what counts as one host where there is a bound for each: an address, or for IPv6 a
// network of 64 bits, which is what a host gets.
func HostOf(addr net.Addr) netip.Prefix {
	full, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return netip.Prefix{} // those whose address is none are one host
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
