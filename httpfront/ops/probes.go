package ops

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"etcd/actors"
	"etcd/httpfront"
	"etcd/raftnode"
)

// Probes tell whether a machine lives, and whether it is ready: /livez fails if nothing but a
// restart helps, /readyz if clients had better ask another machine.

const (
	// maxDiskWait is how long the disk may take for a write to the log before a machine is not
	// ready, and deadDiskWait before it counts as dead.
	maxDiskWait  = 5 * time.Second
	deadDiskWait = 30 * time.Second
)

// check is one of a probe. Its error says what is wrong, and what to do. m is nil if there is no
// machine yet.
type check struct {
	name string
	run  func(x *httpfront.Exchange, m *actors.Machine) error
}

var (
	liveness = []check{{"raft", raftAnswers}, {"disk", diskAnswers(deadDiskWait)}}

	readiness = []check{{"data", dataIsThere}, {"leader", leaderIsKnown}, {"read", canRead}, {"disk", diskAnswers(maxDiskWait)}, {"log", logHasRoom}}
)

// probe answers whether all checks pass, within about a second.
func probe(checks []check) httpfront.Handler {
	return func(x *httpfront.Exchange) httpfront.Answer {
		f, bad := x.Form()
		if bad != nil {
			return bad
		}
		_, verbose := f.Get("verbose")
		if limit := time.Now().Add(healthTimeout); limit.Before(x.Deadline) {
			x.Deadline = limit
		}
		m := x.Machine() // it may come while the checks run
		if m != nil {
			x.Start()
		}
		var lines strings.Builder
		failed := false
		for _, c := range checks {
			err := c.run(x, m)
			failed = failed || err != nil
			switch {
			case err != nil:
				fmt.Fprintf(&lines, "[-]%s failed: %s\n", c.name, err)
			case verbose:
				fmt.Fprintf(&lines, "[+]%s ok\n", c.name)
			}
		}
		switch {
		case failed:
			return probed{lines.String(), http.StatusServiceUnavailable}
		case verbose:
			return probed{lines.String(), http.StatusOK}
		}
		return httpfront.Text("ok")
	}
}

// probed is the answer to a probe.
type probed struct {
	lines  string
	status int
}

func (a probed) Write(resp *fasthttp.Response) {
	httpfront.Text(a.lines).Write(resp)
	resp.SetStatusCode(a.status)
}

// raftAnswers checks that the raft actor is at work. A machine that has none yet reads its data.
func raftAnswers(x *httpfront.Exchange, m *actors.Machine) error {
	if m == nil {
		return nil
	}
	if _, err := x.Leader(); err != nil && !errors.Is(err, httpfront.ErrInFlight) {
		return errors.New("the raft actor has not answered within a second: this machine is stuck, or far too slow; keep a goroutine profile (--enable-pprof) and restart it")
	}
	return nil
}

// diskAnswers checks that no write to the log has waited for too long.
func diskAnswers(most time.Duration) func(*httpfront.Exchange, *actors.Machine) error {
	return func(_ *httpfront.Exchange, m *actors.Machine) error {
		if m != nil && m.DiskWait() > most {
			return fmt.Errorf("a write to the log has waited for the disk for %s: look at the disk (slow? failing? frozen?)", m.DiskWait().Round(time.Second))
		}
		return nil
	}
}

var errStarting = errors.New("this machine is still starting: it reads its data, or waits for the cluster that it is to join; its log says which")

// dataIsThere checks that everything committed before the start is applied.
func dataIsThere(_ *httpfront.Exchange, m *actors.Machine) error {
	if m == nil || !m.IsReady() {
		return errStarting
	}
	return nil
}

var errNoLeader = errors.New("no leader is known: too few members can reach each other, or an election is under way; the log of this machine says which members are missing")

func leaderIsKnown(x *httpfront.Exchange, m *actors.Machine) error {
	if m == nil {
		return errStarting
	}
	leader, err := x.Leader()
	switch {
	case errors.Is(err, httpfront.ErrInFlight):
		return err
	case err != nil:
		return errors.New("the raft actor has not answered within a second: this machine is overloaded or stuck")
	case leader == 0:
		return errNoLeader
	}
	return nil
}

// canRead checks that a linearizable read is served. Without a leader it is not tried.
func canRead(x *httpfront.Exchange, m *actors.Machine) error {
	if err := leaderIsKnown(x, m); err != nil {
		return err
	}
	err := x.SyncUntil(x.Deadline)
	switch {
	case errors.Is(err, raftnode.ErrNoLeader):
		return errNoLeader
	case errors.Is(err, httpfront.ErrNoAnswer):
		return errors.New("a linearizable read was not served within a second: the leader does not reach a majority, or is overloaded")
	case err != nil:
		return fmt.Errorf("a linearizable read was not served: %w", err)
	}
	return nil
}

func logHasRoom(_ *httpfront.Exchange, m *actors.Machine) error {
	if m != nil && m.LogFull() {
		return errors.New("the log is full until the next snapshot is on disk: the disk is too slow for what is written")
	}
	return nil
}
