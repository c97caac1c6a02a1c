package store

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"google.golang.org/protobuf/proto"

	"etcd/store/logtime"
	"etcd/store/storepb"
	"etcd/store/tree"
)

// Restore reads what View.WriteTo wrote and returns a store that goes on
// from there exactly as the one the view was taken of. It reads r to its
// end. It returns an error for every stream that is not a whole snapshot of a
// version and a shape this package knows; it wraps ErrNewer if that is why.
func Restore(r io.Reader) (*Store, error) {
	in := messageReader{r: bufio.NewReaderSize(r, 1<<16)}
	s := New()
	if err := s.restore(&in); err != nil {
		return nil, fmt.Errorf("store: reading a snapshot: %w", err)
	}
	return s, nil
}

func (s *Store) restore(in *messageReader) error {
	header := new(storepb.SnapshotHeader)
	if err := in.read(header); err != nil {
		return fmt.Errorf("header: %w", err)
	}
	if version := header.GetFormatVersion(); version != formatVersion {
		return fmt.Errorf("%w: it has format version %d, this program reads version %d", ErrNewer, version, formatVersion)
	}
	s.index, s.time = header.GetIndex(), logtime.Time(header.GetTime())
	loader, err := tree.NewLoader(s.index, int(header.GetHistoryLimit()), header.GetHistoryCleared())
	if err != nil {
		return fmt.Errorf("header: %w", err)
	}
	s.removed = header.GetRemoved()
	for i, id := range s.removed {
		if id == 0 || i > 0 && id <= s.removed[i-1] {
			return errors.New("header: the removed members are out of order")
		}
	}
	for i := range header.GetMembers() {
		if err := s.restoreMember(in); err != nil {
			return fmt.Errorf("member %d: %w", i, err)
		}
	}
	for i := range header.GetNodes() {
		if err := restoreNode(in, loader); err != nil {
			return fmt.Errorf("node %d: %w", i, err)
		}
	}
	for i := range header.GetEvents() {
		if err := restoreEvent(in, loader); err != nil {
			return fmt.Errorf("event %d: %w", i, err)
		}
	}
	s.tree = loader.Tree()
	return in.end()
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

func restoreNode(in *messageReader, loader *tree.Loader) error {
	m := new(storepb.Node)
	if err := in.read(m); err != nil {
		return err
	}
	node, err := decodeNode(m)
	if err != nil {
		return err
	}
	return loader.Node(node)
}

func restoreEvent(in *messageReader, loader *tree.Loader) error {
	m := new(storepb.Event)
	if err := in.read(m); err != nil {
		return err
	}
	if m.GetAction() < 0 || m.GetAction() > math.MaxUint8 {
		return fmt.Errorf("action %d is not known", m.GetAction())
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

// decodeNode turns a message into a node, which may still be one that no tree has.
func decodeNode(m *storepb.Node) (*tree.Node, error) {
	if m == nil {
		return nil, errors.New("no node")
	}
	if unknown(m) {
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

// maxMessage bounds a message of a snapshot. It is far above what a request
// can carry.
const maxMessage = 1 << 30

// messageReader reads messages with their lengths.
type messageReader struct {
	r   *bufio.Reader
	buf bytes.Buffer
}

// read fills in the message. The end of the stream is an error.
func (m *messageReader) read(message proto.Message) error {
	size, err := binary.ReadUvarint(m.r)
	if err != nil {
		return whole(err)
	}
	if size > maxMessage {
		return fmt.Errorf("a message of %d bytes is too large", size)
	}
	// The buffer grows with what is there, not with what the length claims.
	m.buf.Reset()
	if _, err := io.CopyN(&m.buf, m.r, int64(size)); err != nil {
		return whole(err)
	}
	if err := proto.Unmarshal(m.buf.Bytes(), message); err != nil {
		return err
	}
	return checkUnknown(message)
}

// end returns an error unless everything has been read.
func (m *messageReader) end() error {
	switch _, err := m.r.ReadByte(); {
	case err == nil:
		return errors.New("something follows it")
	case errors.Is(err, io.EOF):
		return nil
	default:
		return err
	}
}

// whole turns the end of the stream into the error it is within a snapshot.
func whole(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
