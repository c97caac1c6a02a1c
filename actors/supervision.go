package actors

import (
	"fmt"
	"log/slog"

	"github.com/asynkron/protoactor-go/actor"
)

// fatal ends the process. It is the only way out for an actor whose state cannot
// be trusted any more: going on, or starting again with empty state, could lose or
// change what was acknowledged.
type fatal func(message string, attrs ...any)

func newFatal(log *slog.Logger, exit func(code int)) fatal {
	return func(message string, attrs ...any) {
		log.Error(message, attrs...)
		exit(1)
	}
}

// fatalOnPanic supervises the actors of the machine itself.
func fatalOnPanic(fatal fatal) actor.SupervisorStrategy {
	return actor.NewOneForOneStrategy(0, 0, func(reason any) actor.Directive {
		p := reasonOf(reason)
		fatal("the "+p.kind+" actor panicked, and its state cannot be trusted any more: the process ends. "+
			"What was acknowledged is on disk, so starting it again is safe. If it panics again at the same place, "+
			"keep the data directory and report this message",
			"actor", p.kind, "message", p.message, "panic", fmt.Sprint(p.reason), "stack", string(p.stack))
		return actor.StopDirective
	})
}

// StopOnPanic supervises actors that belong to one connection: the actor is
// stopped, and the rest of the machine goes on.
func StopOnPanic(log *slog.Logger) actor.SupervisorStrategy {
	return actor.NewOneForOneStrategy(0, 0, func(reason any) actor.Directive {
		p := reasonOf(reason)
		log.Error("a "+p.kind+" actor panicked and was stopped; please report this message",
			"actor", p.kind, "message", p.message, "panic", fmt.Sprint(p.reason), "stack", string(p.stack))
		return actor.StopDirective
	})
}

func reasonOf(reason any) *panicked {
	if p, ok := reason.(*panicked); ok {
		return p
	}
	return &panicked{kind: "unknown", reason: reason}
}
