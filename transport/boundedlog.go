package transport

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// logBurst is how many lines with one message are logged before there is a limit.
	logBurst = 20
	// logEvery is the time after which there may be one more.
	logEvery = time.Second
	// maxLogMessages bounds the messages that are told apart; there are far fewer.
	maxLogMessages = 100
)

// BoundedLog returns a handler that rate limits the lines that peers, and strangers who pose as
// one, can cause at will: of those with one message next gets 20 at once, and then one a
// second. The line after omitted ones says how many they were. now is the time since any fixed
// moment.
func BoundedLog(next slog.Handler, now func() time.Duration) slog.Handler {
	lines := allowances[string]{burst: logBurst, every: logEvery, most: maxLogMessages}
	return boundedLog{next, &logLimits{now: now, lines: lines}}
}

// logLimits rate limits the messages of one log.
type logLimits struct {
	now func() time.Duration

	mu    sync.Mutex
	lines allowances[string] // by their messages
}

func (l *logLimits) take(message string) (omitted uint64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.take(message, l.now())
}

type boundedLog struct {
	slog.Handler
	limits *logLimits
}

func (b boundedLog) Handle(ctx context.Context, r slog.Record) error {
	omitted, ok := b.limits.take(r.Message)
	if !ok {
		return nil
	}
	if omitted > 0 {
		r.AddAttrs(slog.Uint64("omittedBefore", omitted))
	}
	return b.Handler.Handle(ctx, r)
}

func (b boundedLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return boundedLog{b.Handler.WithAttrs(attrs), b.limits}
}

func (b boundedLog) WithGroup(name string) slog.Handler {
	return boundedLog{b.Handler.WithGroup(name), b.limits}
}
