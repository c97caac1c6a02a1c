package raftnode

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// at is a reading of the clocks: how long the process has run, and its wall clock.
func at(ran time.Duration, wall uint64) Reading {
	return Reading{Mono: 1_000_000 + uint64(ran), Wall: wall}
}

const (
	second = uint64(time.Second)
	noon   = uint64(1_700_000_000) * second // true time at the start of the process
)

func TestClock(t *testing.T) {
	hour := uint64(time.Hour)
	for _, test := range []struct {
		name string
		do   func(c *Clock)
		now  Reading
		want uint64
	}{
		{"the wall clock, if nobody has said anything", func(c *Clock) {}, at(0, noon), noon},
		{"also when it was set after the start", func(c *Clock) {}, at(time.Minute, noon), noon},
		{"not before the last entry of the log", func(c *Clock) { c.reach(noon+hour, at(0, noon)) }, at(0, noon), noon + hour},
		{"and from there on by what has passed", func(c *Clock) { c.reach(noon, at(0, 5)) }, at(time.Minute, 6), noon + 60*second},
		{"a leader goes on by what passes, and not by its wall clock", func(c *Clock) { c.lead(at(0, noon)) }, at(time.Minute, noon+hour), noon + 60*second},
		{"elected for the first time after the wall clock was set", func(c *Clock) { c.lead(at(time.Second, noon)) }, at(time.Minute, noon+hour), noon + 59*second},
		{"elected again", func(c *Clock) {
			c.lead(at(0, noon))
			c.lead(at(time.Second, noon+hour))
		}, at(time.Minute, noon), noon + 60*second},
		{"a follower goes on by the time of its leader", func(c *Clock) { c.follow(noon-hour, 3, at(0, noon)) }, at(time.Minute, noon), noon - hour + 60*second},
		{"also when it is elected", func(c *Clock) {
			c.follow(noon-hour, 3, at(0, noon))
			c.lead(at(time.Second, noon))
		}, at(time.Minute, noon), noon - hour + 60*second},
		{"what a machine has heard when it was elected", func(c *Clock) {
			c.hear(noon-hour, at(0, noon))
			c.hear(noon, at(0, noon))
			c.lead(at(time.Second, noon))
		}, at(time.Minute, noon), noon - hour + 60*second},
		{"is not before what is in its log", func(c *Clock) {
			c.reach(noon+second, at(0, 0))
			c.hear(noon, at(0, noon))
		}, at(0, noon), noon + second},
		{"a leader is believed, whatever others have said", func(c *Clock) {
			c.hear(noon-hour, at(0, noon))
			c.follow(noon, 3, at(0, noon))
			c.hear(noon-hour, at(0, noon))
		}, at(0, noon), noon},
		{"the next leader, too", func(c *Clock) {
			c.follow(noon, 3, at(0, noon))
			c.follow(noon-hour, 4, at(0, noon))
		}, at(0, noon), noon - hour},
		{"an entry that the next leader does not have", func(c *Clock) {
			c.follow(noon, 3, at(0, noon))
			c.reach(noon, at(0, noon))
			c.follow(noon-hour, 4, at(0, noon))
			c.lead(at(0, noon))
		}, at(0, noon), noon - hour},
		{"a message that was held up does not turn time back", func(c *Clock) {
			c.follow(noon, 3, at(0, noon))
			c.follow(noon, 3, at(time.Second, noon))
		}, at(time.Second, noon), noon + second - second/slip},
		{"a clock that runs too fast is put right, little by little", func(c *Clock) {
			for i := range uint64(100) {
				c.follow(noon+second*i, 3, at(time.Duration(i*(second+second/2000)), noon))
			}
		}, at(99*time.Duration(second+second/2000), noon), noon + 99*second},
		{"one that is too slow, at once", func(c *Clock) {
			c.follow(noon, 3, at(0, noon))
			c.follow(noon+60*second, 3, at(time.Second, noon))
		}, at(time.Second, noon), noon + 60*second},
		{"an entry of the leader that came late", func(c *Clock) {
			c.follow(noon, 3, at(0, noon))
			c.reach(noon-hour, at(time.Second, noon))
		}, at(time.Second, noon), noon + second},
		{"a reading that is older than what is known", func(c *Clock) { c.follow(noon, 3, at(time.Second, noon)) }, at(0, noon), noon},
		{"the end of time", func(c *Clock) { c.follow(math.MaxUint64-5, 3, at(0, noon)) }, at(time.Second, noon), math.MaxUint64},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := Clock{}
			c.reach(0, at(0, noon))
			test.do(&c)
			if got := c.At(test.now); got != test.want {
				t.Errorf("got %d, want %d (%v apart)", got, test.want, time.Duration(got-test.want))
			}
		})
	}
}

