package v3

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
)

// What may differ:
//
//   - Cluster and member IDs and the term, of which each server has its own. They must be there.
//   - The order of keys that a sort by something else does not tell apart, and so which of them a
//     limit cuts off.
//   - How a RangeStream is cut into parts, and so its keys if it is sorted by something else than the
//     key and in no order. Upstream sorts each part by itself then, and goes on at the wrong key; ours
//     answers what it answers to a Range.
//   - Transactions that crash upstream, which are not sent.
//   - Sizes, indexes and the patch version of a Status, which must be plausible.
//   - The text about a request that is no message, which comes from the protobuf library.
//   - Details of an error, of which upstream has none.

// difference says how two answers differ that must not.
func (d *differential) difference(c call, official, tested answer) (what, where string) {
	if official.code() != tested.code() {
		return "another code", ""
	}
	if official.err != nil {
		if official.String() != tested.String() && !(c.wire != nil && official.code() == codes.Internal) {
			return "another text", ""
		}
		return "", ""
	}
	request := c.request
	if c.wire != nil {
		request = c.request.ProtoReflect().New().Interface()
		if err := proto.Unmarshal(c.wire, request); err != nil {
			return "both have understood what is no message", err.Error()
		}
	}
	if mixesParts(c.method, request, official.message) {
		return "", ""
	}
	var texts [2]string
	for i, a := range []answer{official, tested} {
		m := proto.Clone(a.message)
		if complaint := mask(request, m); complaint != "" {
			return "an answer that cannot be", complaint
		}
		texts[i] = prototext.MarshalOptions{Multiline: true}.Format(m)
	}
	// The format has blanks that differ from process to process, not within one.
	if texts[0] != texts[1] {
		return "another answer", lineDiff(texts[0], texts[1])
	}
	return "", ""
}

// mixesParts reports whether upstream has sorted the parts of a RangeStream each by itself, of
// which the first has ten keys.
func mixesParts(method string, request, m proto.Message) bool {
	if method != pb.KV_RangeStream_FullMethodName {
		return false
	}
	q, official := request.(*pb.RangeRequest), m.(*pb.RangeResponse)
	return q.SortOrder == pb.RangeRequest_NONE && q.SortTarget != pb.RangeRequest_KEY && (official.More || len(official.Kvs) > 10)
}

// lineDiff shows the first lines that differ.
func lineDiff(official, tested string) string {
	a, b := strings.Split(official, "\n"), strings.Split(tested, "\n")
	same := 0
	for same < min(len(a), len(b)) && a[same] == b[same] {
		same++
	}
	context := max(0, same-3)
	show := func(prefix string, lines []string) (text string) {
		for _, line := range lines[:min(len(lines), 6)] {
			text += prefix + line[:min(len(line), 200)] + "\n"
		}
		return text
	}
	return show("  ", a[context:same]) + show("- ", a[same:]) + show("+ ", b[same:])
}

// mask checks what may differ in an answer, and takes it out.
func mask(request, m proto.Message) (complaint string) {
	if complaint := maskHeader(m); complaint != "" {
		return complaint
	}
	switch m := m.(type) {
	case *pb.RangeResponse:
		settleTies(request.(*pb.RangeRequest), m)
	case *pb.TxnResponse:
		settleTxn(request.(*pb.TxnRequest), m)
	case *pb.StatusResponse:
		return maskStatus(m)
	case *pb.MemberListResponse:
		return maskMembers(m)
	}
	return ""
}

func maskHeader(m proto.Message) (complaint string) {
	header := m.(interface{ GetHeader() *pb.ResponseHeader }).GetHeader()
	if header.GetClusterId() == 0 || header.GetMemberId() == 0 || header.GetRaftTerm() == 0 {
		return fmt.Sprintf("incomplete header: %v", header)
	}
	if status, ok := m.(*pb.StatusResponse); ok {
		if status.Leader != header.MemberId || status.RaftTerm != header.RaftTerm {
			return fmt.Sprintf("it is alone and does not lead: %v", status)
		}
	}
	if list, ok := m.(*pb.MemberListResponse); ok {
		if len(list.Members) != 1 || list.Members[0].ID != header.MemberId {
			return fmt.Sprintf("it is not its only member: %v", list)
		}
	}
	header.ClusterId, header.MemberId, header.RaftTerm = 0, 0, 0
	return ""
}

