package actors

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/wal"
)

// keepSnapshots is how many snapshot files are kept: if the newest is damaged nothing is
// lost, because the log reaches back to the one before it.
const keepSnapshots = 2

// snapshotActor writes snapshots to disk while the store goes on.
type snapshotActor struct {
	snapshots *wal.Snapshots
	logger    *slog.Logger
	fatal     fatal
	stopping  context.Context // ends the snapshot under way
	applied   uint64          // index up to which the store has applied, as far as known here
	metrics   *metrics

	to *pids
}

func (s *snapshotActor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *pids:
		s.to = m
	case *writeSnapshot:
		s.applied = max(s.applied, m.meta.GetIndex())
		s.write(ctx, m)
	case *snapshotInstalled:
		s.applied = max(s.applied, m.index)
		s.prune(ctx)
	case *snapshotLogged:
		s.prune(ctx)
	}
}

func (s *snapshotActor) write(ctx actor.Context, m *writeSnapshot) {
	start := time.Now()
	var size int64
	err := s.snapshots.Save(m.meta, func(w io.Writer) (err error) {
		size, err = m.body.WriteTo(&stoppable{w, s.stopping})
		return err
	})
	switch {
	case err == nil:
		took := time.Since(start)
		s.metrics.snapshotSaved(took, size)
		s.logger.Info("snapshot written", "index", m.meta.GetIndex(), "bytes", size, "took", took)
		ctx.Send(s.to.wal, &snapshotWritten{meta: m.meta, size: uint64(size)})
	case errors.Is(err, errStopping):
		s.logger.Info("abandoned a snapshot: this machine stops, and the log still has its entries",
			"index", m.meta.GetIndex(), "bytes", size)
	default:
		snapshotFailed(s.fatal, "cannot write a snapshot", err)
	}
}

func (s *snapshotActor) prune(ctx actor.Context) {
	oldest, err := s.snapshots.Prune(keepSnapshots, s.applied)
	if err != nil {
		snapshotFailed(s.fatal, "cannot remove old snapshots", err)
	}
	ctx.Send(s.to.raft, &releaseLog{index: oldest})
}

func snapshotFailed(fatal fatal, what string, err error) {
	fatal(what+": the process ends, because without snapshots the log would grow for ever, or this machine never catch up. "+
		"Nothing that was acknowledged is lost. Look at the disk (full? read-only? failing?), then start it again",
		"error", err)
}

var errStopping = errors.New("this machine is stopping")

// stoppable is a writer that fails when the machine stops.
type stoppable struct {
	io.Writer
	stopping context.Context
}

func (s *stoppable) Write(p []byte) (int, error) {
	if s.stopping.Err() != nil {
		return 0, errStopping
	}
	return s.Writer.Write(p)
}
