package actors

import (
	"sync"

	"github.com/asynkron/protoactor-go/actor"
)

// Inline produces mailboxes whose messages are handled on the goroutine of their sender, one at
// a time, so that nobody has to be woken. Their actors do nothing that could block. A message
// that comes while another is handled is left to whoever does that.
func (k *Kind) Inline() actor.MailboxProducer {
	return func() actor.Mailbox {
		k.started.Add(1)
		return &inlineMailbox{kind: k}
	}
}

type inlineMailbox struct {
	kind    *Kind
	invoker actor.MessageInvoker

	mu           sync.Mutex
	handling     bool
	suspended    bool // after a panic, until the supervisor has decided
	system, user []any
}

func (m *inlineMailbox) RegisterHandlers(next actor.MessageInvoker, _ actor.Dispatcher) {
	m.invoker = &invoker{next, m.kind}
}

func (m *inlineMailbox) Start() {}

func (m *inlineMailbox) UserMessageCount() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.user)
}

func (m *inlineMailbox) PostUserMessage(message any) {
	m.kind.post()
	m.mu.Lock()
	if m.handling || m.suspended {
		m.user = append(m.user, message)
		m.mu.Unlock()
		return
	}
	m.handling = true
	m.mu.Unlock()
	m.handle(message, false)
	m.handleRest()
}

func (m *inlineMailbox) PostSystemMessage(message any) {
	m.mu.Lock()
	m.system = append(m.system, message)
	handling := m.handling
	m.handling = true
	m.mu.Unlock()
	if !handling {
		m.handleRest()
	}
}

// handleRest handles what has come meanwhile.
func (m *inlineMailbox) handleRest() {
	for {
		message, system := m.next()
		if message == nil {
			return
		}
		m.handle(message, system)
	}
}

// next returns the next message; nil: there is none, and the next one to come begins anew.
func (m *inlineMailbox) next() (message any, system bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case len(m.system) > 0:
		message, m.system = m.system[0], m.system[1:]
		switch message.(type) {
		case *actor.SuspendMailbox:
			m.suspended = true
		case *actor.ResumeMailbox:
			m.suspended = false
		}
		return message, true
	case len(m.user) > 0 && !m.suspended:
		message, m.user = m.user[0], m.user[1:]
		return message, false
	}
	m.handling, m.system = false, nil
	if len(m.user) == 0 {
		m.user = nil
	}
	return nil, false
}

func (m *inlineMailbox) handle(message any, system bool) {
	defer func() {
		if p := recover(); p != nil {
			m.invoker.EscalateFailure(p, message)
		}
	}()
	switch message.(type) {
	case *actor.SuspendMailbox, *actor.ResumeMailbox: // they are for the mailbox
		return
	}
	if system {
		m.invoker.InvokeSystemMessage(message)
	} else {
		m.invoker.InvokeUserMessage(message)
	}
}
