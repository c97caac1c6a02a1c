package actors

import (
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/transport"
	"etcd/wal"
	"etcd/wal/vfs"
	"etcd/witness"
)

// witnessEvery is the longest until the peers know the reach of this machine's log, and until
// theirs is on disk here.
const witnessEvery = time.Second

// witnessActor tells the peers the reach of this machine's log, and remembers theirs. It is not
// on the path of a command: its file is written beside the log, and may lag.
type witnessActor struct {
	identity  wal.Identity
	fsys      vfs.FS
	afterFunc func(time.Duration, func()) Timer
	log       *slog.Logger
	fatal     fatal

	book    *atomic.Pointer[witness.Book] // read in handshakes
	durable *atomic.Pointer[wal.Reach]    // set by the WAL writer

	to      *pids
	timer   Timer
	removed []uint64
	told    wal.Reach
	saved   *witness.Book
	failing bool // the last save failed for want of disk space
}

func (w *witnessActor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		w.saved = w.book.Load()
	case *pids:
		w.to = m
	case begin:
		root, self := ctx.ActorSystem().Root, ctx.Self()
		w.timer = w.afterFunc(witnessEvery, func() { root.Send(self, witnessDue{}) })
	case *met:
		if !slices.Contains(w.removed, m.member) {
			w.book.Store(w.book.Load().Meet(m.member, m.nonce, m.reach))
		}
	case *membership:
		w.removed = m.removed
		w.book.Store(w.book.Load().Forget(m.removed))
	case witnessDue:
		w.sendReach(ctx)
		w.save()
		w.timer.Reset(witnessEvery)
	case *actor.Stopping:
		if w.timer != nil { // a stop overtakes the first message
			w.timer.Stop()
		}
		w.save()
	}
}

// sendReach sends the reach of the log to the peers. One that is not connected gets it in the next
// handshake.
func (w *witnessActor) sendReach(ctx actor.Context) {
	reach := *w.durable.Load()
	if reach == w.told {
		return
	}
	w.told = reach
	ctx.Send(w.to.raft, &broadcast{frame: transport.Frame{Kind: transport.KindReach, Payload: []byte(witness.EncodeReach(reach))}})
}

// save stores the book if it has changed. Without disk space it retries later: the log may
// still have some.
func (w *witnessActor) save() {
	book := w.book.Load()
	if book.SameRecords(w.saved) {
		return
	}
	err := book.Save(w.fsys, w.identity)
	switch {
	case err == nil:
		w.saved, w.failing = book, false
	case !vfs.IsFull(err):
		w.fatal("cannot store the reach of the other members: the process ends, because its disk fails. "+
			"Nothing that was acknowledged is lost. Look at the disk (read-only? failing?), then start it again", "error", err)
	case !w.failing:
		w.failing = true
		w.log.Warn("no space to store the reach of the other members: if this machine restarts before there is, "+
			"it may not notice that one of them was restored from a backup", "error", err)
	}
}
