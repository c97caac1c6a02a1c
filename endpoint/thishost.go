package endpoint

import (
	"net"
	"os"
	"strings"
)

// OnThisHost reports whether a host, as in an address, is the one that this process runs on.
// Names are not looked up: of those, only localhost and the host's own are known.
func OnThisHost(host string) bool {
	ip := net.ParseIP(host)
	if ip == nil {
		own, err := os.Hostname()
		return strings.EqualFold(host, "localhost") || err == nil && strings.EqualFold(host, own)
	}
	if ip.IsLoopback() || ip.IsUnspecified() {
		return true
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, addr := range addrs {
		if n, ok := addr.(*net.IPNet); ok && n.IP.Equal(ip) {
			return true
		}
	}
	return false
}
