package grpcfront

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"etcd/store/mvcc"
)

// An answer is encoded as a whole, and kept until its client has taken it, which may be never. What large ones keep
// is counted, and one that has no room is refused, as httpfront does. A client that does not take a large answer in
// time loses its connection.

const (
	// maxLight bounds an answer that is not counted, in bytes.
	maxLight = 16 << 10
	// maxTaking is how long a client may take for a large answer, and a second more for each bytesPerSecond.
	maxTaking      = time.Minute
	bytesPerSecond = 1 << 20
)

// answerMemory is what answers keep.
type answerMemory struct {
	limit   int64
	bytes   atomic.Int64
	refused atomic.Uint64
}

// reserve returns an answer for the codec, which is to be counted if it is large, or an error if that has no room. One
// that is too large for all of it is taken if it is the only one.
func (a *answerMemory) reserve(ctx context.Context, answer any) (any, error) {
	message, ok := answer.(proto.Message)
	if !ok {
		return answer, nil
	}
	size := int64(proto.Size(message))
	if size <= maxLight {
		return answer, nil
	}
	if err := a.add(size); err != nil {
		return nil, err
	}
	h := &held{message: message, n: size, of: a, conn: connOf(ctx)}
	h.conn.keep(h)
	return h, nil
}

// add counts bytes, or returns an error if they have no room.
func (a *answerMemory) add(size int64) error {
	if held := a.bytes.Add(size); held > a.limit && held > size {
		a.bytes.Add(-size)
		a.refused.Add(1)
		return rpctypes.ErrGRPCRequestTooManyRequests
	}
	return nil
}

// perKey is what a key of an answer costs while that is made, besides its bytes, which are those of the state.
const perKey = 128

// reserve counts what it takes to make an answer of what was found or deleted, until the end of the call.
func (s *session) reserve(out *mvcc.Outcome) error {
	size := int64(keysOf(&out.Step) * perKey)
	if size <= maxLight {
		return nil
	}
	err := s.of.answers.add(size)
	if err == nil {
		s.making = size
	}
	return err
}

func keysOf(step *mvcc.Step) int {
	n := len(step.Found.Versions) + len(step.Deleted)
	if step.Txn != nil {
		for i := range step.Txn.Steps {
			n += keysOf(&step.Txn.Steps[i])
		}
	}
	return n
}

// held is an answer that is kept, until it was sent or its connection has ended. It is the pool of its buffer, to which
// that is given back when it was sent.
type held struct {
	message proto.Message // until it is encoded
	data    mem.Buffer    // from then on
	n       int64
	of      *answerMemory
	conn    *conn
	late    *time.Timer
}

// Get implements [mem.BufferPool]. Nobody asks it for a buffer.
func (h *held) Get(length int) *[]byte {
	b := make([]byte, length)
	return &b
}

// Put implements [mem.BufferPool].
func (h *held) Put(*[]byte) {
	h.late.Stop()
	h.conn.drop(h)
	h.data.Free()
}

// keeps are the answers that a connection keeps.
type keeps struct {
	mu     sync.Mutex
	all    map[*held]struct{}
	closed bool
}

// keep adds an answer, which was counted.
func (k *keeps) keep(h *held) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		h.of.bytes.Add(-h.n)
		return
	}
	if k.all == nil {
		k.all = make(map[*held]struct{})
	}
	k.all[h] = struct{}{}
}

// drop counts an answer no more.
func (k *keeps) drop(h *held) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, kept := k.all[h]; kept {
		delete(k.all, h)
		h.of.bytes.Add(-h.n)
	}
}

// dropAll is for a connection that has ended.
func (k *keeps) dropAll() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for h := range k.all {
		h.of.bytes.Add(-h.n)
	}
	k.all, k.closed = nil, true
}

// codec is that of gRPC, which also takes what reserve returns.
type codec struct{ encoding.CodecV2 }

// Marshal implements [encoding.CodecV2].
func (c codec) Marshal(message any) (mem.BufferSlice, error) {
	h, ok := message.(*held)
	if !ok {
		return c.CodecV2.Marshal(message)
	}
	data, err := c.CodecV2.Marshal(h.message)
	if err != nil || len(data) != 1 {
		h.conn.drop(h)
		return data, err
	}
	conn := h.conn
	h.message, h.data = nil, data[0]
	h.late = time.AfterFunc(maxTaking+time.Duration(h.n/bytesPerSecond)*time.Second, func() {
		_ = conn.Close() // there is nobody to tell
	})
	bytes := h.data.ReadOnlyData()
	return mem.BufferSlice{mem.NewBuffer(&bytes, h)}, nil
}
