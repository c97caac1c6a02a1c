package grpcfront_test

import (
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

func TestKVSmoke(t *testing.T) {
	c := serve(t).dial()
	for range 3 {
		p, err := c.Put(t.Context(), &pb.PutRequest{Key: []byte("a"), Value: []byte("b"), PrevKv: true})
		t.Log(p, err)
	}
	r, err := c.Range(t.Context(), &pb.RangeRequest{Key: []byte("a")})
	t.Log(r, err)
	r, err = c.Range(t.Context(), &pb.RangeRequest{Key: []byte("a"), Serializable: true})
	t.Log(r, err)
	st, err := c.Status(t.Context(), &pb.StatusRequest{})
	t.Log(st, err)
	ml, err := c.MemberList(t.Context(), &pb.MemberListRequest{Linearizable: true})
	t.Log(ml, err)
	d, err := c.DeleteRange(t.Context(), &pb.DeleteRangeRequest{Key: []byte("a"), PrevKv: true})
	t.Log(d, err)
	co, err := c.Compact(t.Context(), &pb.CompactionRequest{Revision: 4, Physical: true})
	t.Log(co, err)
	rs, err := c.RangeStream(t.Context(), &pb.RangeRequest{Key: []byte("a"), Revision: 4})
	if err != nil {
		t.Fatal(err)
	}
	part, err := rs.Recv()
	t.Log(part, err)
	tx, err := c.Txn(t.Context(), &pb.TxnRequest{Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("x")}}}}})
	t.Log(tx, err)
	w, err := c.Watch(t.Context())
	if err == nil {
		_, err = w.Recv()
	}
	t.Log(err)
}
