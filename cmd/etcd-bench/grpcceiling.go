package main

import (
	"context"
	"errors"
	"net"
	"os"
	"strconv"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"
)

// constantGRPC is the first argument of a process that is the ceiling of v3: a bare grpc-go server
// that has one answer to all puts and one to all ranges. It is followed by address and value size.
const constantGRPC = "constant-grpc-answer"

// grpcCeilingSystem is what no server over grpc-go can beat.
func grpcCeilingSystem(size int) *system {
	return &system{name: grpcGo, connect: connectV3, command: func(c *cluster, i int) ([]string, error) {
		self, err := os.Executable()
		return []string{self, constantGRPC, c.members[i].clients, strconv.Itoa(size)}, err
	}}
}

func serveConstantGRPC(args []string) error {
	if len(args) != 2 {
		return errors.New(constantGRPC + " takes an address and the size of values")
	}
	size, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	s := grpc.NewServer()
	pb.RegisterKVServer(s, newConstantKV(size))
	return s.Serve(l)
}

// constantKV does nothing but answer, with as many bytes as a real server.
type constantKV struct {
	pb.UnimplementedKVServer
	put     *pb.PutResponse
	ranging *pb.RangeResponse
}

func newConstantKV(size int) *constantKV {
	header := &pb.ResponseHeader{ClusterId: 1<<63 | 1, MemberId: 1<<63 | 2, Revision: 123_456, RaftTerm: 2}
	kv := &mvccpb.KeyValue{Key: []byte("bench/1234"), Value: []byte(strings.Repeat("x", size)), CreateRevision: 1234, ModRevision: 123_456, Version: 12}
	return &constantKV{
		put:     &pb.PutResponse{Header: header},
		ranging: &pb.RangeResponse{Header: header, Kvs: []*mvccpb.KeyValue{kv}, Count: 1},
	}
}

func (s *constantKV) Put(context.Context, *pb.PutRequest) (*pb.PutResponse, error) {
	return s.put, nil
}

func (s *constantKV) Range(context.Context, *pb.RangeRequest) (*pb.RangeResponse, error) {
	return s.ranging, nil
}
