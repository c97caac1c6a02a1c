package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"etcd/credentials/certtest"
)

// startAgain starts a machine, and returns why that failed instead of ending the test.
func startAgain(members ...*server) error {
	for _, s := range members {
		s.launch()
	}
	for _, s := range members {
		select {
		case <-s.proc.serving:
		case <-s.proc.exited:
			return fmt.Errorf("%s does not start: exit code %d: %s", s.name, s.proc.cmd.ProcessState.ExitCode(), lastLines(s))
		case <-time.After(startLimit):
			return fmt.Errorf("%s does not serve: %s", s.name, lastLines(s))
		}
	}
	return nil
}

// lastLines returns the last message in the log of a machine, or the end of the log without one.
func lastLines(s *server) string {
	log := s.proc.stderr()
	return fmt.Sprintf("%.600q", log[max(strings.LastIndex(log, "\ntime="), strings.LastIndex(log, "\npanic: "), strings.LastIndex(log, "\netcd: "), 0):])
}

// arena is a cluster that strangers attack, with its state from before.
type arena struct {
	*cluster
	before []clusterMember
	rounds int
	lines  map[*process]int // of the log that were checked
}

func newArena(c *cluster) *arena {
	a := &arena{cluster: c, lines: make(map[*process]int)}
	a.members[0].event(post("/v1/keys/canary", "value", "alive"))
	list, err := a.members[0].list()
	if err != nil {
		a.t.Fatal(err)
	}
	a.before = list
	return a
}

// harm returns what is wrong with the cluster; nil if every machine accepts a write that every
// machine reads, and members and keys are unchanged.
func (a *arena) harm() error {
	a.rounds++
	for _, s := range a.members {
		key, value := "/v1/keys/round/"+s.name, strconv.Itoa(a.rounds)
		if err := a.answers(s, post(key, "value", value), `"value":"`+value+`"`); err != nil {
			return err
		}
		for _, other := range a.members {
			if err := a.answers(other, get(key), `"value":"`+value+`"`); err != nil {
				return err
			}
		}
	}
	for _, s := range a.members {
		if err := errors.Join(a.answers(s, get("/v1/keys/canary"), `"value":"alive"`), a.answers(s, get("/v1/keys/stranger"), `"errorCode":100`)); err != nil {
			return err
		}
		list, err := s.list()
		if err != nil {
			return err
		}
		if !slices.EqualFunc(list, a.before, func(x, y clusterMember) bool { return fmt.Sprint(x) == fmt.Sprint(y) }) {
			return fmt.Errorf("%s has the members %v, and had %v", s.name, list, a.before)
		}
		if err := a.readLog(s); err != nil {
			return err
		}
	}
	return nil
}

// answers returns an error if a machine does not answer a request as wanted. It may take as
// long as an election.
func (a *arena) answers(s *server, r request, want string) error {
	var last string
	if holdsSoon(func() bool {
		if !s.runs() {
			return true
		}
		answer, err := exchange(s.client, r)
		last = fmt.Sprint(answer.status, " ", answer.body, " ", err)
		return err == nil && strings.Contains(answer.body, want)
	}) && s.runs() {
		return nil
	}
	if !s.runs() {
		return fmt.Errorf("%s has ended: %s", s.name, lastLines(s))
	}
	return fmt.Errorf("%s answers %s %s with %s", s.name, r.method, r.target, last)
}

// readLog returns an error if the log of a machine repeats raw what a stranger has sent, or is
// flooded by it.
func (a *arena) readLog(s *server) error {
	const most = 150
	log := s.proc.stderr()
	if i := strings.IndexFunc(log, func(r rune) bool { return r != '\n' && unicode.IsControl(r) || r == '\u202e' }); i >= 0 {
		return fmt.Errorf("the log of %s has a control character: %.200q", s.name, log[i:])
	}
	lines := strings.Count(log, "\n")
	fresh := lines - a.lines[s.proc]
	a.lines[s.proc] = lines
	if fresh > most {
		return fmt.Errorf("the log of %s has got %d lines: %s", s.name, fresh, lastLines(s))
	}
	return nil
}

// restart kills and restarts all machines.
func (a *arena) restart() error {
	a.kill(a.members...)
	return startAgain(a.members...)
}

// calmElections are flags for clusters that should keep their leader on a busy host.
var calmElections = []string{"-heartbeat", "50ms", "-election", "700ms", "-request-timeout", "3s"}

// TestStrangers: whatever an attacker sends to the peer port, all machines go on, restart, and
// have the same state.
func TestStrangers(t *testing.T) {
	t.Parallel()
	ca := certtest.New("CA")
	alice := ca.Issue("alice", func(c *x509.Certificate) {
		c.DNSNames, c.IPAddresses, c.ExtKeyUsage = nil, nil, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	})
	client := identity{alice, []*certtest.CA{ca}}.config()
	for _, test := range []struct {
		name  string
		size  int
		tls   bool
		shows *tls.Config
	}{
		{"one machine", 1, false, nil},
		{"three machines", 3, false, nil},
		{"one machine with TLS, without a certificate", 1, true, &tls.Config{RootCAs: ca.Pool()}},
		{"one machine with TLS, with the certificate of a client", 1, true, client},
		{"three machines with TLS, with the certificate of a client", 3, true, client},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			withstand(t, func() (*arena, *stranger) {
				var c *cluster
				if test.tls {
					c = startSecureOf(t, test.size, ca, calmElections...).cluster
				} else {
					c = startCluster(t, test.size, calmElections...)
				}
				st := newStranger(c, test.shows)
				return newArena(c), st
			})
		})
	}
}

// withstand has a stranger carry out every attack on a cluster. A cluster that was harmed is
// replaced.
func withstand(t *testing.T, start func() (*arena, *stranger)) {
	a, st := start()
	for _, attack := range attacks {
		harmed := false
		t.Run(attack.name, func(t *testing.T) {
			st.listen()
			err := attack.do(st)
			if err == nil {
				err = a.harm()
			}
			if err == nil && attack.restarts {
				if err = a.restart(); err == nil {
					err = a.harm()
				}
			}
			if err != nil {
				harmed = true
				t.Error(err)
			}
		})
		if harmed {
			a, st = start()
		}
	}
	if err := a.restart(); err != nil {
		t.Fatal(err)
	}
	a.checkSameState()
}
