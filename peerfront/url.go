package peerfront

import (
	"net/url"
	"strings"
)

// urlHost is the host of a URL; empty if it has none.
func urlHost(memberURL string) string {
	u, err := url.Parse(memberURL)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// scheme is that of a URL.
func scheme(url string) string {
	scheme, _, _ := strings.Cut(url, "://")
	return scheme
}
