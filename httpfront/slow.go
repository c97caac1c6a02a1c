package httpfront

import (
	"context"
	"log/slog"
	"time"

	"etcd/store/logtime"
	"etcd/transport"
)

// slowLog returns the log of slow requests. It is bounded: a machine that is too slow is so for all
// of them.
func slowLog(log *slog.Logger) *slog.Logger {
	began := time.Now()
	return slog.New(transport.BoundedLog(log.Handler(), func() time.Duration { return time.Since(began) }))
}

// logSlow logs a request that took too long, and where the time went.
func (x *Exchange) logSlow(status int, took time.Duration) {
	attrs := []slog.Attr{
		slog.String("method", string(x.ctx.Method())), slog.String("path", x.Path), slog.Int("status", status),
		slog.String("from", x.ctx.RemoteAddr().String()), slog.Duration("took", took),
	}
	if x.server.isAttached() {
		attrs = append(attrs, x.phases(took, x.server.machine.LogTime())...)
	}
	x.server.slow.LogAttrs(context.Background(), slog.LevelWarn, "a request was slow", attrs...)
}

// phases divides the time that a request took, up to now. What it asked for was answered at a moment
// in the time of the log, which is the same on all machines but for the way of a message.
func (x *Exchange) phases(took time.Duration, now logtime.Time) []slog.Attr {
	t := x.times
	if t.Answered == 0 {
		return nil // it asked for nothing that has to wait, or got no answer
	}
	writing := since(t.Answered, now, took)
	if t.Logged == 0 { // a read
		return []slog.Attr{slog.Duration("leader", took-writing), slog.Duration("writing", writing)}
	}
	apply := since(t.Applying, t.Answered, took-writing)
	log := since(t.Logged, t.Applying, took-writing-apply)
	return []slog.Attr{
		slog.Duration("leader", took-writing-apply-log), slog.Duration("log", log), slog.Duration("apply", apply), slog.Duration("writing", writing),
	}
}

// since returns the time from one moment to another, but not more than most.
func since(from, to logtime.Time, most time.Duration) time.Duration {
	if to <= from {
		return 0
	}
	return min(time.Duration(to-from), most)
}
