package store

import (
	"errors"
	"fmt"
	"io"
	"math"

	"etcd/store/logtime"
	"etcd/store/storepb"
	"etcd/store/tree"
)

// Restore reads what View.WriteTo wrote and returns a store that continues
// from there exactly like the one the view was taken of. It reads r to its
// end. It fails for every stream that is not a whole snapshot in a format that
// this package knows; the error wraps ErrNewer if the format is a newer one.
func Restore(r io.Reader) (*Store, error) {
	in := newMessageReader(r)
	s := New()
	if err := s.restore(in); err != nil {
		return nil, fmt.Errorf("store: restore snapshot: %w", err)
	}
	return s, nil
}

func (s *Store) restore(in *messageReader) error {
	header := new(storepb.SnapshotHeader)
	if err := in.readUnchecked(header); err != nil {
		return fmt.Errorf("header: %w", err)
	}
	if format := header.GetFormatVersion(); !Snapshots.Has(format) {
		return fmt.Errorf("%w: format version %d, and this program reads %s", ErrNewer, format, Snapshots)
	}
	if err := checkUnknown(header); err != nil {
		return fmt.Errorf("header: %w", err)
	}
	s.index, s.changed, s.time = header.GetIndex(), header.GetIndex(), logtime.Time(header.GetTime())
	if header.GetFormatVersion() == 1 {
		return s.restoreFormat1(in, header)
	}
	var loader *tree.Loader
	var quota uint64
	var keys keyspaceReader
	if err := in.sections(header.GetSections(), map[string]func(count uint64) error{
		clusterSection: func(count uint64) (err error) {
			quota, err = s.restoreCluster(in, count)
			return err
		},
		membersSection: func(count uint64) error { return each(count, func() error { return s.restoreMember(in) }) },
		treeSection: func(count uint64) (err error) {
			loader, err = s.restoreTree(in, count, quota)
			return err
		},
		nodesSection: func(count uint64) error {
			return each(count, (&nodeReader{in: in, loader: loader, format: header.GetFormatVersion()}).read)
		},
		eventsSection:   func(count uint64) error { return each(count, func() error { return restoreEvent(in, loader) }) },
		authSection:     func(count uint64) error { return s.restoreAuth(in, count) },
		keyspaceSection: func(count uint64) error { return keys.begin(in, count) },
		versionsSection: func(count uint64) error { return keys.read(in, count) },
	}); err != nil {
		return err
	}
	s.tree = loader.Tree() // before the keyspace, which reserves a part of the quota
	if err := keys.into(s); err != nil {
		return err
	}
	return in.expectEOF()
}

// restoreFormat1 reads a snapshot from before there were sections.
func (s *Store) restoreFormat1(in *messageReader, header *storepb.SnapshotHeader) error {
	s.version = Commands.Min
	loader, err := tree.NewLoader(s.index, int(header.GetHistoryLimit()), header.GetHistoryCleared())
	if err != nil {
		return fmt.Errorf("header: %w", err)
	}
	if err := s.restoreRemoved(header.GetRemoved()); err != nil {
		return fmt.Errorf("header: %w", err)
	}
	if err := each(header.GetMembers(), func() error { return s.restoreMember(in) }); err != nil {
		return fmt.Errorf("members: %w", err)
	}
	if err := each(header.GetNodes(), (&nodeReader{in: in, loader: loader, format: 1}).read); err != nil {
		return fmt.Errorf("nodes: %w", err)
	}
	if err := each(header.GetEvents(), func() error { return restoreEvent(in, loader) }); err != nil {
		return fmt.Errorf("events: %w", err)
	}
	s.tree = loader.Tree()
	return in.expectEOF()
}

// each calls read for each of count messages, until the first error.
func each(count uint64, read func() error) error {
	for i := range count {
		if err := read(); err != nil {
			return fmt.Errorf("%d: %w", i, err)
		}
	}
	return nil
}

func (s *Store) restoreCluster(in *messageReader, count uint64) (quota uint64, err error) {
	m := new(storepb.Cluster)
	if err := in.readSingle(m, count); err != nil {
		return 0, err
	}
	if err := checkVersion(m.GetVersion()); err != nil { // first, because the rest of it may be new as well
		return 0, err
	}
	if err := checkUnknown(m); err != nil {
		return 0, err
	}
	s.version, s.maxMembers = m.GetVersion(), m.GetMaxMembers()
	return m.GetQuota(), s.restoreRemoved(m.GetRemoved())
}

func (s *Store) restoreRemoved(removed []uint64) error {
	for i, id := range removed {
		if id == 0 || i > 0 && id <= removed[i-1] {
			return errors.New("removed members are out of order")
		}
	}
	s.removed = removed
	return nil
}

func (s *Store) restoreTree(in *messageReader, count, quota uint64) (*tree.Loader, error) {
	m := new(storepb.Tree)
	if err := in.readSingle(m, count); err != nil {
		return nil, err
	}
	if err := checkUnknown(m); err != nil {
		return nil, err
	}
	loader, err := tree.NewLoader(s.index, int(m.GetHistoryLimit()), m.GetHistoryCleared())
	if err == nil {
		loader.SetQuota(quota)
	}
	return loader, err
}

func (s *Store) restoreMember(in *messageReader) error {
	m := new(storepb.Member)
	if err := in.read(m); err != nil {
		return err
	}
	if err := checkMember(m, m); err != nil {
		return err
	}
	if n := len(s.members); n > 0 && s.members[n-1].ID >= m.GetId() {
		return errors.New("out of order")
	}
	s.members = append(s.members, memberOf(m))
	return nil
}

func restoreEvent(in *messageReader, loader *tree.Loader) error {
	m := new(storepb.Event)
	if err := in.read(m); err != nil {
		return err
	}
	if m.GetAction() < 0 || m.GetAction() > math.MaxUint8 {
		return fmt.Errorf("unknown action %d", m.GetAction())
	}
	event := tree.Event{Index: m.GetIndex(), Action: tree.Action(m.GetAction())}
	var err error
	if event.Node, err = decodeNode(m.GetNode()); err != nil {
		return err
	}
	if m.Prev != nil {
		m.Prev.Path = event.Node.Path
		if event.Prev, err = decodeNode(m.Prev); err != nil {
			return err
		}
	}
	return loader.Event(event)
}

// decodeNode turns the message of an event into a node, which may still be invalid: the loader checks that.
func decodeNode(m *storepb.Node) (*tree.Node, error) {
	if m == nil {
		return nil, errors.New("no node")
	}
	if unknown(m) || m.GetSharedPrefix() > 0 {
		return nil, errNewer
	}
	return &tree.Node{
		Path:     m.GetPath(),
		Dir:      m.GetDir(),
		Value:    storepb.Owned(m.GetValue()),
		Created:  m.GetCreatedIndex(),
		Modified: m.GetModifiedIndex(),
		Deadline: logtime.Time(m.GetDeadline()),
	}, nil
}
