package actors

import (
	"runtime"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
	"go.etcd.io/raft/v3/raftpb"

	"etcd/raftnode"
	"etcd/wal"
)

// walActor owns the log on disk. Everything that waits when its flush token comes
// up becomes one write and one fdatasync.
type walActor struct {
	log     *wal.Log
	durable *atomic.Pointer[wal.Reach] // how far the log reaches, for other goroutines
	metrics *metrics
	fatal   fatal

	to *pids

	appends   []*raftnode.Append         // to be reported durable after the next sync
	snapshots []*snapshotWritten         // of this machine
	installed []*raftpb.SnapshotMetadata // of a leader
	flushing  bool
}

func (w *walActor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *pids:
		w.to = m
	case *raftnode.Append:
		w.log.Append(m.HardState, m.Entries, m.Snapshot)
		if m.Snapshot != nil {
			w.installed = append(w.installed, m.Snapshot)
		}
		if m.Urgent {
			w.appends = append(w.appends, m)
			w.flushSoon(ctx)
		}
	case *snapshotWritten:
		w.log.Append(nil, nil, m.meta)
		w.snapshots = append(w.snapshots, m)
		w.flushSoon(ctx)
	case *releaseLog:
		released, err := w.log.Release(m.index)
		if err != nil {
			w.fail("cannot release obsolete log segments", err)
		}
		if len(released) > 0 {
			w.metrics.disk.segments.Store(int64(w.log.Segments()))
			ctx.Send(w.to.segments, &removeSegments{released: released})
		}
	case *raftnode.ReadBack:
		if extent, ok := w.log.Extent(m.From); ok {
			ctx.Send(w.to.segments, &readSegments{extent: extent, request: m})
		} else {
			ctx.Send(w.to.raft, &readBack{from: m.From})
		}
	case *segmentPrepared:
		w.log.TakeSpare(m.spare)
	case flush:
		// Whoever is about to send more does so now. With nothing else to do this takes no time.
		runtime.Gosched()
		w.sync(ctx)
	case *actor.Stopping:
		if err := w.log.Close(); err != nil {
			w.fail("cannot close the log", err)
		}
	}
}

func (w *walActor) flushSoon(ctx actor.Context) {
	if !w.flushing {
		w.flushing = true
		ctx.Send(ctx.Self(), flush{})
	}
}

func (w *walActor) sync(ctx actor.Context) {
	w.flushing = false
	if w.log.Buffered() {
		began := w.metrics.disk.begin()
		if err := w.log.Sync(); err != nil {
			w.fail("cannot write the log", err)
		}
		w.metrics.disk.end(began, w.log)
	}
	reach := w.log.Durable()
	w.durable.Store(&reach)
	if len(w.appends) > 0 {
		ctx.Send(w.to.raft, &appended{appends: w.appends})
		w.appends = nil
	}
	for _, m := range w.snapshots {
		ctx.Send(w.to.raft, &snapshotLogged{meta: m.meta, size: m.size})
		ctx.Send(w.to.snapshotter, &snapshotLogged{meta: m.meta, size: m.size})
	}
	for _, meta := range w.installed {
		ctx.Send(w.to.snapshotter, &snapshotLogged{meta: meta})
	}
	w.snapshots, w.installed = nil, nil
	if w.log.WantsSpare() {
		ctx.Send(w.to.segments, prepareSegment{})
	}
}

func (w *walActor) fail(what string, err error) { logFailed(w.fatal, what, err) }

func logFailed(fatal fatal, what string, err error) {
	fatal(what+": the process ends, because it can no longer promise durability. "+
		"Nothing that was acknowledged is lost. Look at the disk (full? read-only? failing?), then start it again",
		"error", err)
}
