package actors

import (
	"io"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/wal"
)

// receiverActor stores snapshots of the leader, as slowly as they come. What this machine
// writes by itself does not wait for that: its log would grow meanwhile.
type receiverActor struct {
	snapshots *wal.Snapshots
	logger    *slog.Logger
	fatal     fatal
}

func (r *receiverActor) Receive(ctx actor.Context) {
	m, ok := ctx.Message().(*receiveSnapshot)
	if !ok {
		return
	}
	start := time.Now()
	body := &arriving{Reader: m.body}
	size, err := r.snapshots.Receive(m.meta, body)
	switch {
	case err == nil:
		r.logger.Info("received a snapshot of the leader", "index", m.meta.GetIndex(), "bytes", size, "took", time.Since(start))
	case !body.failed:
		// The leader would send it again and again, and this machine never catch up.
		noSnapshot(r.fatal, "cannot store a snapshot of the leader", err)
	}
	m.done(err)
}

// arriving is the body of a snapshot on its way here. It tells a connection that broke,
// which is no fault of this machine, from a disk that did.
type arriving struct {
	io.Reader
	failed bool
}

func (a *arriving) Read(p []byte) (int, error) {
	n, err := a.Reader.Read(p)
	a.failed = a.failed || err != nil && err != io.EOF
	return n, err
}
