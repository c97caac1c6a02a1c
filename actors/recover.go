package actors

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"etcd/raftnode"
	"etcd/store"
	"etcd/wal"
	"etcd/wal/vfs"
	"etcd/witness"
)

// Disk is an opened data directory and what was found in it.
type Disk struct {
	// Identity is that of the machine to which the directory belongs.
	Identity wal.Identity
	// New says that the directory was empty.
	New bool
	// Found is what was recovered from the log; nil for a new directory.
	Found *wal.Recovered
	// Forgotten is why nothing is remembered of the other members' disks; otherwise nil. It
	// deserves a warning, no more.
	Forgotten error

	fsys      vfs.FS
	opts      wal.Options
	lock      io.Closer // nil if the caller has it
	log       *wal.Log
	snapshots *wal.Snapshots
	store     *store.Store // as of the snapshot
	skip      raftnode.Skip
	book      *witness.Book
}

// OpenDisk locks a data directory and reads it. It refuses one that another process
// uses, and one that is damaged other than by a crash. An empty one has to be given
// an identity before a machine starts with it.
func OpenDisk(fsys vfs.FS, opts wal.Options) (disk *Disk, err error) {
	lock, err := wal.Lock(fsys)
	if err != nil {
		return nil, err
	}
	d, err := ReadDisk(fsys, lock, opts)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return d, nil
}

// ReadDisk is OpenDisk for a caller that holds the lock. Unless there is an error the result
// owns the lock, and releases it when nothing writes any more. If lock is nil, the caller keeps it.
func ReadDisk(fsys vfs.FS, lock io.Closer, opts wal.Options) (*Disk, error) {
	d := &Disk{
		fsys: fsys, opts: opts, lock: lock, store: store.New(), book: witness.NewBook(nil),
		skip: raftnode.Skip{CheckCommand: store.CheckCommand},
	}
	err := d.read()
	if errors.Is(err, wal.ErrNoLog) {
		d.New = true
		return d, nil
	}
	if err != nil {
		return nil, err
	}
	return d, nil
}

func (d *Disk) read() (err error) {
	opts := d.opts
	if opts.Keep == 0 {
		opts.Keep = raftnode.MaxAtStart
	}
	opts.Restore = func(body io.Reader) error {
		s, err := store.Restore(body)
		switch {
		case errors.Is(err, store.ErrNewer):
			return fmt.Errorf("%w: %w", wal.ErrVersion, err)
		case err == nil:
			d.store = s
		}
		return err
	}
	opts.Accept = d.accept
	d.log, d.Found, err = wal.Open(d.fsys, opts)
	if err != nil {
		return err
	}
	d.Identity = d.Found.Identity
	d.book, d.Forgotten = witness.Load(d.fsys, d.Identity)
	d.snapshots = wal.NewSnapshots(d.fsys, d.Identity)
	return nil
}

// accept refuses a log that gives the cluster a version which this program does not know,
// before anything in the directory is changed. The entry may be uncommitted, but that cannot be
// known: the commit index on disk lags.
func (d *Disk) accept(entries []*raftpb.Entry) error {
	for command := range raftnode.Commands(entries) {
		if err := store.CheckVersion(command); err != nil {
			return fmt.Errorf("%w: %w", wal.ErrVersion, err)
		}
	}
	return nil
}

// Version returns the highest version that the log gives the cluster, 0 if it gives none.
func (d *Disk) Version() uint32 {
	highest := d.store.Version()
	if d.Found != nil {
		for command := range raftnode.Commands(d.Found.Entries) {
			highest = max(highest, store.VersionOf(command))
		}
	}
	return highest
}

// Skip sets the indexes of the entries that count as empty, because they cannot be applied. It
// is an error if one of them is in the log and can be applied. Call it before anything that
// reads the entries.
func (d *Disk) Skip(indexes []uint64) error {
	d.skip.Indexes = indexes
	if d.Found == nil {
		return nil
	}
	return d.entries(d.skip.Check)
}

// Create begins the log of a machine that founds a cluster of its own.
func (d *Disk) Create(identity wal.Identity) error { return d.create(identity, 0) }

func (d *Disk) create(identity wal.Identity, term uint64) (err error) {
	d.Identity = identity
	d.snapshots = wal.NewSnapshots(d.fsys, identity)
	d.log, err = wal.Create(d.fsys, identity, term, d.opts)
	return err
}

// CreateJoined begins the log of a machine that has joined a cluster in the given
// term. A term without entries tells this log from that of a machine that founds a
// cluster: this one must never elect itself.
func (d *Disk) CreateJoined(identity wal.Identity, term uint64) error {
	term = max(term, 1)
	d.Found = &wal.Recovered{Identity: identity, HardState: &raftpb.HardState{
		Term: new(term), Vote: new(uint64(0)), Commit: new(uint64(0)),
	}}
	return d.create(identity, term)
}

// Joining reports whether this machine has joined a cluster and has received nothing of its
// log yet: it has to be told the addresses of the members again.
func (d *Disk) Joining() bool {
	return d.Found != nil && d.LastIndex() == 0 && d.Found.HardState.GetTerm() > 0
}

// Founding reports whether this machine founds a cluster, and has not begun its log yet.
func (d *Disk) Founding() bool { return d.LastIndex() == 0 && !d.Joining() }

