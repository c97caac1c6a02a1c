package store

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"etcd/store/storepb"
)

// A snapshot is messages in named sections, each with the number of its messages and a
// checksum, see store.proto. So a program that does not know a section can tell whether it may
// skip it.

// The sections, in their order. The first ones have to be there.
const (
	clusterSection  = "cluster"
	membersSection  = "members"
	treeSection     = "tree"
	nodesSection    = "nodes"
	eventsSection   = "events"
	authSection     = "auth"
	keyspaceSection = "keyspace"
	versionsSection = "versions"
)

var sections = []string{
	clusterSection, membersSection, treeSection, nodesSection, eventsSection,
	authSection, keyspaceSection, versionsSection,
}

const requiredSections = 5

// maxMessage bounds a message of a snapshot. It is far above what a request
// can carry.
const maxMessage = 1 << 30

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// messageWriter writes messages with their lengths, until the first error.
type messageWriter struct {
	w     *bufio.Writer
	buf   []byte
	bytes int64
	sum   uint32 // of the section so far
	err   error
}

func (m *messageWriter) write(message proto.Message) {
	if m.err != nil {
		return
	}
	m.buf = protowire.AppendVarint(m.buf[:0], uint64(encoding.Size(message)))
	if m.buf, m.err = encoding.MarshalAppend(m.buf, message); m.err == nil {
		m.flush()
	}
}

// flush passes on what is in buf, and adds it to the checksum.
func (m *messageWriter) flush() {
	var n int
	n, m.err = m.w.Write(m.buf)
	m.bytes += int64(n)
	m.sum = crc32.Update(m.sum, castagnoli, m.buf)
}

// section begins a section of count messages.
func (m *messageWriter) section(name string, count int) {
	m.sum = 0
	m.write(&storepb.Section{Name: name, Count: uint64(count)})
}

func (m *messageWriter) endSection() {
	if m.err == nil {
		m.buf = binary.LittleEndian.AppendUint32(m.buf[:0], m.sum)
		m.flush()
	}
}

// flushed returns the number of bytes that left the buffer.
func (m *messageWriter) flushed() int64 { return m.bytes - int64(m.w.Buffered()) }

// messageReader reads messages with their lengths.
type messageReader struct {
	r   *checksumReader
	buf bytes.Buffer
}

func newMessageReader(r io.Reader) *messageReader {
	return &messageReader{r: &checksumReader{r: bufio.NewReaderSize(r, 1<<16)}}
}

// checksumReader is a reader that keeps a checksum of what was read.
type checksumReader struct {
	r   *bufio.Reader
	sum uint32
	one [1]byte // of ReadByte
}

func (s *checksumReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.sum = crc32.Update(s.sum, castagnoli, p[:n])
	return n, err
}

// ReadByte implements [io.ByteReader].
func (s *checksumReader) ReadByte() (byte, error) {
	b, err := s.r.ReadByte()
	if err == nil {
		s.one[0] = b
		s.sum = crc32.Update(s.sum, castagnoli, s.one[:])
	}
	return b, err
}

// take reads n bytes, which fit into the buffer of the reader, and are valid until the next read.
func (s *checksumReader) take(n int) ([]byte, error) {
	b, err := s.r.Peek(n)
	if err != nil {
		return nil, err
	}
	s.sum = crc32.Update(s.sum, castagnoli, b)
	_, err = s.r.Discard(n)
	return b, err
}

// next reads the bytes of a message, which are valid until the next read. The end of the stream is an
// error.
func (m *messageReader) next() ([]byte, error) {
	size, err := binary.ReadUvarint(m.r)
	if err != nil {
		return nil, unexpectedEOF(err)
	}
	if size > maxMessage {
		return nil, fmt.Errorf("message of %d bytes is too large", size)
	}
	if size <= uint64(m.r.r.Size()) {
		data, err := m.r.take(int(size))
		return data, unexpectedEOF(err)
	}
	// The buffer grows with what is there, not with what the length claims.
	m.buf.Reset()
	if _, err := io.CopyN(&m.buf, m.r, int64(size)); err != nil {
		return nil, unexpectedEOF(err)
	}
	return m.buf.Bytes(), nil
}

// readUnchecked fills in the message, which may have fields that are not known.
func (m *messageReader) readUnchecked(message proto.Message) error {
	data, err := m.next()
	if err != nil {
		return err
	}
	return proto.Unmarshal(data, message)
}

// read fills in the message.
func (m *messageReader) read(message proto.Message) error {
	if err := m.readUnchecked(message); err != nil {
		return err
	}
	return checkUnknown(message)
}

// readSingle is readUnchecked for the only message of a section.
func (m *messageReader) readSingle(message proto.Message, count uint64) error {
	if count != 1 {
		return fmt.Errorf("%d messages, want 1", count)
	}
	return m.readUnchecked(message)
}

// sections reads count sections. read has a function for each known one, which reads its
// messages; the first of them have to be there, and all are in their order. Unknown ones are
// skipped if they are optional.
func (m *messageReader) sections(count uint32, read map[string]func(count uint64) error) error {
	next := 0 // in sections
	for range count {
		m.r.sum = 0
		section := new(storepb.Section)
		if err := m.read(section); err != nil {
			return fmt.Errorf("section header: %w", err)
		}
		name := section.GetName()
		var err error
		switch known, ok := read[name]; {
		case ok:
			at := slices.Index(sections, name)
			if at < next || next < min(at, requiredSections) {
				err = errors.New("out of order")
				break
			}
			next = at + 1
			err = known(section.GetCount())
		case section.GetOptional():
			err = each(section.GetCount(), func() error {
				_, err := m.next()
				return err
			})
		default:
			err = fmt.Errorf("%w: unknown required section", ErrNewer)
		}
		if err == nil {
			err = m.endSection()
		}
		if err != nil {
			return fmt.Errorf("section %.40q: %w", name, err)
		}
	}
	if next < requiredSections {
		return fmt.Errorf("section %q is missing", sections[next])
	}
	return nil
}

// endSection checks the checksum of a section.
func (m *messageReader) endSection() error {
	want := m.r.sum
	var sum [4]byte
	if _, err := io.ReadFull(m.r, sum[:]); err != nil {
		return unexpectedEOF(err)
	}
	if binary.LittleEndian.Uint32(sum[:]) != want {
		return errors.New("checksum mismatch")
	}
	return nil
}

// expectEOF returns an error unless everything has been read.
func (m *messageReader) expectEOF() error {
	switch _, err := m.r.ReadByte(); {
	case err == nil:
		return errors.New("trailing data")
	case errors.Is(err, io.EOF):
		return nil
	default:
		return err
	}
}

// unexpectedEOF turns the end of the stream into the error it is within a snapshot.
func unexpectedEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
