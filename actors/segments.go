package actors

import (
	"errors"
	"io/fs"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/wal"
	"etcd/wal/vfs"
)

// segmentActor does the slow work on segments of the log, because others wait for the WAL
// actor: it makes the spare segment, removes old ones, and reads entries back.
type segmentActor struct {
	fsys  vfs.FS
	opts  wal.Options
	fatal fatal

	to *pids
}

func (s *segmentActor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *pids:
		s.to = m
	case prepareSegment:
		spare, err := wal.NewSpare(s.fsys, s.opts)
		if err != nil {
			logFailed(s.fatal, "cannot prepare a segment of the log", err)
		}
		ctx.Send(s.to.wal, &segmentPrepared{spare: spare}) // nil: there may be space again when it is needed
	case *removeSegments:
		if err := wal.RemoveSegments(s.fsys, m.released); err != nil {
			logFailed(s.fatal, "cannot remove obsolete log segments", err)
		}
	case *readSegments:
		entries, err := m.extent.Read(s.fsys, m.request.Bytes)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // it was released since
			s.fatal("the log cannot be read back: the process ends, because what it has promised to keep is damaged. "+
				"Look at the disk (failing?), then start it again: it says what is damaged and what to do", "error", err)
		}
		ctx.Send(s.to.raft, &readBack{from: m.request.From, entries: entries})
	}
}
