package e2e

import (
	"flag"
	"fmt"
	"strings"
	"testing"
)

// reference is an etcd 3.4, such as Debian's, with which the harness itself is tried: what is expected of
// it is what it was seen to do.
var reference = flag.String("reference", "", "replay the reports about the v2 API with this `program`, an etcd 3.4, instead of ours")

// newReference prepares n machines of the reference that found a cluster.
func newReference(t testing.TB, n int, args ...string) []*server {
	t.Helper()
	members, list := make([]*server, n), make([]string, n)
	for i := range members {
		s := newMachine(t, fmt.Sprint("reference", i+1))
		s.program, s.today, s.foreign = *reference, true, true
		members[i], list[i] = s, s.name+"=http://"+s.peer
	}
	for _, s := range members {
		s.args = append([]string{"--enable-v2=true", "--initial-cluster=" + strings.Join(list, ",")}, args...)
	}
	return members
}
