package grpcfront_test

import (
	"io"
	"maps"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// counts returns the counters of a server that are not 0, and how many there are.
func (s *server) counts() (counts map[string]float64, all int) {
	s.t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(s)
	families, err := r.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	counts = make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			all++
			name := []string{strings.TrimSuffix(strings.TrimPrefix(f.GetName(), "grpc_server_"), "_total")}
			for _, l := range m.GetLabel() {
				name = append(name, strings.TrimPrefix(l.GetValue(), "etcdserverpb."))
			}
			if n := m.GetCounter().GetValue(); n != 0 {
				counts[strings.Join(name, " ")] = n
			}
		}
	}
	return counts, all
}

func TestMetrics(t *testing.T) {
	s := serve(t)
	c := s.dial()
	if got, all := s.counts(); len(got) != 0 || all < 300 {
		t.Errorf("at first: %v of %d", got, all)
	}
	for _, key := range []string{"a", "b", ""} {
		_, _ = c.Put(t.Context(), &pb.PutRequest{Key: []byte(key)})
	}
	_, _ = c.HashKV(t.Context(), &pb.HashKVRequest{})
	stream, err := c.RangeStream(t.Context(), &pb.RangeRequest{Key: []byte("a")})
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = stream.Recv()
	}
	if err != io.EOF {
		t.Fatal(err)
	}
	want := map[string]float64{
		"started Put KV unary": 3, "msg_received Put KV unary": 3, "msg_sent Put KV unary": 2,
		"handled OK Put KV unary": 2, "handled InvalidArgument Put KV unary": 1,
		"started HashKV Maintenance unary": 1, "msg_received HashKV Maintenance unary": 1, "handled Unimplemented HashKV Maintenance unary": 1,
		"started RangeStream KV server_stream": 1, "msg_received RangeStream KV server_stream": 1,
		"msg_sent RangeStream KV server_stream": 1, "handled OK RangeStream KV server_stream": 1,
	}
	var got map[string]float64
	s.await("the calls are counted", func() bool { // the last one ends a little after its client knows
		got, _ = s.counts()
		return len(got) >= len(want)
	})
	if !maps.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}
