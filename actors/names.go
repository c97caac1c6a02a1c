package actors

import (
	"context"
	"log/slog"
	"regexp"
	"strings"
	"sync/atomic"

	"etcd/store"
)

// names adds the names of members to log lines, for people: every ID in a line is followed by
// the name of its member. Its methods may be called from any goroutine.
type names struct {
	known atomic.Pointer[map[string]string]
} // by MemberID

func (n *names) set(members []store.Member) {
	known := make(map[string]string, len(members))
	for _, m := range members {
		known[MemberID(m.ID)] = m.Name
	}
	n.known.Store(&known)
}

var memberIDs = regexp.MustCompile(`\b[0-9a-f]{16}\b`)

// in returns text with the names of all members in it. An ID in a URL or a file name stays as
// it is: people copy those.
func (n *names) in(text string) string {
	known := n.known.Load()
	if known == nil || len(text) < 16 {
		return text
	}
	named, from := "", 0
	for _, at := range memberIDs.FindAllStringIndex(text, -1) {
		id := text[at[0]:at[1]]
		name := (*known)[id]
		if name == "" || name == id || at[0] > 0 && strings.IndexByte("/-", text[at[0]-1]) >= 0 || at[1] < len(text) && strings.IndexByte("/-.", text[at[1]]) >= 0 {
			continue
		}
		named += text[from:at[1]] + " (" + name + ")"
		from = at[1]
	}
	return named + text[from:]
}

// handler returns a handler that adds the names before next gets a line.
func (n *names) handler(next slog.Handler) slog.Handler { return namingHandler{next, n} }

type namingHandler struct {
	slog.Handler
	names *names
}

func (h namingHandler) Handle(ctx context.Context, r slog.Record) error {
	named := slog.NewRecord(r.Time, r.Level, h.names.in(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		named.AddAttrs(h.attr(a))
		return true
	})
	return h.Handler.Handle(ctx, named)
}

func (h namingHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	named := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		named[i] = h.attr(a)
	}
	return namingHandler{h.Handler.WithAttrs(named), h.names}
}

func (h namingHandler) WithGroup(name string) slog.Handler {
	return namingHandler{h.Handler.WithGroup(name), h.names}
}

// attr adds the names to strings and errors. Numbers are never IDs.
func (h namingHandler) attr(a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindString:
		a.Value = slog.StringValue(h.names.in(a.Value.String()))
	case slog.KindAny:
		if err, ok := a.Value.Any().(error); ok {
			a.Value = slog.StringValue(h.names.in(err.Error()))
		}
	}
	return a
}
