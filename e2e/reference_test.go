package e2e

import (
	"flag"
	"fmt"
	"strings"
	"testing"
)

// reference is an etcd 3.4, as Debian has it, against which the harness itself is tried: what is
// expected of it is what was recorded.
var reference = flag.String("reference", "", "replay what was recorded of etcd's v2 API against this `program` instead of ours")

// referenceFlags are the flags of etcd for those of ours that cases need.
var referenceFlags = map[string][]string{
	"-cors *":             {"--cors=*"},
	"-m 1000":             nil, // it keeps no other number
	"--snapshot-count 10": {"--snapshot-count=10"},
}

// newReference prepares n machines of the reference that found a cluster, with some of our flags.
func newReference(t testing.TB, n int, args ...string) []*server {
	t.Helper()
	var flags []string
	if len(args) > 0 {
		known, ok := referenceFlags[strings.Join(args, " ")]
		if !ok {
			t.Fatalf("what is %q of the reference?", args)
		}
		flags = known
	}
	members := make([]*server, n)
	list := make([]string, n)
	for i := range members {
		s := newMachine(t, fmt.Sprint("reference", i+1))
		s.program, s.today, s.foreign = *reference, true, true
		members[i], list[i] = s, s.name+"=http://"+s.peer
	}
	for _, s := range members {
		s.args = append([]string{"--enable-v2=true", "--initial-cluster=" + strings.Join(list, ",")}, flags...)
	}
	return members
}
