package raftnode_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"pgregory.net/rapid"

	"etcd/raftnode"
)

const ms = uint64(time.Millisecond)

func sentAppend(to, prev uint64, entries int) *raftpb.Message {
	m := &raftpb.Message{Type: raftpb.MsgApp.Enum(), To: &to, Term: new(uint64(5)), Index: &prev}
	for i := range entries {
		m.Entries = append(m.Entries, &raftpb.Entry{Index: new(prev + uint64(i) + 1)})
	}
	return m
}

func appendAnswer(from, index uint64) *raftpb.Message {
	return &raftpb.Message{Type: raftpb.MsgAppResp.Enum(), From: &from, Term: new(uint64(5)), Index: &index}
}

func TestFollowers(t *testing.T) {
	const d = time.Millisecond
	for _, c := range []struct {
		name string
		do   func(f *raftnode.Followers)
		want raftnode.FollowerStats
	}{
		{"nothing", func(*raftnode.Followers) {}, raftnode.FollowerStats{}},
		{"one", func(f *raftnode.Followers) {
			f.Sent(sentAppend(2, 10, 3), 100*ms)
			f.Answered(appendAnswer(2, 13), 104*ms)
		}, raftnode.FollowerStats{Success: 1, Current: 4 * d, Average: 4 * d, Minimum: 4 * d, Maximum: 4 * d}},
		{"one ack for two", func(f *raftnode.Followers) {
			f.Sent(sentAppend(2, 10, 1), 100*ms)
			f.Sent(sentAppend(2, 11, 1), 102*ms)
			f.Answered(appendAnswer(2, 12), 104*ms)
		}, raftnode.FollowerStats{Success: 2, Current: 2 * d, Average: 3 * d, StandardDeviation: d, Minimum: 2 * d, Maximum: 4 * d}},
		{"ack of a part", func(f *raftnode.Followers) {
			f.Sent(sentAppend(2, 10, 2), 100*ms)
			f.Answered(appendAnswer(2, 11), 104*ms)
		}, raftnode.FollowerStats{}},
		{"append without entries", func(f *raftnode.Followers) {
			f.Sent(sentAppend(2, 10, 0), 100*ms)
			f.Answered(appendAnswer(2, 10), 104*ms)
		}, raftnode.FollowerStats{}},
		{"of another member", func(f *raftnode.Followers) {
			f.Sent(sentAppend(2, 10, 1), 100*ms)
			f.Answered(appendAnswer(3, 11), 104*ms)
			f.Unreachable(3)
		}, raftnode.FollowerStats{}},
		{"ack for another leader", func(f *raftnode.Followers) {
			f.Sent(sentAppend(2, 10, 1), 100*ms)
			m := appendAnswer(2, 11)
			m.Term = new(uint64(4))
			f.Answered(m, 104*ms)
		}, raftnode.FollowerStats{}},
		{"refused", func(f *raftnode.Followers) {
			f.Sent(sentAppend(2, 10, 1), 100*ms)
			f.Sent(sentAppend(2, 11, 1), 100*ms)
			m := appendAnswer(2, 10)
			m.Reject = new(true)
			f.Answered(m, 104*ms)
			f.Answered(appendAnswer(2, 12), 105*ms)
		}, raftnode.FollowerStats{Fail: 2}},
		{"connection lost", func(f *raftnode.Followers) {
			f.Sent(sentAppend(2, 10, 1), 100*ms)
			f.Sent(sentAppend(2, 11, 1), 100*ms)
			f.Unreachable(2)
			f.Answered(appendAnswer(2, 12), 105*ms)
		}, raftnode.FollowerStats{Fail: 2}},
		{"unreachable", func(f *raftnode.Followers) {
			f.Unreachable(2)
			f.Unreachable(2)
		}, raftnode.FollowerStats{Fail: 2}},
		{"expired", func(f *raftnode.Followers) {
			f.Sent(sentAppend(2, 10, 1), 100*ms)
			f.Sent(sentAppend(2, 11, 1), 200*ms)
			f.Expire(200 * ms)
			f.Answered(appendAnswer(2, 12), 205*ms)
		}, raftnode.FollowerStats{Success: 1, Fail: 1, Current: 5 * d, Average: 5 * d, Minimum: 5 * d, Maximum: 5 * d}},
		{"clock runs backwards", func(f *raftnode.Followers) {
			f.Sent(sentAppend(2, 10, 1), 100*ms)
			f.Answered(appendAnswer(2, 11), 90*ms)
		}, raftnode.FollowerStats{Success: 1}},
		{"another leader", func(f *raftnode.Followers) {
			f.Sent(sentAppend(2, 10, 1), 100*ms)
			f.Unreachable(2)
			f.Reset()
			f.Answered(appendAnswer(2, 11), 101*ms)
		}, raftnode.FollowerStats{}},
		{"removed member", func(f *raftnode.Followers) {
			f.Unreachable(2)
			f.Stats(nil)
		}, raftnode.FollowerStats{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &raftnode.Followers{}
			c.do(f)
			c.want.Member = 2
			if got := f.Stats([]uint64{2}); len(got) != 1 || got[0] != c.want {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

// Appends in flight are bounded, whatever happens, and every one that was sent counts in the
// end as a success or a failure.
func TestFollowersBoundAppendsInFlight(t *testing.T) {
	f := &raftnode.Followers{}
	const n = 10_000
	for i := range uint64(n) {
		f.Sent(sentAppend(2, i, 1), i)
	}
	f.Answered(appendAnswer(2, n), n)
	got := f.Stats([]uint64{2})[0]
	if got.Success+got.Fail != n || got.Success == 0 || got.Success > 1000 {
		t.Errorf("%d of %d answered, %d given up", got.Success, n, got.Fail)
	}
}

// Average and standard deviation match those of all latencies.
func TestFollowersProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		took := rapid.SliceOfN(rapid.Uint64Range(0, 1<<40), 1, 50).Draw(t, "took")
		f := &raftnode.Followers{}
		sum := 0.0
		for i, d := range took {
			f.Sent(sentAppend(2, uint64(i), 1), 7)
			f.Answered(appendAnswer(2, uint64(i)+1), 7+d)
			sum += float64(d)
		}
		mean, squares := sum/float64(len(took)), 0.0
		for _, d := range took {
			squares += (float64(d) - mean) * (float64(d) - mean)
		}
		deviation := math.Sqrt(squares / float64(len(took)))
		near := func(got time.Duration, want float64) bool { return math.Abs(float64(got)-want) <= 2+want*1e-6 }
		got := f.Stats([]uint64{2})[0]
		if !near(got.Average, mean) || !near(got.StandardDeviation, deviation) ||
			uint64(got.Minimum) != slices.Min(took) || uint64(got.Maximum) != slices.Max(took) || got.Success != uint64(len(took)) {
			t.Errorf("%+v; want average %f and deviation %f", got, mean, deviation)
		}
	})
}
