package actors

import (
	"log/slog"
	"sync/atomic"
	"time"

	"etcd/raftnode"
	"etcd/store/logtime"
)

// logTime shares the time of the log with all goroutines of this machine. The raft actor
// keeps it.
type logTime struct {
	clock func() raftnode.Reading
	known atomic.Pointer[raftnode.Clock]
}

// now may be called from any goroutine.
func (t *logTime) now() logtime.Time {
	known := t.known.Load()
	if known == nil {
		known = &raftnode.Clock{} // the machine is just starting
	}
	return logtime.Time(known.At(t.clock()))
}

// OwnClock is logged by a machine that leads and has taken the time of the log from its wall
// clock.
const OwnClock = "no other machine knows the time of the log, which goes on by the clock of this one"

const (
	// maxApart is how far the clock of a machine and the time of the log may be apart
	// before that is logged.
	maxApart = 10 * time.Second
	// logApartEvery is how often it is logged while it lasts.
	logApartEvery = time.Hour
)

// earliest is before the first version of this program: a clock behind it was never set.
var earliest = logtime.Of(time.Date(2025, time.January, 1, 0, 0, 0, 0, time.UTC))

// clockWatch logs when the clock of this machine looks wrong. The machine goes by the time of
// the log all the same.
type clockWatch struct {
	log    *slog.Logger
	own    bool // the time of the log was that of this machine when it looked last
	apart  bool
	logged uint64 // Mono of the last warning
}

func (w *clockWatch) look(clock raftnode.Clock, now raftnode.Reading) {
	if !clock.Known() {
		return
	}
	wall, log := logtime.Time(now.Wall), logtime.Time(clock.At(now))
	if clock.Own() && !w.own {
		w.logElected(wall, log)
	}
	w.own = clock.Own()
	switch apart := max(log.Sub(wall), wall.Sub(log)); {
	case apart > maxApart && (!w.apart || now.Mono-w.logged >= uint64(logApartEvery)):
		w.apart, w.logged = true, now.Mono
		w.log.Warn("the clock of this machine is far from the time of the log, by which all machines let keys expire; "+
			"it keeps to that of the log. If its clock is wrong, set it; if the time of the log is wrong, see Clocks in docs/operations.md",
			"clock", wall.Std(), "log", log.Std(), "apart", apart)
	case apart <= maxApart && w.apart:
		w.apart = false
		w.log.Info("the clock of this machine agrees with the time of the log again")
	}
}

// logElected logs that this machine was elected and no member knew the time of the log.
func (w *clockWatch) logElected(wall, log logtime.Time) {
	if wall < earliest {
		w.log.Warn("the clock of this machine was never set, and no other machine knows the time of the log, which goes by it now. "+
			"Set the clock, let the machine start only after that, and see Clocks in docs/operations.md", "clock", wall.Std(), "log", log.Std())
		return
	}
	w.log.Info(OwnClock, "clock", wall.Std(), "log", log.Std())
}
