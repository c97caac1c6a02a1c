package peerfront

import (
	"testing"

	"etcd/store"
)

// TestCheckReachable checks which machines are refused because an address means another machine
// on another host.
func TestCheckReachable(t *testing.T) {
	const here, nowhere, there = "http://127.0.0.1:7001", "http://0.0.0.0:7001", "http://192.0.2.1:7001"
	for _, test := range []struct {
		joining, member string
		refused         bool
	}{
		{here, here, false},
		{here, there, false}, // odd, but it need not fail: 192.0.2.1 may be an address of this host
		{there, here, false},
		{there, there, false},
		{nowhere, here, false},
		{nowhere, nowhere, false},
		{here, nowhere, false},
		{"http://[::]:7001", nowhere, false},
		{"http://localhost:7001", nowhere, false},
		{nowhere, there, true},
		{there, nowhere, true},
		{"http://a.example:7001", "http://[::]:7001", true},
	} {
		got := checkReachable(store.Member{PeerURL: test.joining}, []store.Member{{PeerURL: here}, {PeerURL: test.member}})
		if (got != nil) != test.refused {
			t.Errorf("%s joins %s: %v", test.joining, test.member, got)
		}
	}
}