func TestTimesFromOtherMachines(t *testing.T) {
	c := Clock{}
	want := func(known, own bool) {
		t.Helper()
		if c.Known() != known || c.Own() != own {
			t.Errorf("known %t, own %t; want %t, %t", c.Known(), c.Own(), known, own)
		}
	}
	c.reach(noon, at(0, noon))
	want(false, false)
	c.lead(at(0, noon))
	c.lead(at(0, noon))
	want(true, true)
	c.follow(noon, 2, at(0, noon))
	want(true, false)
	c.lead(at(0, noon))
	want(true, false)
	c = Clock{}
	c.hear(noon, at(0, noon))
	c.lead(at(0, noon))
	want(true, false)
}

// A leader continues the time of its predecessor, less delays of the network and clock drift,
// and never from before the last entry, whatever its wall clock says.
func TestTimeIsHandedOverToTheNextLeader(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const machines = 3
		var clocks [machines]Clock
		var speed, mono, wall [machines]float64
		for i := range clocks {
			speed[i] = rapid.Float64Range(0.9998, 1.0002).Draw(t, "speed")
			mono[i] = rapid.Float64Range(0, 1e12).Draw(t, "mono")
			wall[i] = rapid.Float64Range(0, 2*float64(noon)).Draw(t, "wall")
		}
		read := func(i int) Reading { return Reading{Mono: uint64(mono[i]), Wall: uint64(wall[i])} }
		leader, term, last := 0, uint64(1), uint64(0)
		clocks[leader].lead(read(leader))
		for i := 1; i < machines; i++ {
			clocks[i].follow(clocks[leader].At(read(leader)), term, read(i))
		}
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			passed := rapid.Float64Range(0, 1e9).Draw(t, "passed")
			for i := range clocks {
				mono[i] += passed * speed[i]
				wall[i] += passed
			}
			now := clocks[leader].At(read(leader))
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0: // a heartbeat arrives, a little late
				for i := range clocks {
					if i != leader {
						clocks[i].follow(now-min(now, uint64(rapid.IntRange(0, 1e6).Draw(t, "late"))), term, read(i))
					}
				}
			case 1: // it writes
				if now < last {
					t.Fatalf("the entry is from %v before the one before", time.Duration(last-now))
				}
				last = now
				for i := range clocks {
					clocks[i].reach(now, read(i))
				}
			case 2: // another machine takes over
				for i := range clocks { // all have heard a heartbeat lately
					clocks[i].follow(now, term, read(i))
				}
				leader, term = rapid.IntRange(0, machines-1).Draw(t, "leader"), term+1
				clocks[leader].lead(read(leader))
				for i := range clocks {
					if i != leader {
						clocks[i].follow(clocks[leader].At(read(leader)), term, read(i))
					}
				}
				next := clocks[leader].At(read(leader))
				if apart := time.Duration(next - now).Abs(); apart > 20*time.Millisecond {
					t.Fatalf("the next leader is %v from the one before", apart)
				}
			case 3: // a wall clock is set
				wall[rapid.IntRange(0, machines-1).Draw(t, "whose")] = rapid.Float64Range(0, 2*float64(noon)).Draw(t, "to")
			}
		}
	})
}
