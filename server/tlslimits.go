package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"

	"etcd/credentials"
)

// tlsVersions are the versions that may be asked for.
var tlsVersions = map[string]uint16{"": 0, "TLS1.2": tls.VersionTLS12, "TLS1.3": tls.VersionTLS13}

// shortNames are the names of suites that crypto/tls had first, and others still use.
var shortNames = map[string]uint16{
	"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305":   tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305": tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
}

// tlsLimits returns what both sides may use of TLS.
func (c *Config) tlsLimits() (l credentials.Limits, err error) {
	for _, version := range []struct {
		flag, given string
		to          *uint16
	}{{"--tls-min-version", c.TLSMinVersion, &l.MinVersion}, {"--tls-max-version", c.TLSMaxVersion, &l.MaxVersion}} {
		v, known := tlsVersions[version.given]
		if !known {
			return l, fmt.Errorf("%s %q: want TLS1.2 or TLS1.3", version.flag, version.given)
		}
		*version.to = v
	}
	switch {
	case l.MinVersion == tls.VersionTLS13 && l.MaxVersion == tls.VersionTLS12:
		return l, errors.New("--tls-min-version TLS1.3 and --tls-max-version TLS1.2 leave no version: change one of them")
	case len(c.CipherSuites) == 0:
		return l, nil
	case l.MinVersion == tls.VersionTLS13:
		return l, errors.New("--cipher-suites chooses those of TLS 1.2, and --tls-min-version TLS1.3 leaves that out: TLS 1.3 has no choice; leave one of them out")
	}
	l.Suites, err = parseSuites(c.CipherSuites)
	return l, err
}

// parseSuites returns the suites of TLS 1.2 among those with the given names.
func parseSuites(names []string) ([]uint16, error) {
	var suites []uint16
	for _, name := range names {
		suite, err := parseSuite(name)
		if err != nil {
			return nil, fmt.Errorf("--cipher-suites %q: %w", name, err)
		}
		if slices.Contains(suite.SupportedVersions, tls.VersionTLS12) {
			suites = append(suites, suite.ID)
		}
	}
	if suites == nil {
		return nil, fmt.Errorf("--cipher-suites %s: these are of TLS 1.3, which has no choice; name some of TLS 1.2, or give --tls-min-version TLS1.3 instead", strings.Join(names, ","))
	}
	return suites, nil
}

func parseSuite(name string) (*tls.CipherSuite, error) {
	named := func(s *tls.CipherSuite) bool { return s.Name == name || s.ID == shortNames[name] }
	all := tls.CipherSuites()
	if i := slices.IndexFunc(all, named); i >= 0 {
		return all[i], nil
	}
	if slices.ContainsFunc(tls.InsecureCipherSuites(), named) {
		return nil, errors.New("this suite is not secure; leave it out")
	}
	return nil, errors.New("there is no such suite; the names are those of Go's crypto/tls, such as TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256")
}
