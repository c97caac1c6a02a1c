package endpoint

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

const (
	maxURL   = 300 // bytes; a scheme, the longest host and a port have fewer
	maxHost  = 253 // bytes of a DNS name
	maxLabel = 63  // bytes between two dots of it
	maxZone  = 64  // bytes of the zone of an IPv6 address
)

var (
	errURLTooLong = errors.New("it is longer than " + strconv.Itoa(maxURL) + " bytes")
	errScheme     = errors.New("it does not begin with http:// or https://")
	errExtra      = errors.New("it has more than a scheme, a host and a port")
	errHost       = errors.New("the host is neither a DNS name nor an IP address")
	errBrackets   = errors.New("an IPv6 address, and nothing else, is in brackets before its port")
	errPort       = errors.New("it has no port from 1 to 65535")
	errZone       = errors.New("the zone of the IPv6 address is not written as %25 and its name")
)

// CheckHost returns why host is not one that others can be told: a DNS name, in which
// underscores are allowed because container platforms give such names, or an IP address,
// without brackets. 0.0.0.0 and :: are addresses, too.
func CheckHost(host string) error {
	if len(host) > maxURL {
		return errURLTooLong
	}
	if _, err := netip.ParseAddr(host); err == nil {
		_, zone, zoned := strings.Cut(host, "%")
		if zoned && !isZone(zone) {
			return errHost
		}
		return nil
	}
	name := strings.TrimSuffix(host, ".")
	if len(name) > maxHost {
		return errHost
	}
	labels := strings.Split(name, ".")
	for _, label := range labels {
		if !isLabel(label) {
			return errHost
		}
	}
	// Some resolvers take such a name for an address, and others do not.
	if last := labels[len(labels)-1]; len(labels) > 1 && strings.Trim(last, "0123456789") == "" {
		return errHost
	}
	return nil
}

func isLabel(s string) bool {
	return s != "" && len(s) <= maxLabel && s[0] != '-' && s[len(s)-1] != '-' && consistsOf(s, "-_")
}

func isZone(s string) bool { return s != "" && len(s) <= maxZone && consistsOf(s, "-_.") }

// consistsOf reports whether s has only ASCII letters, digits and the bytes in others.
func consistsOf(s, others string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(others, c) >= 0) {
			return false
		}
	}
	return true
}

// CheckAddress returns why addr is not a host and a port, host:port, at which a machine can
// be reached.
func CheckAddress(addr string) error {
	if len(addr) > maxURL {
		return errURLTooLong
	}
	if strings.ContainsAny(addr, "/?#@") {
		return errExtra
	}
	host, port, err := net.SplitHostPort(addr)
	switch {
	case err != nil && strings.Count(addr, ":") > 1 && !strings.HasPrefix(addr, "["):
		return errBrackets
	case err != nil || !isPort(port):
		return errPort
	case strings.HasPrefix(addr, "[") != strings.Contains(host, ":"):
		return errBrackets
	}
	return CheckHost(host)
}

// isPort reports whether s is a port that can be dialled, in its canonical form.
func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0 && s[0] != '0'
}

// CheckURL returns why url is not one under which a machine can be reached: http or https,
// a host, a port, and nothing else.
func CheckURL(url string) error {
	scheme, addr, err := split(url)
	if err == nil && URL(scheme, addr) != url {
		err = errZone
	}
	return err
}

// URL returns the URL of a machine at an address that CheckAddress accepts.
func URL(scheme, addr string) string {
	return scheme + "://" + strings.Replace(addr, "%", "%25", 1) // of a zone
}

// Address returns the host and port, host:port, of a URL. It also takes one in which the zone of
// an IPv6 address is not escaped, as earlier versions wrote it.
func Address(url string) (string, error) {
	_, addr, err := split(url)
	return addr, err
}

// split takes a URL apart. addr is as it is dialled.
func split(url string) (scheme, addr string, err error) {
	if len(url) > maxURL {
		return "", "", errURLTooLong
	}
	scheme, rest, found := strings.Cut(url, "://")
	if !found || scheme != "http" && scheme != "https" {
		return "", "", errScheme
	}
	addr = strings.Replace(rest, "%25", "%", 1)
	if err := CheckAddress(addr); err != nil {
		return "", "", err
	}
	return scheme, addr, nil
}
