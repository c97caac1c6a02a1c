package actors

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/transport"
)

// Host is what the actors of a machine run on: everything that they do not decide
// themselves. [Process] is for a process of its own; the simulation has another one.
type Host struct {
	// Mailbox makes the mailboxes of one kind of actor. They are not bounded, because
	// a full one would block its sender; what bounds them is admission: a session has
	// one request in flight, and the number of those, and of connections, is limited.
	Mailbox func(kind string) actor.MailboxProducer
	// Dispatcher makes the dispatcher of one of the machine's own actors. stop is called
	// when that actor has stopped.
	Dispatcher func() (dispatcher actor.Dispatcher, stop func())
	// AfterFunc calls f once after d, unless it is stopped or reset before.
	AfterFunc func(d time.Duration, f func()) Timer
	// Connect prepares the connections to other members. self lacks only Dial.
	Connect func(self transport.Config) Network
	// Exit ends the process. It does not return.
	Exit func(code int)
}

// Timer is what Host.AfterFunc has started; [time.Timer] is one.
type Timer interface {
	Reset(d time.Duration) bool
	Stop() bool
}

// Network carries what this machine sends to other members.
type Network interface {
	// Stream opens the stream of one class to a member. Its queue holds at most limit
	// bytes.
	Stream(member uint64, addr string, class transport.Class, limit int, events transport.Events) Stream
	// Snapshot sends the message about a snapshot and the snapshot itself. done is
	// called once, when the member has it on disk or the attempt has failed, which it
	// does when ctx ends.
	Snapshot(ctx context.Context, member uint64, addr string, message []byte,
		open func() (body io.ReadCloser, size int64, err error), done func(size int64, err error))
	// Ask asks the machine at addr which member it is, and whether it has dialled this
	// machine with a token. done is called once, soon.
	Ask(ctx context.Context, addr, token string, done func(transport.Presence, error))
}

// Stream sends frames of one class to a member; [transport.Sender] is one.
type Stream interface {
	// Send queues a frame, and reports whether it was queued. It never blocks.
	Send(frame transport.Frame) bool
	// SetAddr changes the address at which the member listens.
	SetAddr(addr string)
	// Stats returns its counters. It may be called from any goroutine.
	Stats() transport.Stats
	Close()
}

// Process returns the host of a machine that is a process of its own.
func Process(dial func(ctx context.Context, addr string) (net.Conn, error)) Host {
	return Host{
		Mailbox: func(string) actor.MailboxProducer { return actor.Unbounded() },
		Dispatcher: func() (actor.Dispatcher, func()) {
			p := newPinned()
			return p, p.stop
		},
		AfterFunc: func(d time.Duration, f func()) Timer { return time.AfterFunc(d, f) },
		Connect: func(self transport.Config) Network {
			self.Dial = dial
			return tcp{self}
		},
		Exit: os.Exit,
	}
}

// tcp is the network of machines that are processes.
type tcp struct{ self transport.Config }

func (n tcp) Stream(member uint64, addr string, class transport.Class, limit int, events transport.Events) Stream {
	return transport.NewSender(n.self, member, addr, class, limit, events)
}

// Ask takes a while, so it has a goroutine.
func (n tcp) Ask(ctx context.Context, addr, token string, done func(transport.Presence, error)) {
	go func() { done(transport.Ask(ctx, n.self, addr, token)) }()
}

// ask is Network.Ask, and waits for the answer.
func ask(n Network) func(ctx context.Context, addr, token string) (transport.Presence, error) {
	type answer struct {
		presence transport.Presence
		err      error
	}
	return func(ctx context.Context, addr, token string) (transport.Presence, error) {
		came := make(chan answer, 1)
		n.Ask(ctx, addr, token, func(p transport.Presence, err error) { came <- answer{p, err} })
		a := <-came
		return a.presence, a.err
	}
}

// Snapshot takes a while, so it has a goroutine.
func (n tcp) Snapshot(ctx context.Context, member uint64, addr string, message []byte,
	open func() (body io.ReadCloser, size int64, err error), done func(size int64, err error)) {
	go func() {
		body, size, err := open()
		if err != nil {
			done(0, err)
			return
		}
		var sent int64
		err = transport.SendSnapshot(ctx, n.self, member, addr, message, size, body, func(n int64) { sent = n })
		done(sent, errors.Join(err, body.Close()))
	}()
}
