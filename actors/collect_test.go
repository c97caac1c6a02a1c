package actors

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/prometheus/client_golang/prometheus"

	"etcd/watch"
)

// scrape returns the values of a machine's metrics, but for histograms, by name and labels:
// "etcd_actor_running{kind=raft}".
func (m *testMachine) scrape() map[string]float64 {
	m.t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(m.Machine)
	families, err := registry.Gather()
	if err != nil {
		m.t.Fatal(err)
	}
	values := make(map[string]float64)
	for _, f := range families {
		for _, metric := range f.Metric {
			var labels []string
			for _, l := range metric.Label {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			name := f.GetName()
			if len(labels) > 0 {
				slices.Sort(labels)
				name = fmt.Sprintf("%s{%s}", name, strings.Join(labels, ","))
			}
			values[name] = metric.GetGauge().GetValue() + metric.GetCounter().GetValue()
		}
	}
	return values
}

// What fails, is lost or panics is counted.
func TestCountedFailures(t *testing.T) {
	m := start(t, t.TempDir(), func(c *Config) { c.HistoryLimit = 2 })
	for i := range 5 {
		m.set("/a", fmt.Sprint(i))
	}
	m.watch(7, "/a", 1) // cleared
	if d := m.watched(); d.Err == nil {
		t.Fatalf("watched %+v", d)
	}
	sessions := m.UntimedKind("session")
	pid := m.System.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		if ctx.Message() == "panic" {
			panic("it is broken")
		}
	}, actor.WithMailbox(sessions.Inline()), actor.WithGuardian(StopOnPanic(slog.New(slog.DiscardHandler)))))
	if got := m.scrape(); got["etcd_actor_running{kind=session}"] != 1 || got["etcd_actor_panics_total{kind=session}"] != 0 {
		t.Errorf("before the panic: %v", got)
	}
	m.System.Root.Send(pid, "panic")
	m.eventually("the session is stopped", func() bool { return sessions.Running() == 0 })
	m.metrics.countFailure(&Propose{})
	m.metrics.countFailure(&Read{})
	m.metrics.countFailure(nil) // of another machine
	m.metrics.countDeliveries([]watch.Delivery{{}, {Err: ErrClosing}, {Err: ErrHistoryLost}, {Err: &watch.ClearedError{}}})
	got := m.scrape()
	for name, want := range map[string]float64{
		"etcd_actor_panics_total{kind=session}": 1, "etcd_actor_ended_total{kind=session}": 1, "etcd_actor_running{kind=session}": 0,
		"etcd_server_proposals_failed_total": 1, "etcd_server_read_indexes_failed_total": 1,
		"etcd_watch_lost_total": 3, "etcd_watch_events_delivered_total": 1, "etcd_debugging_store_watch_requests_total": 1,
		"etcd_store_history_events": 2, "etcd_store_history_limit_events": 2,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
}

// A batch that takes long to apply is counted.
func TestSlowApplies(t *testing.T) {
	m := newMetrics()
	m.applied(1, 1+slowApply)
	if n := m.slowApplies.Load(); n != 0 {
		t.Errorf("%d of a batch that has taken as long as it may", n)
	}
	m.applied(1, 2+slowApply)
	m.applied(5, 1) // the time of the log may be corrected
	if n := m.slowApplies.Load(); n != 1 {
		t.Errorf("counted %d", n)
	}
}

// The times of a write are in order, and those of a read are there.
func TestTimesOfRequests(t *testing.T) {
	m := start(t, t.TempDir())
	before := m.LogTime()
	m.root.Send(m.Raft, &Propose{ID: 1, ReplyTo: m.pid, Command: set("/a", "1", 0)})
	reply := next[*Proposed](m.probe)
	times := []uint64{uint64(before), uint64(reply.Times.Logged), uint64(reply.Times.Applying), uint64(reply.Times.Answered), uint64(m.LogTime())}
	if reply.Err != nil || !slices.IsSorted(times) || times[1] == 0 {
		t.Errorf("%+v, times %d", reply, times)
	}
	if read := m.read(m.Raft, "/a"); read.Answered < reply.Times.Answered {
		t.Errorf("a read was answered at %d, the write before it at %d", read.Answered, reply.Times.Answered)
	}
	if read := m.read(m.Store, "/a"); read.Answered != 0 {
		t.Errorf("a local read waited until %d", read.Answered)
	}
}
