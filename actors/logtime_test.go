package actors

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"etcd/raftnode"
	"etcd/store/logtime"
)

// setClock is a clock whose wall time is set while the other one goes on.
type setClock struct {
	*fakeClock
	ahead atomic.Int64
}

func (c *setClock) read() raftnode.Reading {
	r := c.fakeClock.read()
	r.Wall = uint64(c.time().Add(time.Duration(c.ahead.Load())))
	return r
}

// A wall clock that is set while the machine runs expires nothing, and later deadlines are
// right. The machine logs once an hour that it is wrong, and once that it is right again.
func TestWallClockIsSet(t *testing.T) {
	for _, ahead := range []time.Duration{-time.Hour, time.Hour} {
		t.Run(ahead.String(), func(t *testing.T) {
			clock, log := &setClock{fakeClock: newFakeClock()}, &bytes.Buffer{}
			m := start(t, t.TempDir(), func(cfg *Config) {
				cfg.Clock, cfg.Log = clock.read, slog.New(slog.NewTextHandler(log, nil))
			})
			began := clock.time()
			m.propose(set("/a", "1", 5*time.Millisecond))
			clock.ahead.Store(int64(ahead))
			m.sync()
			r := m.propose(set("/b", "1", 2*time.Minute))
			if want := began.Add(2 * time.Minute); r.Event.Node.Deadline != want || m.LogTime() != began {
				t.Errorf("deadline %v, want %v; the time of the log is %v, want %v", r.Event.Node.Deadline.Std(), want.Std(), m.LogTime().Std(), began.Std())
			}
			if r := m.read(m.Raft, "/a"); r.Node == nil {
				t.Error("a key expired because a clock was set")
			}
			clock.advance(5 * time.Millisecond)
			m.eventually("the key expires", func() bool { return m.read(m.Raft, "/a").Node == nil })
			clock.advance(logApartEvery)
			m.sync()
			clock.ahead.Store(0)
			m.sync()
			if err := m.stop(); err != nil {
				t.Fatal(err)
			}
			for what, want := range map[string]int{"is far from the time of the log": 2, "agrees with the time of the log again": 1, OwnClock: 1} {
				if got := strings.Count(log.String(), what); got != want {
					t.Errorf("%q is logged %d times, want %d:\n%s", what, got, want, log)
				}
			}
		})
	}
}

// A machine that is alone takes the time from its wall clock when it starts, but the time of
// the log does not run backwards: with a clock behind it, keys live as long as they were to.
func TestStartWithAWrongClock(t *testing.T) {
	neverSet := logtime.Of(time.Date(1970, time.January, 1, 0, 1, 0, 0, time.UTC))
	right := logtime.Of(time.Date(2026, time.January, 2, 3, 4, 5, 0, time.UTC))
	for _, test := range []struct {
		name  string
		first logtime.Time // of the first start, at which keys are set that live for an hour and for 5 ms
		again logtime.Time // of the second one
		left  []string     // keys that are there after the second start, and 5 ms later
		says  string
	}{
		{"right", right, right.Add(time.Millisecond), []string{"/hour /moment", "/hour"}, OwnClock},
		{"ahead", right, right.Add(2 * time.Hour), []string{"", ""}, OwnClock},
		{"behind", right, right.Add(-24 * time.Hour), []string{"/hour /moment", "/hour"}, "is far from the time of the log"},
		{"never set", right, neverSet, []string{"/hour /moment", "/hour"}, "was never set"},
		{"never set at the first start", neverSet, right, []string{"", ""}, OwnClock},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir, log := t.TempDir(), &bytes.Buffer{}
			clock := newFakeClock()
			clock.now.Store(uint64(test.first))
			m := start(t, dir, withClock(clock))
			m.propose(set("/hour", "1", time.Hour))
			m.propose(set("/moment", "1", 5*time.Millisecond))
			if err := m.stop(); err != nil {
				t.Fatal(err)
			}
			clock.now.Store(uint64(test.again))
			m = start(t, dir, withClock(clock), func(cfg *Config) { cfg.Log = slog.New(slog.NewTextHandler(log, nil)) })
			for _, want := range test.left {
				m.eventually(fmt.Sprintf("there are %q", want), func() bool {
					var keys []string
					for _, node := range m.read(m.Raft, "/").Children {
						if !strings.HasPrefix(node.Path, "/_") {
							keys = append(keys, node.Path)
						}
					}
					return strings.Join(keys, " ") == want
				})
				clock.advance(5 * time.Millisecond)
			}
			if err := m.stop(); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(log.String(), test.says) {
				t.Errorf("%q is not logged:\n%s", test.says, log)
			}
		})
	}
}

func TestClockWatchSaysNothingAboutSmallDifferences(t *testing.T) {
	log := &bytes.Buffer{}
	clock := newFakeClock()
	m := start(t, t.TempDir(), func(cfg *Config) {
		cfg.Clock = func() raftnode.Reading {
			r := clock.read()
			r.Wall -= uint64(maxApart)
			return r
		}
		cfg.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	})
	m.sync()
	if err := m.stop(); err != nil {
		t.Fatal(err)
	}
	if log.Len() > 0 {
		t.Errorf("logged:\n%s", log)
	}
}
