package transport

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
)

// Kind says what a frame carries.
type Kind uint8

const (
	// KindRaft is a message of Raft. Its payload is the caller's.
	KindRaft Kind = 1
	// KindForward is a proposal for the leader. Its payload is the caller's.
	KindForward Kind = 2
	// KindReject answers a KindForward that was not proposed. Its payload is the
	// caller's.
	KindReject Kind = 3
	// KindHash carries the hash of a machine's state. Its payload is the caller's.
	KindHash Kind = 4
	// KindReach carries how far a machine's log reaches. Its payload is the caller's.
	KindReach Kind = 5
	// KindRefusal tells the accepting side of a stream that the dialer refuses it, see
	// [Events.Meet]. [DecodeRefusal] reads its payload.
	KindRefusal Kind = 6

	kindPing            Kind = 16
	kindPong            Kind = 17
	kindSnapshotMessage Kind = 32
	kindSnapshotPiece   Kind = 33
	kindSnapshotEnd     Kind = 34
)

// MaxFrame bounds the payload of a frame on a stream, in bytes.
const MaxFrame = 64 << 20

const (
	frameHeaderSize = 12
	// frameStep is how much memory a frame gets before any of it has arrived, in bytes.
	frameStep = 64 << 10
)

// Errors of [ReadFrame].
var (
	// ErrDamaged is a frame whose checksum or header is wrong.
	ErrDamaged = errors.New("a frame was damaged in transit")
	// ErrTooLarge is a frame over the limit of its reader.
	ErrTooLarge = errors.New("a frame is over the limit")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Frame is what a stream carries.
type Frame struct {
	Kind Kind
	// Payload has at most [MaxFrame] bytes.
	Payload []byte
}

// frameSize is the length of a frame on the wire.
func frameSize(f Frame) int { return frameHeaderSize + len(f.Payload) }

// AppendFrame appends f as it stands on the wire, little-endian:
//
//	length of the payload u32 | kind u8 | 3 zero bytes | CRC-32C u32 | payload
//
// The CRC covers everything but itself.
func AppendFrame(b []byte, f Frame) []byte {
	b = slices.Grow(b, frameSize(f))
	start := len(b)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(f.Payload)))
	b = append(b, byte(f.Kind), 0, 0, 0)
	sum := crc32.Update(crc32.Checksum(b[start:], castagnoli), castagnoli, f.Payload)
	b = binary.LittleEndian.AppendUint32(b, sum)
	return append(b, f.Payload...)
}

// ReadFrame reads one frame with a payload of at most max bytes, which the caller
// owns. Memory grows with what has arrived, not with what a header announces. The
// error is io.EOF at the end of the stream, io.ErrUnexpectedEOF when it ends inside
// a frame, or wraps [ErrDamaged], [ErrTooLarge] or the error of r.
func ReadFrame(r *bufio.Reader, max int) (Frame, error) {
	return readFrame(r, max, nil)
}

// readFrame is ReadFrame with the payload put into buf if that is large enough.
func readFrame(r *bufio.Reader, max int, buf []byte) (Frame, error) {
	head, err := r.Peek(frameHeaderSize)
	if err != nil {
		if len(head) > 0 {
			err = noEOF(err)
		}
		return Frame{}, err
	}
	size := binary.LittleEndian.Uint32(head[0:])
	if uint64(size) > uint64(max) {
		return Frame{}, fmt.Errorf("%w: %d bytes, at most %d are taken", ErrTooLarge, size, max)
	}
	if head[5] != 0 || head[6] != 0 || head[7] != 0 {
		return Frame{}, fmt.Errorf("%w: its header is malformed", ErrDamaged)
	}
	kind, want := Kind(head[4]), binary.LittleEndian.Uint32(head[8:])
	sum := crc32.Checksum(head[:8], castagnoli)
	if _, err := r.Discard(frameHeaderSize); err != nil {
		return Frame{}, err
	}
	payload, err := readPayload(r, int(size), buf[:0])
	if err != nil {
		return Frame{}, err
	}
	if got := crc32.Update(sum, castagnoli, payload); got != want {
		return Frame{}, fmt.Errorf("%w: CRC-32C %08x, should be %08x", ErrDamaged, got, want)
	}
	return Frame{Kind: kind, Payload: payload}, nil
}

// readPayload appends size bytes of r to the empty b.
func readPayload(r io.Reader, size int, b []byte) ([]byte, error) {
	for len(b) < size {
		have := len(b)
		step := min(size-have, max(cap(b), frameStep, have))
		b = slices.Grow(b, step)[:have+step]
		if _, err := io.ReadFull(r, b[have:]); err != nil {
			return nil, noEOF(err)
		}
	}
	return b, nil
}
