package endpoint

import (
	"net"
	"net/url"
	"strings"
)

// HostOfURL is the host in a URL; empty if it has none.
func HostOfURL(memberURL string) string {
	u, err := url.Parse(memberURL)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// Scheme is that of a URL.
func Scheme(url string) string {
	scheme, _, _ := strings.Cut(url, "://")
	return scheme
}

// Unspecified says whether a host stands for all addresses of a machine, and so tells
// nobody else where it is.
func Unspecified(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}
