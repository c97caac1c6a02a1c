package grpcfront_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"etcd/grpcfront"
)

// parse returns the message that a text stands for.
func parse[M proto.Message](t testing.TB, m M, text string) M {
	t.Helper()
	if err := prototext.Unmarshal([]byte(text), m); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return m
}

// check fails the test unless an answer is that of a text. HERE stands for what is in the header of every answer
// besides a revision.
func check[M proto.Message](t testing.TB, what string, got M, err error, text string) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	text = strings.ReplaceAll(text, "HERE", "cluster_id:77 member_id:11 raft_term:2")
	want := parse(t, got.ProtoReflect().Type().New().Interface(), text)
	if !proto.Equal(got, want) {
		t.Errorf("%s:\ngot  %v\nwant %v", what, got, want)
	}
}

func wantError(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// call sends a request as a text, of the method that has such a request.
func (c *client) call(t testing.TB, request proto.Message) (answer proto.Message, err error) {
	t.Helper()
	name := strings.TrimSuffix(string(request.ProtoReflect().Descriptor().Name()), "Request")
	for service, methods := range services {
		if a, ok := methods[name]; ok {
			answer = a.ProtoReflect().New().Interface()
			if name == "Compaction" {
				name = "Compact"
			}
			return answer, c.conn.Invoke(t.Context(), "/etcdserverpb."+service+"/"+name, request, answer)
		}
	}
	t.Fatalf("no method %s", name)
	return nil, nil
}

var services = map[string]map[string]proto.Message{
	"KV": {
		"Put": &pb.PutResponse{}, "Range": &pb.RangeResponse{}, "DeleteRange": &pb.DeleteRangeResponse{}, "Txn": &pb.TxnResponse{},
		"Compaction": &pb.CompactionResponse{},
	},
	"Maintenance": {"Status": &pb.StatusResponse{}},
	"Cluster":     {"MemberList": &pb.MemberListResponse{}},
}

// What each option of a request does is shown here once; e2e/v3 compares random requests with upstream.
func TestKV(t *testing.T) {
	c := serve(t).dial()
	for _, step := range []struct {
		request protoreflect.ProtoMessage
		text    string
		answer  string
	}{
		{&pb.RangeRequest{}, `key:"a"`, `header:{HERE revision:1}`},
		{&pb.PutRequest{}, `key:"a" value:"1" prev_kv:true`, `header:{HERE revision:2}`},
		{&pb.PutRequest{}, `key:"a" value:"2" prev_kv:true`, `header:{HERE revision:3} prev_kv:{key:"a" create_revision:2 mod_revision:2 version:1 value:"1"}`},
		{&pb.PutRequest{}, `key:"a" ignore_value:true`, `header:{HERE revision:4}`},
		{&pb.PutRequest{}, `key:"b"`, `header:{HERE revision:5}`},
		{&pb.RangeRequest{}, `key:"a"`, `header:{HERE revision:5} count:1 kvs:{key:"a" create_revision:2 mod_revision:4 version:3 value:"2"}`},
		{&pb.RangeRequest{}, `key:"a" serializable:true revision:2`, `header:{HERE revision:5} count:1 kvs:{key:"a" create_revision:2 mod_revision:2 version:1 value:"1"}`},
		{&pb.RangeRequest{}, `key:"a" range_end:"\x00" limit:1`, `header:{HERE revision:5} count:2 more:true kvs:{key:"a" create_revision:2 mod_revision:4 version:3 value:"2"}`},
		{&pb.RangeRequest{}, `key:"a" range_end:"c" count_only:true`, `header:{HERE revision:5} count:2`},
		{&pb.RangeRequest{}, `key:"a" range_end:"c" keys_only:true min_mod_revision:5`, `header:{HERE revision:5} count:2 kvs:{key:"b" create_revision:5 mod_revision:5 version:1}`},
		{&pb.RangeRequest{}, `key:"a" range_end:"c" sort_order:DESCEND keys_only:true limit:1`, `header:{HERE revision:5} count:2 more:true kvs:{key:"b" create_revision:5 mod_revision:5 version:1}`},
		{&pb.RangeRequest{}, `key:"a" range_end:"c" sort_order:ASCEND sort_target:VALUE keys_only:true limit:1`, `header:{HERE revision:5} count:2 more:true kvs:{key:"b" create_revision:5 mod_revision:5 version:1}`},
		{&pb.DeleteRangeRequest{}, `key:"x" range_end:"z"`, `header:{HERE revision:5}`},
		{
			&pb.TxnRequest{}, `compare:{key:"a" target:VERSION result:EQUAL version:3} compare:{key:"a" range_end:"c" target:LEASE lease:0}
				success:{request_range:{key:"b"}}
				success:{request_delete_range:{key:"x"}}
				success:{request_put:{key:"c" value:"3"}}
				success:{request_txn:{compare:{key:"c" target:CREATE result:GREATER} failure:{request_delete_range:{key:"b" prev_kv:true}}}}
				success:{request_range:{key:"b" range_end:"d"}}`,
			`header:{HERE revision:6} succeeded:true
				responses:{response_range:{header:{revision:5} count:1 kvs:{key:"b" create_revision:5 mod_revision:5 version:1}}}
				responses:{response_delete_range:{header:{revision:5}}}
				responses:{response_put:{header:{revision:6}}}
				responses:{response_txn:{header:{} responses:{response_delete_range:{header:{revision:6} deleted:1 prev_kvs:{key:"b" create_revision:5 mod_revision:5 version:1}}}}}
				responses:{response_range:{header:{revision:6} count:1 kvs:{key:"c" create_revision:6 mod_revision:6 version:1 value:"3"}}}`,
		},
		{
			&pb.TxnRequest{}, `compare:{key:"none" target:VALUE result:NOT_EQUAL value:"x"} success:{request_range:{key:"a"}} failure:{request_range:{key:"c" serializable:true}}`,
			`header:{HERE revision:6} responses:{response_range:{header:{revision:6} count:1 kvs:{key:"c" create_revision:6 mod_revision:6 version:1 value:"3"}}}`,
		},
		{&pb.TxnRequest{}, `compare:{key:"a" result:99} compare:{key:"a" target:98}`, `header:{HERE revision:6} succeeded:true`},
		{&pb.TxnRequest{}, `compare:{key:"none" target:VALUE result:99}`, `header:{HERE revision:6}`},
		{&pb.DeleteRangeRequest{}, `key:"\x00" range_end:"\x00" prev_kv:true`, `header:{HERE revision:7} deleted:2
			prev_kvs:{key:"a" create_revision:2 mod_revision:4 version:3 value:"2"} prev_kvs:{key:"c" create_revision:6 mod_revision:6 version:1 value:"3"}`},
		{&pb.CompactionRequest{}, `revision:6 physical:true`, `header:{HERE revision:7}`},
		{&pb.MemberListRequest{}, `linearizable:true`, `header:{HERE} members:{ID:11 name:"m1" peerURLs:"http://127.0.0.1:7001" clientURLs:"http://127.0.0.1:4001"}`},
	} {
		got, err := c.call(t, parse(t, step.request, step.text))
		check(t, step.text, got, err, step.answer)
	}
}

func TestStatus(t *testing.T) {
	c := serve(t).dial()
	if _, err := c.Put(t.Context(), &pb.PutRequest{Key: []byte("a"), Value: make([]byte, 1000)}); err != nil {
		t.Fatal(err)
	}
	got, err := c.Status(t.Context(), &pb.StatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if got.DbSize < 1000 || got.DbSizeInUse != got.DbSize || got.RaftIndex == 0 || got.RaftAppliedIndex != got.RaftIndex {
		t.Errorf("implausible: %v", got)
	}
	got.DbSize, got.DbSizeInUse, got.RaftIndex, got.RaftAppliedIndex = 0, 0, 0, 0
	check(t, "status", got, nil, `header:{HERE revision:2} version:"3.7.3" storageVersion:"3.7.0" leader:11 raftTerm:2 downgradeInfo:{}`)
}

func TestKVErrors(t *testing.T) {
	c := serve(t).dial()
	const puts = `success:{request_put:{key:"a"}} `
	for range 3 {
		if _, err := c.Put(t.Context(), &pb.PutRequest{Key: []byte("k")}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Compact(t.Context(), &pb.CompactionRequest{Revision: 3}); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		request proto.Message
		text    string
		want    error
	}{
		{&pb.RangeRequest{}, ``, rpctypes.ErrGRPCEmptyKey},
		{&pb.RangeRequest{}, `key:"a" sort_order:7`, rpctypes.ErrGRPCInvalidSortOption},
		{&pb.RangeRequest{}, `key:"a" sort_target:-1`, rpctypes.ErrGRPCInvalidSortOption},
		{&pb.RangeRequest{}, `key:"a" revision:2`, rpctypes.ErrGRPCCompacted},
		{&pb.RangeRequest{}, `key:"a" revision:5`, rpctypes.ErrGRPCFutureRev},
		{&pb.PutRequest{}, `value:"a"`, rpctypes.ErrGRPCEmptyKey},
		{&pb.PutRequest{}, `key:"a" value:"b" ignore_value:true`, rpctypes.ErrGRPCValueProvided},
		{&pb.PutRequest{}, `key:"a" lease:7 ignore_lease:true`, rpctypes.ErrGRPCLeaseProvided},
		{&pb.PutRequest{}, `key:"a" lease:7`, rpctypes.ErrGRPCLeaseNotFound},
		{&pb.PutRequest{}, `key:"a" ignore_value:true`, rpctypes.ErrGRPCKeyNotFound},
		{&pb.DeleteRangeRequest{}, `range_end:"b"`, rpctypes.ErrGRPCEmptyKey},
		{&pb.CompactionRequest{}, `revision:3`, rpctypes.ErrGRPCCompacted},
		{&pb.CompactionRequest{}, `revision:5`, rpctypes.ErrGRPCFutureRev},
		{&pb.TxnRequest{}, `compare:{}`, rpctypes.ErrGRPCEmptyKey},
		{&pb.TxnRequest{}, `success:{}`, rpctypes.ErrGRPCKeyNotFound},
		{&pb.TxnRequest{}, `failure:{request_range:{}}`, rpctypes.ErrGRPCEmptyKey},
		{&pb.TxnRequest{}, `failure:{request_range:{key:"a" sort_order:9}}`, rpctypes.ErrGRPCInvalidSortOption},
		{&pb.TxnRequest{}, `success:{request_txn:{success:{request_put:{key:"a" value:"b" ignore_value:true}}}}`, rpctypes.ErrGRPCValueProvided},
		{&pb.TxnRequest{}, puts + puts, rpctypes.ErrGRPCDuplicateKey},
		{&pb.TxnRequest{}, puts + `success:{request_delete_range:{key:"a"}}`, rpctypes.ErrGRPCDuplicateKey},
		{&pb.TxnRequest{}, puts + `success:{request_range:{key:"a" revision:9}}`, rpctypes.ErrGRPCFutureRev},
		{&pb.TxnRequest{}, puts + `success:{request_range:{key:"a" revision:-1}}`, rpctypes.ErrGRPCCompacted},
		{&pb.TxnRequest{}, strings.Repeat(`success:{request_range:{key:"a"}} `, 129), rpctypes.ErrGRPCTooManyOps},
		{&pb.TxnRequest{}, strings.Repeat(`compare:{key:"a"} `, 128) + `success:{request_txn:{compare:{key:"a"}}}`, rpctypes.ErrGRPCTooManyOps},
	} {
		_, err := c.call(t, parse(t, tc.request, tc.text))
		wantError(t, fmt.Sprintf("%T %.80s", tc.request, tc.text), err, tc.want)
	}
	got, err := c.Range(t.Context(), &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}, CountOnly: true})
	check(t, "what was refused has changed nothing", got, err, `header:{HERE revision:4} count:1`)

	w, err := c.Watch(t.Context())
	if err == nil {
		_, err = w.Recv()
	}
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("a watch: %v, want Unimplemented", err)
	}
}

