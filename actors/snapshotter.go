package actors

import (
	"io"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/wal"
)

// keepSnapshots is how many snapshot files stay: a damaged newest one then costs
// nothing, because the log reaches back to the one before it.
const keepSnapshots = 2

// snapshotActor writes snapshots to disk while the store goes on.
type snapshotActor struct {
	snapshots *wal.Snapshots
	logger    *slog.Logger
	fatal     fatal

	to *pids
}

func (s *snapshotActor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *pids:
		s.to = m
	case *writeSnapshot:
		start := time.Now()
		var size int64
		err := s.snapshots.Save(m.meta, func(w io.Writer) (err error) {
			size, err = m.body.WriteTo(w)
			return err
		})
		if err != nil {
			s.fail("cannot write a snapshot", err)
		}
		s.logger.Info("snapshot written", "index", m.meta.GetIndex(), "bytes", size, "took", time.Since(start))
		ctx.Send(s.to.wal, &snapshotWritten{meta: m.meta})
	case *receiveSnapshot:
		start := time.Now()
		var size int64
		err := s.snapshots.Save(m.meta, func(w io.Writer) (err error) {
			size, err = io.Copy(w, m.body)
			return err
		})
		if err == nil {
			s.logger.Info("received a snapshot of the leader", "index", m.meta.GetIndex(), "bytes", size, "took", time.Since(start))
		}
		m.done(err)
	case *snapshotLogged:
		oldest, err := s.snapshots.Prune(keepSnapshots)
		if err != nil {
			s.fail("cannot remove old snapshots", err)
		}
		ctx.Send(s.to.wal, &releaseLog{index: oldest})
	}
}

func (s *snapshotActor) fail(what string, err error) {
	s.fatal(what+": the process ends, because the log could then only grow. "+
		"Nothing that was acknowledged is lost. Look at the disk (full? read-only? failing?), then start it again",
		"error", err)
}
