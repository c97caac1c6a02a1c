package e2e

import (
	"flag"
	"os"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var differentialAnswers = flag.Int("differential", enough, "how many answers TestDifferentialV2 compares, at least")

// enough is after how many answers each difference has been seen.
const enough = 20_000

// TestDifferentialV2 sends the same requests for keys to etcd 3.4 and to ours, and compares the
// answers. They differ in what docs/api-v2.md says and in nothing else.
func TestDifferentialV2(t *testing.T) {
	t.Parallel()
	reference := startDebianEtcd(t)
	s := newServer(t)
	s.data = inMemory(t)
	s.start()
	d := newDifferential(reference, s.client)
	defer d.hangUp()
	start := time.Now()
	for d.compared < *differentialAnswers {
		rapid.Check(t, d.run)
	}
	t.Logf("%d answers in %v", d.compared, time.Since(start))
	for _, difference := range differences {
		t.Logf("%s: %d", difference, d.used[difference])
		if d.used[difference] == 0 && *differentialAnswers >= enough {
			t.Errorf("%d answers have not shown %s", d.compared, difference)
		}
	}
}

// inMemory returns a data directory that no disk makes slow, if there is such a file system.
func inMemory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "etcd-e2e-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// differential compares two servers.
type differential struct {
	reference, ours           *line
	referenceWatch, oursWatch *line
	pairs                     *indexPairs
	used                      map[*difference]int
	compared                  int // answers
	directories               int
	left                      []string // keys of earlier directories, in terms of the reference
}

func newDifferential(reference, ours string) *differential {
	return &differential{
		reference: &line{address: reference}, referenceWatch: &line{address: reference},
		ours: &line{address: ours}, oursWatch: &line{address: ours},
		pairs: &indexPairs{ours: make(map[uint64]uint64)},
		used:  make(map[*difference]int),
	}
}

// hangUp closes all connections.
func (d *differential) hangUp() {
	for _, l := range []*line{d.reference, d.ours, d.referenceWatch, d.oursWatch} {
		l.close()
	}
}

// run compares a sequence of requests.
func (d *differential) run(t *rapid.T) {
	ended := false
	defer func() {
		if !ended { // and answers may be on their way
			d.hangUp()
		}
	}()
	s := &sequence{differential: d, t: t, diverged: true}
	step := func(act func()) func(*rapid.T) {
		return func(*rapid.T) {
			if s.diverged {
				s.renew()
			}
			act()
		}
	}
	write := step(func() { s.do(s.drawWrite(t)) })
	t.Repeat(map[string]func(*rapid.T){
		"read":        step(func() { s.do(s.drawRead(t)) }),
		"write":       write,
		"write again": write,
		"watch":       step(func() { s.do(s.drawWatch(t)) }),
		"take a name": step(s.takeName),
	})
	ended = true
}