func TestLargestRequest(t *testing.T) {
	c := serve(t).dial()
	for size, want := range map[int]error{1_500_000: nil, grpcfront.DefaultMaxRequest: rpctypes.ErrGRPCRequestTooLarge} {
		_, err := c.Put(t.Context(), &pb.PutRequest{Key: []byte("a"), Value: make([]byte, size)})
		if !errors.Is(err, want) {
			t.Errorf("%d bytes: %v, want %v", size, err, want)
		}
	}
}

func TestRangeStream(t *testing.T) {
	c := serve(t).dial()
	for range 3 {
		txn := &pb.TxnRequest{}
		for i := range 128 {
			op := &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: fmt.Appendf(nil, "k%03d", i), Value: make([]byte, 100)}}
			txn.Success = append(txn.Success, &pb.RequestOp{Request: op})
		}
		if _, err := c.Txn(t.Context(), txn); err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range []string{
		`key:"k" range_end:"l"`,
		`key:"k" range_end:"l" revision:3 serializable:true`,
		`key:"k" range_end:"l" limit:100`,
		`key:"k" range_end:"l" limit:3 keys_only:true`,
		`key:"k" range_end:"l" count_only:true`,
		`key:"k007"`,
		`key:"none"`,
	} {
		want, err := c.Range(t.Context(), parse(t, &pb.RangeRequest{}, text))
		if err != nil {
			t.Fatal(err)
		}
		stream, err := c.RangeStream(t.Context(), parse(t, &pb.RangeRequest{}, text))
		if err != nil {
			t.Fatal(err)
		}
		got, parts := &pb.RangeResponse{}, 0
		for {
			part, err := stream.Recv()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			if got.Header != nil {
				t.Errorf("%s: a part after the header", text)
			}
			parts++
			proto.Merge(got, part.RangeResponse)
		}
		if !proto.Equal(got, want) {
			t.Errorf("%s:\ngot  %.300v\nwant %.300v", text, got, want)
		}
		if (len(want.Kvs) > 10) != (parts > 1) {
			t.Errorf("%s: %d parts", text, parts)
		}
	}
	for text, want := range map[string]error{
		`key:"k" sort_order:DESCEND`:    grpcfront.ErrStreamSorted,
		`key:"k" min_mod_revision:1`:    grpcfront.ErrStreamFiltered,
		`range_end:"l"`:                 rpctypes.ErrGRPCEmptyKey,
		`key:"k" revision:99`:           rpctypes.ErrGRPCFutureRev,
		`key:"k" sort_target:77`:        rpctypes.ErrGRPCInvalidSortOption,
		`key:"k" max_create_revision:1`: grpcfront.ErrStreamFiltered,
	} {
		stream, err := c.RangeStream(t.Context(), parse(t, &pb.RangeRequest{}, text))
		if err == nil {
			_, err = stream.Recv()
		}
		wantError(t, text, err, want)
	}
}

// What a stream tells is of one moment, however long its client takes.
func TestRangeStreamIsStable(t *testing.T) {
	c := serve(t).dial()
	old, now := bytes.Repeat([]byte("o"), 100_000), []byte("n")
	const keys = 100
	put := func(value []byte) {
		for i := range keys {
			if _, err := c.Put(t.Context(), &pb.PutRequest{Key: fmt.Appendf(nil, "k%02d", i), Value: value}); err != nil {
				t.Fatal(err)
			}
		}
	}
	put(old)
	stream, err := c.RangeStream(t.Context(), &pb.RangeRequest{Key: []byte("k"), RangeEnd: []byte("l")})
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for first := true; ; first = false {
		part, err := stream.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if first {
			put(now)
		}
		for _, kv := range part.RangeResponse.Kvs {
			if read++; !bytes.Equal(kv.Value, old) {
				t.Fatalf("%s is of later", kv.Key)
			}
		}
		if h := part.RangeResponse.Header; h != nil && h.Revision != 1+keys {
			t.Errorf("revision %d", h.Revision)
		}
	}
	if read != keys {
		t.Errorf("%d keys, want %d", read, keys)
	}
}
