package server

import (
	"crypto/tls"
	"slices"
	"strings"
	"testing"
)

// Flags limit versions and suites of TLS; what would leave nothing, or is not safe, is refused with
// a sentence.
func TestTLSLimits(t *testing.T) {
	const suite, short, of13 = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305", "TLS_AES_128_GCM_SHA256"
	for _, test := range []struct {
		least, most string
		suites      []string
		says        string // empty: it is taken
		want        []uint16
	}{
		{"", "", nil, "", nil},
		{"TLS1.2", "TLS1.3", nil, "", nil},
		{"TLS1.3", "", nil, "", nil},
		{"", "TLS1.2", []string{suite, short, of13}, "", []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256}},
		{"TLS1.1", "", nil, `--tls-min-version "TLS1.1": want TLS1.2 or TLS1.3`, nil},
		{"", "1.3", nil, `--tls-max-version "1.3": want TLS1.2 or TLS1.3`, nil},
		{"TLS1.3", "TLS1.2", nil, "leave no version", nil},
		{"TLS1.3", "", []string{suite}, "leave one of them out", nil},
		{"", "", []string{of13}, "--tls-min-version TLS1.3 instead", nil},
		{"", "", []string{suite, "TLS_RSA_WITH_RC4_128_SHA"}, `"TLS_RSA_WITH_RC4_128_SHA": this suite is not secure`, nil},
		{"", "", []string{"ECDHE-RSA-AES128-GCM-SHA256"}, "there is no such suite", nil},
		{"", "", []string{""}, "there is no such suite", nil},
	} {
		c := Defaults()
		c.TLSMinVersion, c.TLSMaxVersion, c.CipherSuites = test.least, test.most, test.suites
		err := c.Validate()
		if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("from %q to %q with %q: %v, want %q", test.least, test.most, test.suites, err, test.says)
		}
		if limits, _ := c.tlsLimits(); err == nil && !slices.Equal(limits.Suites, test.want) {
			t.Errorf("of %q these suites are used: %v", test.suites, limits.Suites)
		}
	}
}
