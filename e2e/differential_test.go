package e2e

import (
	"flag"
	"os"
	"strconv"
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
	page, err := os.ReadFile("../docs/api-v2.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, difference := range differences {
		if !difference.isIn(string(page)) {
			t.Errorf("docs/api-v2.md does not say: %v", difference)
		}
	}
	reference := startDebianEtcd(t)
	history := max(100_000, 2**differentialAnswers) // which has all events
	s := newServer(t, "-m", strconv.Itoa(history))
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
		t.Logf("%v: %d times", difference, d.used[difference])
		if d.used[difference] == 0 && *differentialAnswers >= enough {
			t.Errorf("%d answers have not shown %v", d.compared, difference)
		}
	}
}

// differential compares two servers.
type differential struct {
	reference, ours           *line
	referenceWatch, oursWatch *line
	indexes                   indexMap // the reference's, and ours
	newest                    uint64   // of the reference
	used                      map[*difference]int
	compared                  int // answers
	directories               int
	left                      []string // keys of earlier directories, in terms of the reference
}

func newDifferential(reference, ours string) *differential {
	return &differential{
		reference: &line{address: reference}, referenceWatch: &line{address: reference},
		ours: &line{address: ours}, oursWatch: &line{address: ours},
		used: make(map[*difference]int),
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
