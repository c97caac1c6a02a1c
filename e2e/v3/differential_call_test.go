package v3

import (
	"fmt"
	"math"
	"regexp"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// call is a request.
type call struct {
	method  string
	request proto.Message
	wire    []byte // sent instead of the request
}

func (c call) String() string {
	if c.wire != nil {
		return fmt.Sprintf("%s %q", c.method, c.wire)
	}
	return c.method + " " + short(c.request)
}

// run is a long value, as it is drawn.
var run = regexp.MustCompile(`x{10,}`)

// short renders a message in one line.
func short(m proto.Message) string {
	const limit = 1000
	text := run.ReplaceAllStringFunc(prototext.MarshalOptions{}.Format(m), func(xs string) string { return fmt.Sprintf("x*%d", len(xs)) })
	if len(text) > limit {
		return fmt.Sprintf("%s... (%d bytes)", text[:limit], len(text))
	}
	return text
}

func (c call) newReply() proto.Message {
	switch c.method {
	case pb.KV_Put_FullMethodName:
		return &pb.PutResponse{}
	case pb.KV_DeleteRange_FullMethodName:
		return &pb.DeleteRangeResponse{}
	case pb.KV_Txn_FullMethodName:
		return &pb.TxnResponse{}
	case pb.KV_Compact_FullMethodName:
		return &pb.CompactionResponse{}
	case pb.Maintenance_Status_FullMethodName:
		return &pb.StatusResponse{}
	case pb.Cluster_MemberList_FullMethodName:
		return &pb.MemberListResponse{}
	}
	return &pb.RangeResponse{}
}

// payload returns what wireCodec sends.
func (c call) payload() any {
	if c.wire != nil {
		return c.wire
	}
	return c.request
}

// wireCodec is the usual codec, which also sends bytes as they are.
type wireCodec struct{}

func (wireCodec) Name() string { return "proto" }

func (wireCodec) Marshal(v any) ([]byte, error) {
	if b, ok := v.([]byte); ok {
		return b, nil
	}
	return proto.Marshal(v.(proto.Message))
}

func (wireCodec) Unmarshal(b []byte, v any) error { return proto.Unmarshal(b, v.(proto.Message)) }

// shifted returns the request with revisions that mean the same to a server at another one.
func (c call) shifted(by int64) call {
	if by != 0 && c.wire == nil {
		c.request = proto.Clone(c.request)
		shift(c.request.ProtoReflect(), by)
	}
	return c
}

// shift translates the revisions of an answer.
func (a answer) shift(by int64) {
	if by != 0 && a.message != nil {
		shift(a.message.ProtoReflect(), by)
	}
}

// shift adds to all revisions that are not extremes, and so mean what they say.
func shift(m protoreflect.Message, by int64) {
	m.Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case field.Kind() == protoreflect.MessageKind && field.IsList():
			for i := range v.List().Len() {
				shift(v.List().Get(i).Message(), by)
			}
		case field.Kind() == protoreflect.MessageKind:
			shift(v.Message(), by)
		case field.Kind() == protoreflect.Int64Kind && strings.HasSuffix(string(field.Name()), "revision"):
			if n := v.Int(); n > 1 && n < math.MaxInt64/2 {
				m.Set(field, protoreflect.ValueOfInt64(n+by))
			}
		}
		return true
	})
}
