package actors

import (
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/prometheus/client_golang/prometheus"
)

// Kind groups the mailboxes of actors that do the same, for metrics. Its counters
// may be read at any time.
type Kind struct {
	// Name is the label, such as "raft" or "session".
	Name string

	base             actor.MailboxProducer
	posted, received atomic.Int64
	peak             peak
	handling         prometheus.Histogram // nil: not timed

	started, ended, panics atomic.Uint64 // actors
}

// handlingBuckets are the upper bounds of those of handling times, in seconds.
var handlingBuckets = prometheus.ExponentialBuckets(1e-6, 4, 12)

func newKind(name string, base actor.MailboxProducer) *Kind {
	return &Kind{Name: name, base: base, handling: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "etcd_actor_handling_duration_seconds", Help: "How long actors take to handle a message.",
		ConstLabels: prometheus.Labels{"kind": name}, Buckets: handlingBuckets,
	})}
}

// Depth is the number of messages that wait in all mailboxes of the kind.
func (k *Kind) Depth() int64 { return max(0, k.posted.Load()-k.received.Load()) }

// Received is the number of messages that were handled.
func (k *Kind) Received() int64 { return k.received.Load() }

// Running is the number of actors that have started and not ended.
func (k *Kind) Running() uint64 {
	ended := k.ended.Load() // first, so that none has ended that has not started
	return k.started.Load() - ended
}

// Mailbox produces mailboxes of the host that count for k.
func (k *Kind) Mailbox() actor.MailboxProducer {
	return func() actor.Mailbox {
		k.started.Add(1)
		return &mailbox{Mailbox: k.base(), kind: k}
	}
}

// post counts a message that is about to be put into a mailbox.
func (k *Kind) post() { k.peak.note(k.posted.Add(1) - k.received.Load()) }

type mailbox struct {
	actor.Mailbox
	kind *Kind
}

func (m *mailbox) PostUserMessage(message any) {
	m.kind.post()
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
	if i.kind.handling == nil {
		i.MessageInvoker.InvokeUserMessage(message)
		return
	}
	start := time.Since(epoch)
	i.MessageInvoker.InvokeUserMessage(message)
	i.kind.handling.Observe((time.Since(epoch) - start).Seconds())
}

// epoch is a moment from which times are measured: time.Now also reads the wall clock, which takes as
// long again.
var epoch = time.Now()

func (i *invoker) InvokeSystemMessage(message any) {
	if _, stop := message.(*actor.Stop); stop {
		i.kind.ended.Add(1)
	}
	i.MessageInvoker.InvokeSystemMessage(message)
}

// EscalateFailure is called on the stack of the panic, the only place from which
// the supervisor can still learn where it happened.
func (i *invoker) EscalateFailure(reason, message any) {
	i.kind.panics.Add(1)
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
