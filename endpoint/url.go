package endpoint

import (
	"net"
	"net/url"
	"strings"
)

// HostOfURL returns the host in a URL; empty if it has none.
func HostOfURL(memberURL string) string {
	u, err := url.Parse(memberURL)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// Scheme returns the scheme of a URL.
func Scheme(url string) string {
	scheme, _, _ := strings.Cut(url, "://")
	return scheme
}

// Unspecified reports whether a host stands for all addresses of a machine, and so does not
// tell others where it is.
func Unspecified(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}
