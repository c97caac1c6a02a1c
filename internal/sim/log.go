package sim

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"etcd/actors"
)

// logHandler reads what a machine logs as an operator would.
type logHandler struct{ life *life }

func (h *logHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo
}
func (h *logHandler) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h *logHandler) WithGroup(string) slog.Handler      { return h }

func (h *logHandler) Handle(_ context.Context, r slog.Record) error {
	l := h.life
	if l.dead {
		return nil
	}
	l.sim.trace.say(l.sim.now, l.m.name, r.Level.String()+" "+text(r))
	l.sim.operator.reads(l, r)
	l.sim.judge.logged(l, r)
	return nil
}

// logged implements [judge].
func (o *oracle) logged(l *life, r slog.Record) {
	o.sim.countLog(r.Message)
	if r.Message == actors.OwnClock {
		o.ownClock(l)
	}
	switch {
	case r.Level < slog.LevelError:
	case strings.HasPrefix(r.Message, "cannot ") && l.m.disks.hasFailed(l):
		o.sim.count("process ended: disk fails")
	case r.Message == "this machine must not go on" && l.m.restored:
		o.sim.count("restored machine told that it lacks entries")
	case strings.HasPrefix(r.Message, "another process runs with the identity of this machine") && l.impersonated:
		o.sim.count("stranger claims the identity of its target")
	default:
		o.sim.fail("%s: %s", l, text(r))
	}
}

func text(r slog.Record) string {
	var b strings.Builder
	b.WriteString(r.Message)
	r.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(&b, " %s=%v", a.Key, a.Value)
		return true
	})
	return b.String()
}
