package sim

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
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
	l.sim.countLog(r.Message)
	if l.sim.trace.out != nil {
		l.sim.trace.note(l.sim.now, l.m.name, "%s %s", r.Level, text(r))
	}
	switch {
	case r.Level < slog.LevelError:
	case strings.Contains(r.Message, "the process ends") && l.m.disks.hurts(l):
		l.sim.count("process ended: disk fails")
	case strings.Contains(r.Message, "refused a proposal"), strings.Contains(r.Message, "refused an answer"):
		l.sim.fail("%s: %s", l, text(r))
	default:
		l.sim.fail("%s: %s", l, text(r))
	}
	return nil
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
