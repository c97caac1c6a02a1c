package httpfront

import (
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/actors"
	"etcd/store"
)

// received is a message to an actor.
type received struct {
	actor.Context
	message any
}

func (r received) Message() any { return r.message }

// The answer to a request that has timed out is not taken for that of the next one.
func TestLateAnswers(t *testing.T) {
	session := &session{server: &Server{}, answers: make(chan actors.Answer, 1)}
	first := session.expect()
	second := session.expect()
	for _, answer := range []actors.Answer{
		&actors.Proposed{ID: first},
		&actors.WatchReply{ID: first},
		&actors.Proposed{ID: second, Result: store.Result{Index: 5}},
		&actors.Proposed{ID: second, Result: store.Result{Index: 6}},
	} {
		session.Receive(received{message: answer})
	}
	reply := (<-session.answers).(*actors.Proposed)
	if reply.ID != second || reply.Result.Index != 5 {
		t.Errorf("got %+v, want the first answer to request %d", reply, second)
	}
	if len(session.answers) != 0 {
		t.Errorf("another answer was kept: %+v", <-session.answers)
	}
}
