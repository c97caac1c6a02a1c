package actors

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/asynkron/protoactor-go/actor"
)

// runningKinds counts the actors of a machine that have not stopped yet.
type runningKinds struct {
	mu    sync.Mutex
	kinds map[string]int
	idle  chan struct{} // not nil while wait is called; closed when nothing runs
}

func (r *runningKinds) add(kind string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kinds == nil {
		r.kinds = make(map[string]int)
	}
	r.kinds[kind]++
}

func (r *runningKinds) done(kind string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kinds[kind]--; r.kinds[kind] == 0 {
		delete(r.kinds, kind)
	}
	if len(r.kinds) == 0 && r.idle != nil {
		close(r.idle)
		r.idle = nil
	}
}

// wait returns when nothing runs any more, or, when ctx ends, the kinds that still do, in
// the order of their names.
func (r *runningKinds) wait(ctx context.Context) (left []string) {
	r.mu.Lock()
	if len(r.kinds) == 0 {
		r.mu.Unlock()
		return nil
	}
	if r.idle == nil {
		r.idle = make(chan struct{})
	}
	idle := r.idle
	r.mu.Unlock()
	select {
	case <-idle:
	case <-ctx.Done():
	}
	return r.left()
}

func (r *runningKinds) left() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.kinds))
}

// tracked calls stopped when its actor has.
type tracked struct {
	actor.Actor
	stopped func()
}

func (t *tracked) Receive(ctx actor.Context) {
	t.Actor.Receive(ctx)
	if _, ok := ctx.Message().(*actor.Stopped); ok {
		t.stopped()
	}
}