func restore(snapshots *wal.Snapshots, meta *raftpb.SnapshotMetadata) (*store.Store, error) {
	body, _, err := snapshots.Open(meta.GetIndex(), meta.GetTerm())
	if err != nil {
		return nil, err
	}
	s, err := store.Restore(body)
	if err != nil {
		err = fmt.Errorf("snapshot at index %d: %w", meta.GetIndex(), err)
	}
	return s, errors.Join(err, body.Close())
}

// LastIndex returns the index of the last entry in the log; 0 for a new directory.
func (d *Disk) LastIndex() uint64 {
	switch {
	case d.Found == nil:
		return 0
	case d.log == nil: // it was created by CreateJoined
		return 0
	}
	return d.log.Durable().Last
}

// Reach returns how far the log reaches that was found.
func (d *Disk) Reach() wal.Reach { return d.log.Durable() }

// entries passes all entries after the snapshot to f, in order and in batches.
func (d *Disk) entries(f func([]*raftpb.Entry) error) error {
	inMemory := d.LastIndex() + 1 - uint64(len(d.Found.Entries))
	for from := d.snapshotIndex() + 1; from < inMemory; {
		extent, ok := d.log.Extent(from)
		if !ok {
			return fmt.Errorf("entry %d is not in the log", from)
		}
		entries, err := extent.Read(d.fsys, readAtOnce)
		if err != nil {
			return err
		}
		if err := f(entries[:min(uint64(len(entries)), inMemory-from)]); err != nil {
			return err
		}
		from += uint64(len(entries))
	}
	return f(d.Found.Entries)
}

// readAtOnce is how many bytes of entries are read from the log at once.
const readAtOnce = 4 << 20

// snapshotIndex returns the index of the snapshot that was found.
func (d *Disk) snapshotIndex() uint64 {
	if d.Found == nil {
		return 0
	}
	return d.Found.Snapshot.GetIndex()
}

// commit returns the commit index that was found.
func (d *Disk) commit() uint64 {
	if d.Found == nil {
		return 0
	}
	return d.Found.HardState.GetCommit()
}

// state returns what the consensus core starts from.
func (d *Disk) state() raftnode.State {
	if d.Found == nil {
		return raftnode.State{}
	}
	state := raftnode.State{
		HardState: d.Found.HardState, Snapshot: d.Found.Snapshot, SnapshotSize: uint64(d.Found.SnapshotSize),
		Last: d.LastIndex(), Entries: d.Found.Entries, Time: uint64(d.store.Time()),
	}
	for _, t := range d.Found.Terms {
		state.Terms = append(state.Terms, raftnode.Term(t))
	}
	return state
}

// snapshotBytes returns how many bytes of entries there may be between two snapshots. The log
// reaches back to the snapshot before the last, and two or three snapshots take space as well,
// so a small disk needs snapshots more often than a large one.
func (d *Disk) snapshotBytes() (uint64, error) {
	_, total, err := d.fsys.Space()
	if err != nil {
		return 0, fmt.Errorf("data directory: %w", err)
	}
	return uint64(max(total/16, 1<<20)), nil
}

// Close releases the directory. A machine that was started with the disk closes it itself.
func (d *Disk) Close() (err error) {
	if d.log != nil {
		err = d.log.Close()
	}
	return errors.Join(err, d.unlock())
}

func (d *Disk) unlock() error {
	if d.lock == nil {
		return nil
	}
	return d.lock.Close()
}

// Members returns the IDs of all members in the log, including those whose conf change was
// not committed yet at its end.
func (d *Disk) Members() []uint64 {
	m := d.membership()
	return slices.Sorted(slices.Values(append(m.voters, m.learners...)))
}

// Alone reports whether this machine is the only member of its cluster.
func (d *Disk) Alone() bool {
	present := d.Members()
	return len(present) == 1 && present[0] == d.Identity.MemberID
}

// Founder reports whether this machine has founded its cluster and no other one has ever been
// a member.
func (d *Disk) Founder() bool { return d.Alone() && len(d.Former()) == 0 }

// Former returns the IDs of the members that were removed, in ascending order.
func (d *Disk) Former() []uint64 {
	former := d.membership().former
	slices.Sort(former)
	return slices.Compact(former)
}

// logMembers holds the IDs of the members by the log, and of the former ones.
type logMembers struct{ voters, learners, former []uint64 }

func (d *Disk) membership() (m logMembers) {
	if d.Found == nil {
		return m
	}
	conf := d.Found.Snapshot.GetConfState()
	m.voters, m.learners = slices.Clone(conf.GetVoters()), slices.Clone(conf.GetLearners())
	m.former = slices.Clone(d.store.Removed())
	for _, e := range d.Found.ConfChanges {
		change := &raftpb.ConfChange{}
		if e.GetType() != raftpb.EntryConfChange || proto.Unmarshal(e.GetData(), change) != nil {
			continue // one that cannot be decoded is refused when it is applied
		}
		id := change.GetNodeId()
		changed := func(member uint64) bool { return member == id }
		m.voters, m.learners = slices.DeleteFunc(m.voters, changed), slices.DeleteFunc(m.learners, changed)
		switch change.GetType() {
		case raftpb.ConfChangeAddNode:
			m.voters = append(m.voters, id)
		case raftpb.ConfChangeAddLearnerNode:
			m.learners = append(m.learners, id)
		case raftpb.ConfChangeRemoveNode:
			m.former = append(m.former, id)
		}
	}
	return m
}