func maskStatus(m *pb.StatusResponse) (complaint string) {
	switch {
	case m.DbSizeInUse <= 0 || m.DbSize < m.DbSizeInUse:
		return fmt.Sprintf("sizes that cannot be: %v", m)
	case m.RaftAppliedIndex == 0 || m.RaftIndex < m.RaftAppliedIndex:
		return fmt.Sprintf("indexes that cannot be: %v", m)
	}
	m.Leader, m.RaftTerm, m.DbSize, m.DbSizeInUse, m.RaftIndex, m.RaftAppliedIndex = 0, 0, 0, 0, 0, 0
	if parts := strings.Split(m.Version, "."); len(parts) == 3 {
		m.Version = parts[0] + "." + parts[1]
	}
	return ""
}

// maskMembers takes out what the test itself has told each server.
func maskMembers(m *pb.MemberListResponse) (complaint string) {
	for _, member := range m.Members {
		if member.Name == "" || len(member.PeerURLs) != 1 || len(member.ClientURLs) != 1 {
			return fmt.Sprintf("incomplete: %v", member)
		}
		member.ID, member.PeerURLs, member.ClientURLs = 0, nil, nil
	}
	return ""
}

func settleTxn(request *pb.TxnRequest, m *pb.TxnResponse) {
	ops := request.Failure
	if m.Succeeded {
		ops = request.Success
	}
	for i, response := range m.Responses {
		if i >= len(ops) {
			return // which is seen by comparing
		}
		if r := response.GetResponseRange(); r != nil {
			settleTies(ops[i].GetRequestRange(), r)
		}
		if r := response.GetResponseTxn(); r != nil {
			settleTxn(ops[i].GetRequestTxn(), r)
		}
	}
}

// settleTies sorts keys that the sort of the request does not tell apart. Of those at which a
// limit has cut only their number is left.
func settleTies(request *pb.RangeRequest, m *pb.RangeResponse) {
	var order func(a, b *mvccpb.KeyValue) int
	switch request.GetSortTarget() {
	case pb.RangeRequest_VERSION:
		order = func(a, b *mvccpb.KeyValue) int { return cmp.Compare(a.Version, b.Version) }
	case pb.RangeRequest_CREATE:
		order = func(a, b *mvccpb.KeyValue) int { return cmp.Compare(a.CreateRevision, b.CreateRevision) }
	case pb.RangeRequest_MOD:
		order = func(a, b *mvccpb.KeyValue) int { return cmp.Compare(a.ModRevision, b.ModRevision) }
	case pb.RangeRequest_VALUE:
		if request.KeysOnly { // so that the values are not there to be compared
			order = func(a, b *mvccpb.KeyValue) int { return 0 }
		} else {
			order = func(a, b *mvccpb.KeyValue) int { return bytes.Compare(a.Value, b.Value) }
		}
	default:
		return
	}
	for begin := 0; begin < len(m.Kvs); {
		end := begin + 1
		for end < len(m.Kvs) && order(m.Kvs[begin], m.Kvs[end]) == 0 {
			end++
		}
		tied := m.Kvs[begin:end]
		slices.SortFunc(tied, func(a, b *mvccpb.KeyValue) int { return bytes.Compare(a.Key, b.Key) })
		if end == len(m.Kvs) && m.More {
			for i, kv := range tied {
				tied[i] = &mvccpb.KeyValue{}
				switch request.SortTarget {
				case pb.RangeRequest_VERSION:
					tied[i].Version = kv.Version
				case pb.RangeRequest_CREATE:
					tied[i].CreateRevision = kv.CreateRevision
				case pb.RangeRequest_MOD:
					tied[i].ModRevision = kv.ModRevision
				case pb.RangeRequest_VALUE:
					tied[i].Value = kv.Value
				}
			}
		}
		begin = end
	}
}
