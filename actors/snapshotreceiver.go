package actors

import (
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/raftnode"
	"etcd/store"
	"etcd/wal"
)

// receiverActor receives snapshots of the leader, as slowly as they arrive. The snapshotter
// does not wait for them: the log of this machine would grow meanwhile.
//
// A snapshot is restored while it is written, and the file gets its name only if the restored
// state agrees with the message: a file that this machine could not start from must never be
// on its disk, because all that precedes it is removed. The state is kept until it is
// installed, so that the file is not read again.
type receiverActor struct {
	snapshots *wal.Snapshots
	logger    *slog.Logger
	metrics   *metrics
	fatal     fatal

	to *pids
}

func (r *receiverActor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *pids:
		r.to = m
	case *receiveSnapshot:
		if m.needed {
			m.done(r.receive(ctx, m))
			return
		}
		_, err := io.Copy(io.Discard, m.body)
		m.done(err)
	}
}

func (r *receiverActor) receive(ctx actor.Context, m *receiveSnapshot) error {
	r.metrics.receiving.Store(true)
	defer r.metrics.receiving.Store(false)
	start, index := time.Now(), m.meta.GetIndex()
	ctx.Send(r.to.store, &restored{}) // drops the last one: two states in memory are enough
	body := &watched{r: m.body}
	var state *store.Store
	var unfit error // the body is no state that agrees with the message
	err := r.snapshots.Receive(m.meta, m.size, func(w io.Writer) (err error) {
		disk := &watched{w: w}
		if state, err = store.Restore(io.TeeReader(body, disk)); err == nil {
			err = raftnode.CheckState(m.meta, state.Index(), rosterOf(state.Members(), state.Removed()))
		}
		if !body.failed && !disk.failed {
			unfit = err
		}
		return err
	})
	switch {
	case err == nil:
		r.logger.Info("received a snapshot of the leader", "index", index, "bytes", m.size, "took", time.Since(start))
		ctx.Send(r.to.store, &restored{meta: m.meta, state: state})
	case unfit != nil:
		r.logger.Error("received an invalid snapshot of the leader and dropped it. If the next one is invalid as well, "+
			"the leader has damaged memory, or runs another version: let another machine lead, and look at it",
			"member", MemberID(m.from), "index", index, "error", unfit)
	case errors.Is(err, wal.ErrTooLarge):
		r.logger.Error("a snapshot of the leader does not fit on the disk of this machine, which cannot catch up until there is room",
			"member", MemberID(m.from), "index", index, "error", err)
	case !body.failed:
		// The leader would resend it for ever, and this machine would never catch up.
		snapshotFailed(r.fatal, "cannot store a snapshot of the leader", err)
	}
	return err
}

// watched notes whether a reader or a writer has failed: this machine is not to blame for a
// connection, but it is for its disk.
type watched struct {
	r      io.Reader
	w      io.Writer
	failed bool
}

func (a *watched) Read(p []byte) (int, error) {
	n, err := a.r.Read(p)
	a.failed = a.failed || err != nil && err != io.EOF
	return n, err
}

func (a *watched) Write(p []byte) (int, error) {
	n, err := a.w.Write(p)
	a.failed = a.failed || err != nil
	return n, err
}
