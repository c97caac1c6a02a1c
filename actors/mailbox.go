package actors

import (
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// Kind groups the mailboxes of actors that do the same, for metrics. Its counters
// may be read at any time.
type Kind struct {
	// Name is the label, such as "raft" or "session".
	Name string
	// Untimed leaves Busy at 0, for actors whose work is less than reading the clock
	// twice.
	Untimed bool

	base             actor.MailboxProducer
	posted, received atomic.Int64
	busy             atomic.Int64 // nanoseconds
}

// Depth is the number of messages that wait in all mailboxes of the kind.
func (k *Kind) Depth() int64 { return max(0, k.posted.Load()-k.received.Load()) }

// Received is the number of messages that were handled.
func (k *Kind) Received() int64 { return k.received.Load() }

// Busy is the time that was spent handling them.
func (k *Kind) Busy() time.Duration { return time.Duration(k.busy.Load()) }

// Mailbox produces mailboxes of the host that count for k.
func (k *Kind) Mailbox() actor.MailboxProducer {
	return func() actor.Mailbox { return &mailbox{Mailbox: k.base(), kind: k} }
}

type mailbox struct {
	actor.Mailbox
	kind *Kind
}

func (m *mailbox) PostUserMessage(message any) {
	m.kind.posted.Add(1)
	m.Mailbox.PostUserMessage(message)
}

func (m *mailbox) RegisterHandlers(next actor.MessageInvoker, dispatcher actor.Dispatcher) {
	m.Mailbox.RegisterHandlers(&invoker{next, m.kind}, dispatcher)
}

type invoker struct {
	actor.MessageInvoker
	kind *Kind
}

func (i *invoker) InvokeUserMessage(message any) {
	i.kind.received.Add(1)
	if i.kind.Untimed {
		i.MessageInvoker.InvokeUserMessage(message)
		return
	}
	start := time.Now()
	i.MessageInvoker.InvokeUserMessage(message)
	i.kind.busy.Add(int64(time.Since(start)))
}

// EscalateFailure is called on the stack of the panic, the only place from which
// the supervisor can still learn where it happened.
func (i *invoker) EscalateFailure(reason, message any) {
	i.MessageInvoker.EscalateFailure(&panicked{
		kind: i.kind.Name, reason: reason, message: fmt.Sprintf("%T", message), stack: debug.Stack(),
	}, message)
}

// panicked is what a supervisor is told about a panic.
type panicked struct {
	kind    string
	reason  any
	message string
	stack   []byte
}
