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
		body := &arriving{Reader: m.body}
		err := s.snapshots.Save(m.meta, func(w io.Writer) (err error) {
			size, err = io.Copy(w, body)
			return err
		})
		switch {
		case err == nil:
			s.logger.Info("received a snapshot of the leader", "index", m.meta.GetIndex(), "bytes", size, "took", time.Since(start))
		case !body.failed:
			// The leader would send it again and again, and this machine never catch up.
			s.fail("cannot store a snapshot of the leader", err)
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
	s.fatal(what+": the process ends, because without snapshots the log could only grow, or not be caught up with. "+
		"Nothing that was acknowledged is lost. Look at the disk (full? read-only? failing?), then start it again",
		"error", err)
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
