package freeport

import (
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"testing"
)

// Ports are below the ephemeral range, from which the kernel takes those of outgoing connections and of
// listeners that ask for any, so that a server that is down for a moment finds its port still free. The first
// one depends on the process ID, so that two test runs on one host rarely collide.
const first, count = 20000, 12000

var given atomic.Uint32

// Address returns an unused address of the loopback interface, which this test run has not returned before.
func Address(t testing.TB) string {
	t.Helper()
	for range count {
		n := uint32(os.Getpid())*61 + given.Add(1)
		address := fmt.Sprintf("127.0.0.1:%d", first+n%count)
		if l, err := net.Listen("tcp", address); err == nil {
			_ = l.Close()
			return address
		}
	}
	t.Fatal("no free port")
	return ""
}
