package raftnode

import (
	"slices"
	"testing"
)

// A single machine answers a ReadIndex at once. These tests are about the time in between in a
// cluster.

func readsOf(names ...string) *reads {
	rs := &reads{}
	for _, name := range names {
		rs.add(read{token: name, deadline: 10})
	}
	return rs
}

func wantTokens(t *testing.T, got []any, want ...any) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

func TestReadNeverJoinsBatchInFlight(t *testing.T) {
	rs := readsOf("a", "b")
	first := rs.start(0, 5)
	if first == nil {
		t.Fatal("nothing is asked")
	}
	rs.add(read{token: "c", deadline: 10})
	if rs.start(1, 5) != nil {
		t.Fatal("a second question goes out while one is under way")
	}
	rs.confirm(first, 7)
	wantTokens(t, rs.release(6, nil))
	wantTokens(t, rs.release(7, nil), "a", "b")
	wantTokens(t, rs.release(100, nil))

	second := rs.start(1, 5)
	if second == nil || slices.Equal(first, second) {
		t.Fatalf("got context %x after %x", second, first)
	}
	rs.confirm(second, 8)
	wantTokens(t, rs.release(8, nil), "c")
	if rs.start(20, 5) != nil {
		t.Fatal("something is asked for nobody")
	}
}

func TestBatchesAreReleasedInOrder(t *testing.T) {
	rs := readsOf("a")
	rs.confirm(rs.start(0, 5), 7)
	rs.add(read{token: "b", deadline: 10})
	rs.confirm(rs.start(0, 5), 9)
	rs.add(read{token: "c", deadline: 10})
	rs.confirm(rs.start(0, 5), 9)
	wantTokens(t, rs.release(8, nil), "a")
	wantTokens(t, rs.release(9, []any{"before"}), "before", "b", "c")
}

func TestBatchIsRetried(t *testing.T) {
	rs := readsOf("a")
	lost := rs.start(3, 5)
	if rs.start(7, 5) != nil {
		t.Fatal("it is asked again too early")
	}
	again := rs.start(8, 5)
	if again == nil || slices.Equal(lost, again) {
		t.Fatalf("asked again with context %x, first was %x", again, lost)
	}
	if rs.start(12, 5) != nil {
		t.Fatal("it is asked a third time too early")
	}
	// Answers to no ReadIndex in flight have no effect.
	rs.confirm(lost, 1)
	rs.confirm(nil, 1)
	rs.confirm([]byte("short"), 1)
	wantTokens(t, rs.release(100, nil))

	rs.confirm(again, 4)
	rs.confirm(again, 5)
	wantTokens(t, rs.release(4, nil), "a")
	wantTokens(t, rs.release(100, nil))
}

func TestReadsTimeOutInEveryQueue(t *testing.T) {
	expired := func(rs *reads, tick int) (tokens []any) {
		for _, r := range rs.expired(tick) {
			tokens = append(tokens, r.token)
		}
		return tokens
	}
	for _, c := range []struct {
		name string
		move func(rs *reads)
	}{
		{"queued", func(*reads) {}},
		{"asked", func(rs *reads) { rs.start(0, 5) }},
		{"confirmed", func(rs *reads) { rs.confirm(rs.start(0, 5), 7) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			rs := &reads{}
			rs.add(read{token: "a", deadline: 10})
			rs.add(read{token: "b", deadline: 11})
			c.move(rs)
			wantTokens(t, expired(rs, 9))
			wantTokens(t, expired(rs, 10), "a")
			wantTokens(t, expired(rs, 10))
			rs.confirm(rs.start(20, 5), 7)
			wantTokens(t, rs.release(7, nil), "b")

			rs = readsOf("c", "d")
			c.move(rs)
			wantTokens(t, expired(rs, 12), "c", "d")
			rs.add(read{token: "e", deadline: 30})
			rs.confirm(rs.start(12, 5), 7)
			wantTokens(t, rs.release(7, nil), "e")
		})
	}
}
