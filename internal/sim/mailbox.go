package sim

import (
	"reflect"

	"github.com/asynkron/protoactor-go/actor"
)

// backgroundLag is the lag of actors that do long work in the background.
const backgroundLag = 0.2

// mailbox is the mailbox of one actor, which is a task of the scheduler.
type mailbox struct {
	life      *life
	kind      string
	task      *task
	system    []any
	user      []any
	suspended bool
	invoker   actor.MessageInvoker
}

func (l *life) newMailbox(kind string) *mailbox {
	m := &mailbox{life: l, kind: kind}
	m.task = l.newTask(kind, m.step)
	if kind == "catchup" || kind == "writer" {
		m.task.lag = backgroundLag
	}
	return m
}

// PostUserMessage implements [actor.Mailbox].
func (m *mailbox) PostUserMessage(message any) {
	m.user = append(m.user, message)
	if !m.suspended {
		m.life.s.ready(m.task)
	}
}

// PostSystemMessage implements [actor.Mailbox].
func (m *mailbox) PostSystemMessage(message any) {
	m.system = append(m.system, message)
	m.life.s.ready(m.task)
}

// RegisterHandlers implements [actor.Mailbox]. The scheduler is the dispatcher.
func (m *mailbox) RegisterHandlers(invoker actor.MessageInvoker, _ actor.Dispatcher) {
	m.invoker = invoker
}

// Start implements [actor.Mailbox].
func (m *mailbox) Start() {}

// UserMessageCount implements [actor.Mailbox].
func (m *mailbox) UserMessageCount() int { return len(m.user) }

// step has the actor handle one message.
func (m *mailbox) step() (more bool) {
	message := any(nil)
	defer func() {
		if reason := recover(); reason != nil {
			m.invoker.EscalateFailure(reason, message)
		}
		more = len(m.system) > 0 || !m.suspended && len(m.user) > 0
	}()
	switch {
	case len(m.system) > 0:
		message, m.system = m.system[0], m.system[1:]
		switch message.(type) {
		case *actor.SuspendMailbox:
			m.suspended = true
		case *actor.ResumeMailbox:
			m.suspended = false
		default:
			m.invoker.InvokeSystemMessage(message)
		}
	case !m.suspended && len(m.user) > 0:
		message, m.user = m.user[0], m.user[1:]
		m.life.s.trace.step(m.life.s.now, m.task.name, reflect.TypeOf(message).String())
		m.life.sim.judge.observe(m.life, m.kind, message)
		m.invoker.InvokeUserMessage(message)
	}
	return false
}
